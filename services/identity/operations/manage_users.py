"""What administrators do with accounts."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from services.chassis import caller as callers
from services.chassis.errors import InvalidFields, PermissionDenied
from services.chassis.pagination import PageTokens, page_size
from services.identity.errors import OwnAccount, UserNotFound
from services.identity.operations.callers import caller_id
from services.identity.operations.end_api_keys import EndApiKeys
from services.identity.operations.end_sessions import EndSessions
from services.identity.operations.journal import Journal
from services.identity.ports.directory import Directory
from services.identity.rules.users import GRANTABLE_ROLES, ROLE_ADMIN, User, UserQuery

_ADMINISTRATORS = "administrators"
"""By which name changes that may lock an administrator out wait for each other."""


@dataclass(frozen=True, slots=True)
class ManageUsers:
    """Lists users, disables and enables them, gives and takes roles."""

    directory: Directory
    ending: EndSessions
    api_keys: EndApiKeys
    journal: Journal
    page_tokens: PageTokens

    async def page(self, query: UserQuery, size: int, token: str) -> tuple[Sequence[User], str]:
        """Return a page of the users that the query chooses, and the token of the next one."""
        name = f"users/{query}"
        page = await self.directory.users.page(query, self.page_tokens.read(name, token), page_size(size))
        return page.items, self.page_tokens.sign(name, page.cursor) if page.cursor else ""

    async def disable(self, user_id: UUID) -> User:
        """Let a user sign in no more and end all sessions and keys at once. Raises UserNotFound, OwnAccount."""
        async with self.journal.recording("user.disable", str(user_id), alone=[_ADMINISTRATORS]):
            await self._check_may_lock_out(user_id)
            user = _found(await self.directory.users.set_active(user_id, is_active=False), user_id)
            ended = await self.directory.sessions.end_all(user_id)
        await self.ending.announce(ended)
        await self.api_keys.announce_all(user_id)
        return user

    async def enable(self, user_id: UUID) -> User:
        """Let a disabled user sign in again. Raises UserNotFound."""
        async with self.journal.recording("user.enable", str(user_id)):
            return _found(await self.directory.users.set_active(user_id, is_active=True), user_id)

    async def grant(self, user_id: UUID, role: str) -> User:
        """Give a role. Raises InvalidFields for one that is not given, and UserNotFound."""
        _check(role)
        async with self.journal.recording("role.grant", str(user_id), role=role):
            return _found(await self.directory.users.grant_role(user_id, role), user_id)

    async def revoke(self, user_id: UUID, role: str) -> User:
        """Take a role and end the sessions whose tokens show it. Raises InvalidFields, UserNotFound, OwnAccount."""
        _check(role)
        alone = [_ADMINISTRATORS] if role == ROLE_ADMIN else []
        async with self.journal.recording("role.revoke", str(user_id), alone=alone, role=role):
            if role == ROLE_ADMIN:
                await self._check_may_lock_out(user_id)
            user = _found(await self.directory.users.revoke_role(user_id, role), user_id)
            ended = await self.directory.sessions.end_all(user_id)
        await self.ending.announce(ended)
        return user

    async def _check_may_lock_out(self, user_id: UUID) -> None:
        # The caller stays an administrator, so there is one. The last one who was locked out could be let in by nobody.
        caller = callers.current()
        if caller.user_id == str(user_id):
            raise OwnAccount(user_id=user_id)
        # The directory is asked, not the token: two may lock each other out at the same moment.
        me = await self.directory.users.get(caller_id(caller.user_id))
        if me is None or not me.is_active or ROLE_ADMIN not in me.roles:
            raise PermissionDenied(method="this", needed=f"the role {ROLE_ADMIN}")


def _found(user: User | None, user_id: UUID) -> User:
    if user is None:
        raise UserNotFound(user_id=user_id)
    return user


def _check(role: str) -> None:
    if role not in GRANTABLE_ROLES:
        raise InvalidFields([("role", f"must be one of {', '.join(sorted(GRANTABLE_ROLES))}")])
