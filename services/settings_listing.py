"""Prints every setting: name, value, where it comes from and what it means. Secrets are hidden."""

import inspect
import os
from importlib import import_module

from pydantic import SecretStr
from pydantic_settings import BaseSettings

SETTINGS = (
    "adapters.rest.settings",
    "deploy.local.settings",
    "services.chassis.settings",
    "services.conversations.settings",
    "services.identity.settings",
    "services.inference.settings",
)
"""The modules with settings; one sorted line each."""


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
    for settings in settings_classes():
        prefix = settings.model_config.get("env_prefix", "")
        values = settings()
        print(f"# {settings.__module__}")  # noqa: T201 - this is what the command is for
        for name, field in settings.model_fields.items():
            variable = f"{prefix}{name}".upper()
            value = getattr(values, name)
            shown = "(hidden)" if isinstance(value, SecretStr) and value.get_secret_value() else str(value)
            source = "environment" if variable in os.environ else "default or .env"
            print(f"{variable}={shown}  # {source}. {field.description or ''}")  # noqa: T201
        print()  # noqa: T201
    return 0
