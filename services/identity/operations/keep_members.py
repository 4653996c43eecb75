"""Listing members, giving them roles and taking them out."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from services.chassis import caller as callers
from services.chassis.pagination import PageTokens, page_size
from services.identity.errors import LastOwner, MemberRoleTooLow, UserNotFound
from services.identity.operations.admit_to_organization import AdmitToOrganization
from services.identity.operations.end_api_keys import EndApiKeys
from services.identity.operations.end_sessions import EndSessions
from services.identity.operations.journal import Journal
from services.identity.ports.accounts import MemberRoles
from services.identity.ports.directory import Directory
from services.identity.rules.organizations import Member, MemberRole, members_of
from services.identity.rules.users import User


@dataclass(frozen=True, slots=True)
class KeepMembers:
    """Keeps the members of organisations. All of it raises OrganizationNotFound and MemberRoleTooLow."""

    directory: Directory
    roles: MemberRoles
    admission: AdmitToOrganization
    ending: EndSessions
    api_keys: EndApiKeys
    journal: Journal
    page_tokens: PageTokens

    async def page(self, organization_id: UUID, size: int, token: str) -> tuple[Sequence[Member], str]:
        """Return a page of the members, and the token of the next one."""
        await self.admission.admit(organization_id, MemberRole.MEMBER)
        name = f"members/{organization_id}"
        cursor = self.page_tokens.read(name, token)
        page = await self.directory.organizations.members(organization_id, cursor, page_size(size))
        roles = await self.roles.of(organization_id, [user.user_id for user in page.items])
        members = [Member(user, roles.get(user.user_id, MemberRole.MEMBER)) for user in page.items]
        return members, self.page_tokens.sign(name, page.cursor) if page.cursor else ""

    async def change_role(self, organization_id: UUID, user_id: UUID, role: MemberRole) -> Member:
        """Give a member a role.

        Raises:
            UserNotFound: the user is no member.
            LastOwner: there would be no owner left.
        """
        await self.admission.admit(organization_id, MemberRole.OWNER)
        await self._member(organization_id, user_id)
        async with self.journal.recording(
            "member.role",
            str(user_id),
            alone=[members_of(organization_id)],
            organization_id=str(organization_id),
            role=role.name.lower(),
        ):
            # Again, for the caller may have been demoted or the user have left while this waited.
            await self.admission.admit(organization_id, MemberRole.OWNER)
            user = await self._member(organization_id, user_id)
            if role is not MemberRole.OWNER:
                await self._keep_an_owner(organization_id, user_id)
            await self.roles.set(organization_id, user_id, role)
        return Member(user, role)

    async def remove(self, organization_id: UUID, user_id: UUID) -> None:
        """Take a member out, or let the caller leave, and end the sessions and keys that act with the membership.

        Raises:
            UserNotFound: the user is no member.
            LastOwner: there would be no owner left.
        """
        await self._admit_to_remove(organization_id, user_id)
        async with self.journal.recording(
            "member.remove", str(user_id), alone=[members_of(organization_id)], organization_id=str(organization_id)
        ):
            await self._admit_to_remove(organization_id, user_id)
            await self._keep_an_owner(organization_id, user_id)
            await self.directory.organizations.remove_member(organization_id, user_id)
            await self.roles.forget(organization_id, user_id)
            ended = await self.directory.sessions.end_all(user_id)
            keys = await self.api_keys.end_all(user_id)
        await self.ending.announce(ended)
        await self.api_keys.announce(keys)

    async def _admit_to_remove(self, organization_id: UUID, user_id: UUID) -> None:
        leaves = callers.current().user_id == str(user_id)
        _, mine = await self.admission.admit(organization_id, MemberRole.MEMBER if leaves else MemberRole.ADMIN)
        await self._member(organization_id, user_id)
        theirs = (await self.roles.of(organization_id, [user_id])).get(user_id, MemberRole.MEMBER)
        if theirs > mine:
            raise MemberRoleTooLow(needed=theirs.name.lower())

    async def _member(self, organization_id: UUID, user_id: UUID) -> User:
        user = await self.directory.users.get(user_id)
        # Whether somebody who is no member has an account, is nobody's business here.
        if user is None or user.organization_id != organization_id:
            raise UserNotFound(user_id=user_id)
        return user

    async def _keep_an_owner(self, organization_id: UUID, without: UUID) -> None:
        owners = await self.roles.owners(organization_id)
        if without not in owners:
            return
        for user_id in sorted(owners - {without}):
            user = await self.directory.users.get(user_id)
            # A directory may have lost a member without us, and who is disabled cannot act.
            if user is not None and user.is_active and user.organization_id == organization_id:
                return
        raise LastOwner
