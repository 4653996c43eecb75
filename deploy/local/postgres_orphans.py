"""What a PostgreSQL that was killed leaves behind."""

from pathlib import Path

_PATIENCE_SECONDS = 5.0


def end_orphans(data: Path) -> None:
    """End the server processes of a dead PostgreSQL that still work on `data`.

    Each runs in a session of its own, so that killing the server's group misses it, and one that is busy does not
    notice that the server is gone. As long as it holds the shared memory, no new server starts.
    """
    import psutil  # only here: most starts need it for a moment, and the launcher is to stay small

    orphans = []
    for process in psutil.process_iter(["name"]):
        try:
            if process.info["name"] == "postgres" and Path(process.cwd()) == data.resolve():
                process.kill()
                orphans.append(process)
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    psutil.wait_procs(orphans, timeout=_PATIENCE_SECONDS)
