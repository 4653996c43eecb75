"""Runs the real launcher over small parts, as a process of its own: `python -m tests.deploy.small_house SCENARIO`.

HOME and the ports come from PARLEY_* variables, as for `parley up`.
"""

import asyncio
import os
import sys
from functools import partial

from deploy.local.folders import Folders
from deploy.local.part import Part
from deploy.local.plan import Plan
from deploy.local.ports import assign_ports
from deploy.local.postgres import postgres_part
from deploy.local.probes import Probe, tcp_open
from deploy.local.settings import LocalSettings
from deploy.local.supervisor import Patience
from deploy.local.up import launch
from deploy.local.valkey import valkey_part

LISTEN = """
import socket, sys, time
server = socket.create_server(("127.0.0.1", int(sys.argv[1])))
print("listening", flush=True)
while True: time.sleep(60)
"""
# Notes in a file when it was told to stop, so that the order of stopping can be seen.
NOTE_STOP = """
import pathlib, signal, sys
def stop(*_):
    with pathlib.Path(sys.argv[2]).open("a") as file: file.write(sys.argv[1] + "\\n")
    sys.exit(0)
signal.signal(signal.SIGTERM, stop)
print("up", flush=True)
while True: signal.pause()
"""
STUBBORN = """
import signal
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("up", flush=True)
while True: signal.pause()
"""


def _python(name: str, code: str, *arguments: str, **more: object) -> Part:
    argv = (sys.executable, "-c", code, *arguments)
    return Part(name=name, title=f"the {name}", argv=argv, env=dict(os.environ), **more)  # type: ignore[arg-type]


def _said_up(folders: Folders, name: str) -> Probe:
    async def said() -> bool:
        return "up" in await asyncio.to_thread(folders.log(name).read_text)

    return said


def listener(settings: LocalSettings, folders: Folders) -> Plan:
    """One part that listens, and one more after it."""
    port = assign_ports(["listener"], folders.run / "ports.json", {settings.edge_port})["listener"]
    ready = partial(tcp_open, "127.0.0.1", port)
    first = _python("listener", LISTEN, str(port), address=f"127.0.0.1:{port}", ready=ready)
    return Plan(((first,), (_python("sleeper", "import time; time.sleep(1000)"),)))


def noting(_settings: LocalSettings, folders: Folders) -> Plan:
    """Three parts in three stages that note in HOME/stopped when they are told to stop."""
    notes = str(folders.home / "stopped")
    names = ("first", "second", "third")
    return Plan(tuple((_python(name, NOTE_STOP, name, notes, ready=_said_up(folders, name)),) for name in names))


def stubborn(_settings: LocalSettings, folders: Folders) -> Plan:
    """A part that does not heed SIGTERM."""
    return Plan(((_python("stubborn", STUBBORN, stop_grace=600.0, ready=_said_up(folders, "stubborn")),),))


def mortal(_settings: LocalSettings, _folders: Folders) -> Plan:
    """A part that runs through the start and dies again and again afterwards."""
    return Plan(((_python("mortal", "import time; time.sleep(0.4); raise SystemExit('no strength left')"),),))


def frail(_settings: LocalSettings, folders: Folders) -> Plan:
    """A part that is ready, and dies whenever HOME/doomed is there."""
    code = "import pathlib, sys, time; print('up', flush=True)\n"
    code += "while not pathlib.Path(sys.argv[1]).exists(): time.sleep(0.05)"
    doomed = str(folders.home / "doomed")
    return Plan(((_python("frail", code, doomed, ready=_said_up(folders, "frail")),),))


def stillborn(_settings: LocalSettings, _folders: Folders) -> Plan:
    """A part that dies before it is ready."""
    return Plan(((_python("stillborn", "raise SystemExit('bad heart')", ready=partial(tcp_open, "127.0.0.1", 1)),),))


def silent(_settings: LocalSettings, _folders: Folders) -> Plan:
    """A part that never becomes ready."""
    return Plan(((_python("silent", "import time; time.sleep(1000)", ready=partial(tcp_open, "127.0.0.1", 1)),),))


def absent(_settings: LocalSettings, _folders: Folders) -> Plan:
    """A part whose program does not exist."""
    return Plan(((Part(name="absent", title="the absent", argv=("/no/such/program",)),),))


def failing_step(_settings: LocalSettings, _folders: Folders) -> Plan:
    """A step that must succeed before anything else starts, and does not."""
    return Plan(((_python("step", "raise SystemExit('schema is broken')", one_shot=True),),))


def stores(settings: LocalSettings, folders: Folders) -> Plan:
    """The real PostgreSQL and Valkey."""
    ports = assign_ports(["postgres", "valkey"], folders.run / "ports.json", {settings.edge_port})
    return Plan(
        (
            (postgres_part(folders, ports["postgres"], os.environ),),
            (valkey_part(folders, ports["valkey"], os.environ),),
        )
    )


SCENARIOS = {
    scenario.__name__: scenario
    for scenario in (listener, noting, stubborn, mortal, frail, stillborn, silent, absent, failing_step, stores)
}

if __name__ == "__main__":
    # Pauses ten times shorter than in life.
    sys.exit(launch(SCENARIOS[sys.argv[1]], Patience(first_pause=0.05, longest_pause=0.4, healthy_after=2.0)))
