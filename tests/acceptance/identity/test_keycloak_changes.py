"""A change of a Keycloak user sends what it changes: what others changed since it was read stays."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any, cast
from uuid import UUID

from services.chassis.secrets import FixedSecret
from services.identity.backends.keycloak_directory import keycloak_directory
from services.identity.backends.keycloak_realm import KeycloakRealm
from services.identity.backends.keycloak_users import KeycloakUsers
from services.identity.ports.directory import UserDirectory
from tests.acceptance.identity.conftest import newcomer
from tests.support.running_keycloak import RunningKeycloak


@dataclass
class InterruptedRealm:
    """A realm in which somebody is disabled and verified right after they were read for the first time."""

    realm: KeycloakRealm
    users: UserDirectory
    user_id: UUID
    is_done: bool = False

    async def get(self, path: str, **query: Any) -> Any:
        found = await self.realm.get(path, **query)
        if path == f"users/{self.user_id}" and not self.is_done:
            self.is_done = True
            await self.users.set_active(self.user_id, is_active=False)
            await self.users.verify_email(self.user_id)
        return found

    def __getattr__(self, name: str) -> Any:
        return getattr(self.realm, name)


async def test_a_change_of_the_profile_enables_nobody_who_was_disabled_meanwhile(keycloak: RunningKeycloak) -> None:
    secrets = (FixedSecret(keycloak.secret(f"keycloak-client-parley-{name}")) for name in ("identity", "api"))
    realm = KeycloakRealm(keycloak.url, "parley", *secrets)
    users = keycloak_directory(realm, timedelta(minutes=30), timedelta(days=7)).users
    user = await users.create(newcomer())
    await users.change_profile(user.user_id, {"level": "advanced"})
    interrupted = KeycloakUsers(cast("KeycloakRealm", InterruptedRealm(realm, users, user.user_id)))
    changed = await interrupted.change_profile(user.user_id, {"display_name": "Ann"})
    await realm.close()
    assert changed is not None
    assert (changed.is_active, changed.email_verified) == (False, True)
    assert (changed.display_name, changed.level) == ("Ann", "advanced")
    assert (changed.email, changed.username) == (user.email, user.username)
