"""Secrets from environment variables and `.env`: `inference/openai-api-key` is PARLEY_INFERENCE_OPENAI_API_KEY.

What is shared has no capability in its name: `shared/secret` is PARLEY_SECRET.
"""

import os
from pathlib import Path

from dotenv import dotenv_values
from pydantic import SecretStr

from services.chassis.secrets import SecretMissing


class EnvironmentSecrets:
    """Implements SecretSource. The environment goes before the file; a changed file is seen."""

    def __init__(self, file: Path = Path(".env")) -> None:
        self._file = file

    async def read(self, name: str) -> SecretStr:
        """See SecretSource."""
        variable = variable_of(name)
        value = os.environ.get(variable) or dotenv_values(self._file).get(variable)
        if not value:
            raise SecretMissing(name=name)
        return SecretStr(value)


def variable_of(name: str) -> str:
    """Return the environment variable of a secret."""
    return "PARLEY_" + name.removeprefix("shared/").upper().replace("/", "_").replace("-", "_")
