"""Who sees an organisation, and as what."""

from dataclasses import dataclass
from uuid import UUID

from services.chassis import caller as callers
from services.identity.errors import OrganizationNotFound
from services.identity.operations.callers import caller_id
from services.identity.ports.accounts import MemberRoles
from services.identity.ports.directory import Directory
from services.identity.rules.organizations import MemberRole, Organization, demand
from services.identity.rules.users import ROLE_ADMIN


@dataclass(frozen=True, slots=True)
class AdmitToOrganization:
    """Lets members and administrators in. The directory is asked, not the token: a token may be older than a change."""

    directory: Directory
    roles: MemberRoles

    async def admit(self, organization_id: UUID, needed: MemberRole) -> tuple[Organization, MemberRole]:
        """Return the organisation and the caller's role in it; an administrator of the house counts as an owner.

        Raises:
            OrganizationNotFound: there is none, or the caller is no member: which of the two is not told.
            MemberRoleTooLow: the caller's role is not enough.
        """
        organization = await self.directory.organizations.get(organization_id)
        role = await self._role(organization_id)
        if organization is None or role is None:
            raise OrganizationNotFound(organization_id=organization_id)
        demand(role, needed)
        return organization, role

    async def _role(self, organization_id: UUID) -> MemberRole | None:
        caller = callers.current()
        user_id = caller_id(caller.user_id)
        if ROLE_ADMIN in caller.roles:
            return MemberRole.OWNER
        return await self.role_of(organization_id, user_id)

    async def role_of(self, organization_id: UUID, user_id: UUID) -> MemberRole | None:
        """Return what a user is in an organisation; None for who is no member."""
        user = await self.directory.users.get(user_id)
        if user is None or user.organization_id != organization_id:
            return None
        return (await self.roles.of(organization_id, [user_id])).get(user_id, MemberRole.MEMBER)
