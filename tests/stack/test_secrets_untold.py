"""What the full stack generates for itself stays where it was put."""

from tests.stack.conftest import Stack
from tests.support.callers import Person

_SHORTEST = 16


async def test_no_generated_secret_stands_in_a_log(stack: Stack, ada: Person) -> None:
    assert await ada.answer(await ada.open_conversation(private=True), "Hello") == "You said: Hello"
    home = stack.mesh.home
    secrets = {
        line.strip()
        for path in (home / "secrets").rglob("*")
        if path.is_file()
        for line in path.read_bytes().splitlines()
        if len(line.strip()) >= _SHORTEST and b" " not in line.strip()
    }
    # Client secrets, passwords of the stores, the operators' passwords, the house's own secret.
    assert len(secrets) >= 10, len(secrets)
    logs = [path for path in (home / "logs").rglob("*") if path.is_file()]
    assert len(logs) >= 8, logs
    told = [path.name for path in [*logs, home / "terminal"] for secret in secrets if secret in path.read_bytes()]
    # The terminal of the person who started the stack shows the consoles' logins.
    assert set(told) <= {"terminal"}, told
