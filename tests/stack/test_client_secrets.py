"""The secrets of Keycloak's clients are changed in Vault and brought into the realm; nobody is started again."""

import os
import subprocess
from collections.abc import Iterator
from secrets import token_urlsafe

import hvac
import pytest

from deploy.keycloak.database import OPERATOR
from tests.stack.conftest import Stack, stack_settings
from tests.support.callers import Edge
from tests.support.running_mesh import PARLEY, environment

_NAMES = {"identity/keycloak-api-secret": "api", "identity/keycloak-client-secret": "identity"}


@pytest.fixture
def operator(stack: Stack) -> Iterator[hvac.Client]:
    """The operator of Vault; what a test changed is afterwards as it was."""
    client = hvac.Client(url=f"http://127.0.0.1:{stack.ports['vault']}")
    client.auth.userpass.login("operator", stack.secret("vault-operator-password"))
    yield client
    for name, short in _NAMES.items():
        _put(client, name, stack.secret(f"keycloak-client-parley-{short}"))
    assert _sync(stack)[0] == 0


async def test_a_clients_secret_is_replaced_while_people_sign_in(
    stack: Stack, edge: Edge, operator: hvac.Client
) -> None:
    services = stack.mesh.pid("services")
    bea = await edge.register()
    fresh = {name: token_urlsafe(32) for name in _NAMES}
    for name, value in fresh.items():
        _put(operator, name, value)
    code, told = _sync(stack)
    changed = [f"~ client parley-{short}: secret: another value" for short in _NAMES.values()]
    assert (code, sorted(told.splitlines())) == (0, sorted(changed))
    assert not [value for value in fresh.values() if value in told]
    # Asked with the old one, refused, asked with the new one.
    assert (await edge.sign_in(bea.user["email"]))["accessToken"]
    assert (await edge.register()).id
    assert stack.mesh.pid("services") == services
    assert _sync(stack, "--check") == (0, "The realm is as it should be.\n")


def _put(client: hvac.Client, name: str, value: str) -> None:
    client.secrets.kv.v2.create_or_update_secret(name, {"value": value})


def _sync(stack: Stack, *options: str) -> tuple[int, str]:
    """Run `parley identity sync` as the launcher does: its secrets are Vault's."""
    ours = {
        "secrets": "vault",
        "vault_url": f"http://127.0.0.1:{stack.ports['vault']}",
        "vault_login_file": stack.mesh.home / "run" / "vault" / "keycloak",
        "vault_role": "keycloak",
        "keycloak_url": stack.keycloak,
        "keycloak_operator_id": OPERATOR,
        "keycloak_require_tls": "false",
    }
    env = environment(stack.mesh.home, stack.mesh.port, stack_settings(stack.page) | ours)
    command = [PARLEY, "identity", "sync", *options]
    done = subprocess.run(
        command, env=os.environ | env, cwd=stack.mesh.home, capture_output=True, text=True, timeout=120, check=False
    )
    assert not done.stderr, done.stderr
    return done.returncode, done.stdout
