"""What the full stack generates for itself stays where it was put."""

from pathlib import Path

import psutil

from tests.stack.conftest import Stack
from tests.support.callers import Person

_SHORTEST = 16
_OURS = ("certificates", "rest", "services", "vault-logins", "websocket", "worker")
"""Parley's own processes; what they are told is the launcher's business, not the person's who started it."""


async def test_no_generated_secret_stands_in_a_log(stack: Stack, ada: Person) -> None:
    assert await ada.answer(await ada.open_conversation(private=True), "Hello") == "You said: Hello"
    home = stack.mesh.home
    secrets = generated(home)
    logs = [path for path in (home / "logs").rglob("*") if path.is_file()]
    assert len(logs) >= 8, logs
    told = [path.name for path in [*logs, home / "terminal"] for secret in secrets if secret in path.read_bytes()]
    # The terminal of the person who started the stack shows the consoles' logins.
    assert set(told) <= {"terminal"}, told


def test_no_generated_secret_stands_in_an_environment_or_on_a_command_line(stack: Stack, ada: Person) -> None:
    assert ada.user["id"], "the stack serves"
    secrets = generated(stack.mesh.home)
    processes = [stack.mesh.launcher, *stack.mesh.launcher.children(recursive=True)]
    assert {stack.mesh.pid(part) for part in _OURS} <= {process.pid for process in processes}
    told = []
    for process in processes:
        folder = Path("/proc") / str(process.pid)
        try:
            title, shown = process.name(), (folder / "environ").read_bytes() + (folder / "cmdline").read_bytes()
        except (psutil.NoSuchProcess, FileNotFoundError, ProcessLookupError):
            continue  # a step of RabbitMQ's, say, that has ended meanwhile
        told += [(title, process.pid) for secret in secrets if secret in shown]
    assert told == []


def generated(home: Path) -> set[bytes]:
    """Return every secret that the launcher made, and what stands in the files that it wrote with them."""
    secrets = {
        line.strip()
        for path in (home / "secrets").rglob("*")
        if path.is_file()
        for line in path.read_bytes().splitlines()
        if len(line.strip()) >= _SHORTEST and b" " not in line.strip()
    }
    # Client secrets, passwords of the stores, the operators' passwords, the house's own secret.
    assert len(secrets) >= 10, len(secrets)
    return secrets
