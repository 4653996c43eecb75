"""The passwords and keys of one Parley: generated once, kept in HOME/secrets."""

import os
import secrets
from pathlib import Path

HOUSE_SECRET = "parley-secret"  # noqa: S105 -- the name of its file


def secret(folder: Path, name: str) -> str:
    """Return the secret of this name; 32 random bytes in hex, made at the first call. Files are 0600."""
    path = folder / name
    if path.exists() and (kept := path.read_text().strip()):
        return kept
    fresh = secrets.token_hex(32)
    draft = path.with_name(f"{name}.new")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(fresh)
    draft.replace(path)
    return fresh
