"""One Parley per HOME: a lock that dies with its holder."""

import fcntl
import os
from pathlib import Path
from typing import TextIO

from deploy.local.errors import LaunchError


def take_lock(path: Path, home: Path) -> TextIO:
    """Lock the file and write our pid into it; the lock lasts until the returned file is closed or we die.

    Raises:
        LaunchError: another process holds it.
    """
    file = path.open("a+")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        file.seek(0)
        pid = file.read().strip() or "unknown"
        file.close()
        raise LaunchError(f"Parley already runs in {home} (pid {pid})") from error
    file.truncate(0)
    file.write(str(os.getpid()))
    file.flush()
    return file
