"""Makes PostgreSQL's data folder: a superuser `parley` with a password, and the database `parley`."""

import asyncio
import os
import pwd
import shutil
import stat
import subprocess
from collections.abc import Mapping
from pathlib import Path

from deploy.local.child import group_of
from deploy.local.errors import LaunchError
from deploy.local.step import run_step

USER = DATABASE = "parley"
# The server's own: the same on every machine, whatever locales it has.
_LOCALE = ("--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C")


async def prepare_data(binaries: Path, data: Path, password: str, user: str | None) -> None:
    """Make the data folder where it is missing. Raises LaunchError."""
    draft = await asyncio.to_thread(_begin, binaries, data, user)
    if draft is None:
        return
    options = ["-U", USER, "-A", "trust", "-E", "UTF8", *_LOCALE]
    env = own_environment(os.environ)
    await run_step([str(binaries / "initdb"), "-D", str(draft), *options], env, user=user)
    sql = f"ALTER ROLE {USER} PASSWORD '{password}';\nCREATE DATABASE {DATABASE};\n"
    # Single-user mode ends with 0 also when a statement failed.
    single = [str(binaries / "postgres"), "--single", "-D", str(draft), "postgres"]
    written = await run_step(single, env, text=sql, user=user)
    if "ERROR:" in written:
        raise LaunchError(f"PostgreSQL's database cannot be made: {written.splitlines()[-1]}")
    await asyncio.to_thread(_finish, draft, data)


def _begin(binaries: Path, data: Path, user: str | None) -> Path | None:
    """Return an empty folder to make the data in; None when the data is there."""
    if user:
        _make_user(user)
        # HOME is for its owner; the server's own group may pass through it.
        os.chown(data.parent, -1, pwd.getpwnam(user).pw_gid)
        data.parent.chmod(0o710)
        for path in (data.parent.parent, binaries):
            _let_pass(path)
    if data.exists():
        return None
    draft = data.with_name("postgres.new")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(mode=0o700)
    if user:
        shutil.chown(draft, user, group_of(user))
    return draft


def _finish(draft: Path, data: Path) -> None:
    (draft / "pg_hba.conf").write_text("host all all 127.0.0.1/32 scram-sha-256\n")
    # Made aside and renamed last: a start that is cut short leaves no half a database.
    draft.rename(data)


def own_environment(env: Mapping[str, str]) -> dict[str, str]:
    """Return the environment for PostgreSQL's programs."""
    # PGDATA, PGPORT and the like of the caller would change what the binaries do.
    return {name: value for name, value in env.items() if not name.startswith(("PG", "PARLEY_"))} | {"LC_ALL": "C"}


def _make_user(user: str) -> None:
    try:
        pwd.getpwnam(user)
    except KeyError:
        command = ["useradd", "--system", "--shell", "/usr/sbin/nologin", user]
        try:
            subprocess.run(command, check=True, capture_output=True)  # noqa: S603 -- fixed words
        except (OSError, subprocess.CalledProcessError) as error:
            raise LaunchError(f"PostgreSQL may not run as root and the user {user} cannot be made: {error}") from error


def _let_pass(path: Path) -> None:
    """Let other users pass through the folders to the path.

    The wheel's helper makes every folder on the way listable for all, /root included; passing needs only the x.
    """
    for folder in (path, *path.parents):
        mode = folder.stat().st_mode
        if not mode & stat.S_IXOTH:
            folder.chmod(mode | stat.S_IXOTH)
