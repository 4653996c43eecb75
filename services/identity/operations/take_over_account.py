"""Giving an account to whoever has proven that its address is theirs."""

from dataclasses import dataclass
from uuid import UUID

from services.chassis import logs
from services.identity.operations.end_api_keys import EndApiKeys
from services.identity.operations.end_sessions import EndSessions
from services.identity.ports.accounts import Invitations, MemberRoles
from services.identity.ports.directory import Directory
from services.identity.ports.work import Work
from services.identity.rules.organizations import MemberRole, members_of
from services.identity.rules.users import User

_log = logs.get(__name__)


@dataclass(frozen=True, slots=True)
class EndedAccess:
    """What has ended and is to be announced."""

    session_ids: list[str]
    api_key_ids: list[UUID]


@dataclass(frozen=True, slots=True)
class TakeOverAccount:
    """Ends the access of everybody else who may have it.

    As long as the address is not verified, anybody may have registered it. Then more ends than after a forgotten
    password: passkeys, links to other identity providers, and the membership of an organisation.
    """

    work: Work
    directory: Directory
    roles: MemberRoles
    invitations: Invitations
    ending: EndSessions
    api_keys: EndApiKeys

    async def take_over(self, user: User, password: str) -> EndedAccess:
        """Set the password, verify the address and end all access, as a part of the work at hand.

        Raises InvalidFields when the directory's policy refuses the password.
        """
        users = self.directory.users
        if not user.email_verified:
            await self._leave_organization(user)
            await users.forget_other_logins(user.user_id)
        await users.set_password(user.user_id, password)
        await users.verify_email(user.user_id)
        return EndedAccess(
            await self.directory.sessions.end_all(user.user_id), await self.api_keys.end_all(user.user_id)
        )

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
