"""Lays the first values of secrets into Vault. What is there stays: it may have been changed since."""

from collections.abc import Mapping
from pathlib import Path

import hvac
from hvac.exceptions import InvalidPath


def seed(client: hvac.Client, files: Mapping[str, Path]) -> None:
    """Give each secret that was never set the content of its file. Raises hvac's VaultError when Vault refuses."""
    for name, file in files.items():
        if not _was_set(client, name):
            # `cas`: somebody who sets it meanwhile wins.
            client.secrets.kv.v2.create_or_update_secret(name, {"value": file.read_text().strip()}, cas=0)


def _was_set(client: hvac.Client, name: str) -> bool:
    try:
        client.secrets.kv.v2.read_secret_metadata(name)
    except InvalidPath:
        return False
    return True


def named_files(given: list[str]) -> dict[str, Path]:
    """Return what the options NAME=FILE say."""
    pairs = (option.partition("=") for option in given)
    return {name: Path(file) for name, _, file in pairs}
