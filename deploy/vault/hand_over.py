"""Lays a login into a file for each role: its role id and a single-use wrapped secret id. Whoever takes one removes it.

A used or aging login is replaced, so that a process that starts again, or loses its token, finds a fresh one. What the
file holds is of use once: whoever unwraps it second is refused, which shows that somebody else was first.
"""

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import hvac
from hvac.exceptions import VaultError
from requests.exceptions import RequestException

from deploy.vault.operator_login import log_in, options
from deploy.vault.roles import roles

_WRAPPED_FOR = "10m"
_FRESH_SECONDS = 300.0
_LOOK_SECONDS = 0.2
_OPERATOR_SECONDS = 1800.0


def hand_over(client: hvac.Client, folder: Path, names: Sequence[str]) -> None:
    """Lay a login for each role that has none, or an aging one. Raises hvac's VaultError, RequestException."""
    for name in names:
        path = folder / name
        if not _is_fresh(path):
            _lay(path, login(client, name))


def login(client: hvac.Client, name: str) -> dict[str, str]:
    """Return a role's login: `role_id`, and `wrapping_token`, which unwraps to a secret id once."""
    role_id = client.auth.approle.read_role_id(name)["data"]["role_id"]
    wrapped = client.auth.approle.generate_secret_id(name, wrap_ttl=_WRAPPED_FOR)
    return {"role_id": role_id, "wrapping_token": wrapped["wrap_info"]["token"]}


def _is_fresh(path: Path) -> bool:
    try:
        return time.time() - path.stat().st_mtime < _FRESH_SECONDS
    except FileNotFoundError:
        return False


def _lay(path: Path, content: dict[str, str]) -> None:
    draft = path.with_name(f".{path.name}.new")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        json.dump(content, file)
    draft.replace(path)


def main() -> int:
    """Keep the logins of --folder fresh until told to stop."""
    parser = options(__doc__ or "")
    parser.add_argument("--folder", required=True, type=Path, help="where the logins are laid, one file a role")
    given = parser.parse_args()
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    names = [role.name for role in roles(given.capabilities.split(","))]
    client, since = log_in(given), time.monotonic()
    # Those of an earlier start may be used up or of another Vault.
    for name in names:
        (given.folder / name).unlink(missing_ok=True)
    while not stop.wait(_LOOK_SECONDS):
        try:
            if time.monotonic() - since > _OPERATOR_SECONDS:
                client, since = log_in(given), time.monotonic()
            hand_over(client, given.folder, names)
        except (RequestException, VaultError) as error:
            # Vault is away or was started anew: said without its text, which may hold what was asked.
            sys.stderr.write(f"cannot hand over: {type(error).__name__}\n")
            since = float("-inf")
            stop.wait(1)
    return 0


if __name__ == "__main__":
    sys.exit(main())
