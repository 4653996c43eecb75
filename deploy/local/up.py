"""`parley up`: everything on one machine, in the foreground."""

import asyncio
import io
import os
import platform
import signal
import sys
from collections.abc import Callable

from pydantic import ValidationError
from setproctitle import setproctitle

from deploy.local.errors import LaunchError
from deploy.local.folders import Folders, make_folders
from deploy.local.lock import take_lock
from deploy.local.plan import Plan, whole_house
from deploy.local.ports import require_edge_port
from deploy.local.postgres import is_first_start
from deploy.local.screen import Screen
from deploy.local.settings import LocalSettings
from deploy.local.state import State, end_leftovers
from deploy.local.supervisor import Patience, Supervisor
from deploy.local.welcome import welcome

Planner = Callable[[LocalSettings, Folders], Plan]
_MACHINES = {"x86_64", "amd64", "aarch64", "arm64"}


def main() -> int:
    """Run the whole house until Ctrl-C; return the exit code, 0 for a clean stop. Prints one line on a failure."""
    return launch(whole_house)


def launch(planner: Planner, patience: Patience | None = None) -> int:
    """Run the parts of a plan; otherwise as `main`, which plans the whole house."""
    try:
        return _run(LocalSettings(), planner, patience)
    except ValidationError as error:
        first = error.errors()[0]
        # What is said of several settings names them itself.
        name = f"PARLEY_{str(first['loc'][0]).upper()}: " if first["loc"] else ""
        return _refuse(name + first["msg"].removeprefix("Value error, "))
    except KeyboardInterrupt:
        return 0


def _run(settings: LocalSettings, planner: Planner, patience: Patience | None) -> int:
    setproctitle("parley: up")
    # Whatever is made from here on, by the parts too, is for their user only.
    os.umask(0o077)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a terminal without UTF-8 is no reason to fall
    try:
        if platform.machine().lower() not in _MACHINES:
            raise LaunchError(f"Parley's programs exist for x86-64 and arm64, not for {platform.machine()}")
        folders = make_folders(settings.home)
        lock = take_lock(folders.run / "lock", folders.home)
    except LaunchError as error:
        return _refuse(str(error))
    with lock:
        return asyncio.run(_supervise(settings, folders, planner, patience))


async def _supervise(settings: LocalSettings, folders: Folders, planner: Planner, patience: Patience | None) -> int:
    screen = Screen()
    state = State(folders.run / "state.json", settings.edge_url)
    supervisor = Supervisor(folders, screen, state, patience)
    stopped = _stop_on_signals(supervisor)
    failure = ""
    try:
        for name in await asyncio.to_thread(end_leftovers, state.path):
            screen.say(f"  {name} of an earlier start did not end by itself: killed")
        require_edge_port(settings.edge_host, settings.edge_port)
        work = asyncio.create_task(_work(settings, folders, planner, supervisor, screen))
        await asyncio.wait({work, stopped}, return_when=asyncio.FIRST_COMPLETED)
        if not work.done():
            work.cancel()
        await asyncio.gather(work, return_exceptions=True)
        if not work.cancelled() and (error := work.exception()):
            raise error
    except LaunchError as error:
        failure = str(error)
    finally:
        await supervisor.stop()
        state.parts.clear()
        state.write()
    # After the lines about stopping: the reason is what must be read last.
    return _refuse(failure) if failure else _goodbye(screen)


async def _work(
    settings: LocalSettings, folders: Folders, planner: Planner, supervisor: Supervisor, screen: Screen
) -> None:
    """Start everything, show it, and wait for the failure that ends it."""
    limit = settings.first_start_timeout if is_first_start(folders) else settings.start_timeout
    screen.say(f"Starting Parley in {folders.home}")
    plan = planner(settings, folders)
    if plan.preparation is not None:
        title, prepare = plan.preparation
        screen.say(f"  {title}")
        await prepare()
    try:
        async with asyncio.timeout(limit):
            await supervisor.start(plan.stages, plan.finally_ready)
    except TimeoutError as error:
        waiting = supervisor.waiting_for()
        raise LaunchError(f"{waiting} was not ready within {limit:g} s [logs: {folders.logs}]") from error
    screen.table(supervisor.running())
    screen.say(welcome(settings.edge_url, folders, plan.notes))
    raise await supervisor.until_failure()


def _stop_on_signals(supervisor: Supervisor) -> "asyncio.Future[None]":
    loop = asyncio.get_running_loop()
    stopped: asyncio.Future[None] = loop.create_future()

    def on_signal() -> None:
        if stopped.done():
            supervisor.kill()
        else:
            stopped.set_result(None)

    loop.add_signal_handler(signal.SIGINT, on_signal)
    loop.add_signal_handler(signal.SIGTERM, on_signal)
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # as `nohup` leaves it
        loop.add_signal_handler(signal.SIGHUP, on_signal)
    return stopped


def _goodbye(screen: Screen) -> int:
    screen.say("Parley has stopped.")
    return 0


def _refuse(reason: str) -> int:
    sys.stderr.write(f"parley: {reason}\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
