"""Prints every setting: name, value, where it comes from and what it means. Secrets are hidden."""

import inspect
import os
import re
from importlib import import_module

from pydantic import SecretStr, ValidationError
from pydantic_settings import BaseSettings

SETTINGS = (
    "adapters.rest.settings",
    "adapters.websocket.settings",
    "deploy.keycloak.settings",
    "deploy.local.settings",
    "services.bots.settings",
    "services.chassis.secret_stores.settings",
    "services.chassis.settings",
    "services.conversations.settings",
    "services.identity.settings",
    "services.inference.settings",
    "services.operations.settings",
    "services.tools.settings",
)
"""The modules with settings; one sorted line each."""
_COMMANDS = ("PARLEY_TOOLS_MCP_COMMANDS",)
"""Settings that hold command lines by name; their names are shown only."""
_CREDENTIALS = re.compile(r"//[^/@\s]+@")


def settings_classes() -> list[type[BaseSettings]]:
    """Return every settings class of the house."""
    return [
        value
        for module in map(import_module, SETTINGS)
        for value in vars(module).values()
        if inspect.isclass(value) and issubclass(value, BaseSettings) and value.__module__ == module.__name__
    ]


def print_settings() -> int:
    """Print the settings as they are now, and return the exit code."""
    secrets = _secret_variables()
    for settings in settings_classes():
        values = settings()
        print(f"# {settings.__module__}")  # noqa: T201 - this is what the command is for
        for name, field in settings.model_fields.items():
            variable = _variable(settings, name)
            shown = str(getattr(values, name))
            if shown and variable in secrets:
                shown = "(hidden)"
            elif variable in _COMMANDS:
                # Arguments may hold secrets, such as a token of the server.
                shown = str(sorted(getattr(values, name)))
            shown = _CREDENTIALS.sub("//(hidden)@", shown)
            source = "environment" if variable in os.environ else "default or .env"
            meaning = " ".join((field.description or "").split())
            print(f"{variable}={shown}  # {source}. {meaning}")  # noqa: T201
        print()  # noqa: T201
    return 0


def complaint(error: ValidationError) -> str:
    """Return in one line which setting is wrong and why, without its value: that may be a secret."""
    first = error.errors()[0]
    prefix = next((_variable(settings, "") for settings in settings_classes() if settings.__name__ == error.title), "")
    return f"{prefix}{'.'.join(map(str, first['loc'])).upper()}: {first['msg']}"


def _secret_variables() -> set[str]:
    # What is secret for one reader is secret for all: several classes may read the same variable.
    return {
        _variable(settings, name)
        for settings in settings_classes()
        for name, field in settings.model_fields.items()
        if field.annotation is SecretStr
    }


def _variable(settings: type[BaseSettings], name: str) -> str:
    return f"{settings.model_config.get('env_prefix', '')}{name}".upper()
