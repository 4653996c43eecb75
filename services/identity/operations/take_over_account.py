"""Giving an address to whoever has proven that its address is theirs."""

from dataclasses import dataclass
from uuid import UUID

from services.chassis import logs
from services.identity.operations.end_api_keys import EndApiKeys
from services.identity.operations.end_sessions import EndSessions
from services.identity.ports.accounts import Invitations, MemberRoles
from services.identity.ports.directory import Directory
from services.identity.ports.work import Work
from services.identity.rules.organizations import MemberRole, members_of
from services.identity.rules.users import NewUser, User

_log = logs.get(__name__)


@dataclass(frozen=True, slots=True)
class EndedAccess:
    """What has ended and is to be announced."""

    session_ids: list[str]
    api_key_ids: list[UUID]


@dataclass(frozen=True, slots=True)
class TakeOverAccount:
    """Gives the address of a user who has not verified it to a new user.

    As long as the address is not verified, anybody may have registered it. So nothing of that user becomes the new
    one's: conversations, bots and tools stay with the old user, who is disabled and in no organisation any more.
    """

    work: Work
    directory: Directory
    roles: MemberRoles
    invitations: Invitations
    ending: EndSessions
    api_keys: EndApiKeys

    async def take_over(self, user: User, new: NewUser) -> tuple[User, EndedAccess]:
        """Put a new user in the place of one, as a part of the work at hand; return the new one and what has ended.

        Raises UserNotFound, UsernameTaken, InvalidFields: see UserDirectory.replace_unverified.
        """
        await self._leave_organization(user)
        made = await self.directory.users.replace_unverified(user.user_id, new)
        return made, await self.end_access(user.user_id)

    async def end_access(self, user_id: UUID) -> EndedAccess:
        """End all sessions and API keys, as a part of the work at hand."""
        return EndedAccess(await self.directory.sessions.end_all(user_id), await self.api_keys.end_all(user_id))

    async def announce(self, ended: EndedAccess) -> None:
        """Tell every service. Raises SessionCheckUnavailable."""
        await self.ending.announce(ended.session_ids)
        await self.api_keys.announce(ended.api_key_ids)

    async def _leave_organization(self, user: User) -> None:
        organization_id = user.organization_id
        if organization_id is None:
            return
        await self.work.alone(members_of(organization_id))
        organizations = self.directory.organizations
        members = (await organizations.members(organization_id, "", 2)).items
        roles = await self.roles.of(organization_id, [user.user_id])
        await organizations.remove_member(organization_id, user.user_id)
        await self.roles.forget(organization_id, user.user_id)
        if [member.user_id for member in members] == [user.user_id]:
            # Nobody else is in it who could miss it.
            await organizations.delete(organization_id)
            await self.roles.forget(organization_id)
            await self.invitations.forget(organization_id)
        elif roles.get(user.user_id) is MemberRole.OWNER and not await self.roles.owners(organization_id):
            _log.warning("an organization has no owner any more", organization_id=str(organization_id))
