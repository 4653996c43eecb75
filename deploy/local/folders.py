"""The folder of one Parley: where its data, logs, secrets and run-time state lie."""

import os
import stat
from dataclasses import dataclass
from pathlib import Path

from deploy.local.errors import LaunchError

_ROTATE_BYTES = 5 * 1024 * 1024
_KEPT_LOGS = 3


@dataclass(frozen=True, slots=True)
class Folders:
    """The paths below HOME."""

    home: Path

    @property
    def run(self) -> Path:
        """Lock, ports, state and rendered configuration."""
        return self.home / "run"

    @property
    def logs(self) -> Path:
        """One log per part."""
        return self.home / "logs"

    @property
    def secrets(self) -> Path:
        """Generated passwords; readable by the owner only."""
        return self.home / "secrets"

    @property
    def models(self) -> Path:
        """Model weights that were fetched."""
        return self.home / "models"

    def log(self, part: str) -> Path:
        """The log of a part."""
        return self.logs / f"{part}.log"


def make_folders(home: Path) -> Folders:
    """Create HOME and its folders where they are missing, for nobody else to read.

    Raises LaunchError when HOME cannot be written.
    """
    folders = Folders(home.expanduser().absolute())
    try:
        for folder in (folders.home, folders.run, folders.logs, folders.secrets):
            folder.mkdir(parents=True, exist_ok=True)
            # One that an earlier version made, or the user, is shut too. PostgreSQL's group may pass through HOME.
            folder.chmod(stat.S_IMODE(folder.stat().st_mode) & (0o710 if folder == folders.home else 0o700))
        for log in folders.logs.iterdir():
            log.chmod(0o600)
        for folder in (folders.home, folders.run, folders.logs):
            if not os.access(folder, os.W_OK | os.X_OK):
                raise PermissionError(13, "Permission denied", str(folder))
    except OSError as error:
        raise LaunchError(f"cannot write to {error.filename or home}: {error.strerror}; set PARLEY_HOME") from error
    return folders


def rotate_log(path: Path) -> None:
    """Put a log aside when it has grown large; the oldest goes."""
    if not path.exists() or path.stat().st_size < _ROTATE_BYTES:
        return
    for age in range(_KEPT_LOGS - 1, 0, -1):
        older = path.with_name(f"{path.name}.{age}")
        if older.exists():
            older.rename(path.with_name(f"{path.name}.{age + 1}"))
    path.rename(path.with_name(f"{path.name}.1"))


def write_atomically(path: Path, text: str) -> None:
    """Replace a file so that a reader sees the old text or the new one, never half of it."""
    draft = path.with_name(f"{path.name}.new")
    draft.write_text(text)
    draft.replace(path)
