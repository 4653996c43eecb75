"""The secrets by which identity talks to Keycloak may change while it runs."""

from datetime import timedelta
from typing import Literal

import pytest

from services.identity.backends.keycloak_directory import keycloak_directory
from services.identity.backends.keycloak_realm import KeycloakRealm
from tests.acceptance.identity.conftest import PASSWORD, newcomer
from tests.support.running_keycloak import RunningKeycloak

_LIFETIMES = timedelta(minutes=30), timedelta(days=7)


class _Changed:
    """Implements LiveSecret: what was read last is not good any more."""

    def __init__(self, good: str) -> None:
        self._good = good
        self._now = "the one before"

    def now(self) -> str:
        """See LiveSecret."""
        return self._now

    async def look_again(self) -> str:
        """See LiveSecret."""
        self._now = self._good
        return self._now


@pytest.mark.parametrize("changed", ["identity", "api", "both"])
async def test_a_secret_that_is_refused_is_looked_up_again(
    keycloak: RunningKeycloak, changed: Literal["identity", "api", "both"]
) -> None:
    secrets = []
    for name in ("identity", "api"):
        secret = _Changed(keycloak.secret(f"keycloak-client-parley-{name}"))
        if changed not in (name, "both"):
            await secret.look_again()
        secrets.append(secret)
    realm = KeycloakRealm(keycloak.url, "parley", *secrets)
    directory = keycloak_directory(realm, *_LIFETIMES)
    person = newcomer()
    assert (await directory.users.create(person)).email == person.email
    assert (await directory.sessions.sign_in(person.email, PASSWORD)).access_token
    await realm.close()
