"""A temporary folder of this user's own: in the common one another user's tests may have left files of our names."""

import getpass
import os
from pathlib import Path
from tempfile import gettempdir, mkdtemp


def own_folder(temporary: Path, uid: int) -> Path:
    """Return a folder in `temporary` that is the user's: always the same one, unless somebody else has its name."""
    # Short: paths of sockets have at most 107 characters.
    folder = temporary / f"parley-{uid}"
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder if is_own(folder, uid) else Path(mkdtemp(prefix=f"parley-{uid}-", dir=temporary))


def is_own(path: Path, uid: int) -> bool:
    """Whether a path is the user's, or is not there."""
    return not path.exists() or path.stat().st_uid == uid


def use_own_folders() -> None:
    """Let pytest and PostgreSQL's wheel put their files where nobody else's are. Call it before either looks."""
    temporary, uid = Path(gettempdir()), os.getuid()
    if not is_own(temporary / f"pytest-of-{getpass.getuser()}", uid):
        # pytest would refuse to run.
        os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(own_folder(temporary, uid)))
    runtime = Path(os.environ.get("XDG_RUNTIME_DIR", ""))
    if not runtime.is_absolute() or not runtime.exists() or not is_own(runtime, uid):
        # Without, the wheel's lock is a file in the common folder, which belongs to who came first.
        runtime = own_folder(temporary, uid)
        os.environ["XDG_RUNTIME_DIR"] = str(runtime)
    (runtime / "python_PostgresServer").mkdir(exist_ok=True)
