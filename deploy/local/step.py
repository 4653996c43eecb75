"""A short program that prepares something and ends."""

import asyncio
import contextlib
import os
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path

from deploy.local.child import group_of
from deploy.local.errors import LaunchError


async def run_step(argv: Sequence[str], env: Mapping[str, str], *, text: str = "", user: str | None = None) -> str:
    """Run a program to its end with the text as its input; return what it wrote. Cancelled, it kills the program.

    Raises:
        LaunchError: it cannot be run, or it failed; with the last line that it wrote.
    """
    try:
        process = await asyncio.create_subprocess_exec(
            *argv,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env=dict(env),
            start_new_session=True,
            user=user,
            group=group_of(user),
            extra_groups=[] if user else None,
        )
    except OSError as error:
        raise LaunchError(f"cannot run {argv[0]}: {error.strerror}") from error
    try:
        output, _ = await process.communicate(text.encode())
    except asyncio.CancelledError:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.communicate()
        raise
    written = output.decode(errors="replace").strip()
    if process.returncode:
        raise LaunchError(f"{Path(argv[0]).name} failed: {written.splitlines()[-1] if written else process.returncode}")
    return written
