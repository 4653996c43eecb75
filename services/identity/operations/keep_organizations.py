"""Making, listing, changing and deleting organisations."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from services.chassis.errors import InvalidFields, Unauthenticated
from services.chassis.pagination import MAX_PAGE_SIZE, PageTokens, page_size
from services.identity.errors import AlreadyMember, OrganizationNotFound
from services.identity.operations.admit_to_organization import AdmitToOrganization
from services.identity.operations.end_api_keys import EndApiKeys
from services.identity.operations.end_sessions import EndSessions
from services.identity.operations.journal import Journal
from services.identity.ports.accounts import Invitations, MemberRoles, Requests
from services.identity.ports.directory import Directory
from services.identity.rules.organizations import (
    MemberRole,
    Organization,
    members_of,
    membership_of,
    organization_changes,
)


@dataclass(frozen=True, slots=True)
class KeepOrganizations:
    """Keeps organisations."""

    directory: Directory
    roles: MemberRoles
    invitations: Invitations
    requests: Requests
    admission: AdmitToOrganization
    ending: EndSessions
    api_keys: EndApiKeys
    journal: Journal
    page_tokens: PageTokens

    async def create(self, user_id: UUID, name: str, description: str, request_id: UUID | None) -> Organization:
        """Make an organisation with the caller as its owner; the same request again returns the same one.

        Raises:
            InvalidFields: the name is blank.
            AlreadyMember: the caller is in an organisation.
            OrganizationNameTaken: another one has the name.
            RequestIdReused: the request id came before with something else.
            Unauthenticated: the caller's user is gone.
        """
        name, description = name.strip(), description.strip()
        if not name:
            raise InvalidFields([("name", "is required")])
        content = f"organization\n{name}\n{description}"
        if request_id is not None and (made := await self.requests.made(str(user_id), request_id, content)):
            return await self.get(made)
        await self._check_is_free(user_id)
        async with self.journal.recording("organization.create", alone=[membership_of(user_id)], name=name) as entry:
            # Again, for the user may have become a member while this waited.
            await self._check_is_free(user_id)
            organization = await self.directory.organizations.create(name, description)
            entry.subject_id = str(organization.organization_id)
            await self.directory.organizations.add_member(organization.organization_id, user_id)
            await self.roles.set(organization.organization_id, user_id, MemberRole.OWNER)
            if request_id is not None:
                await self.requests.add(str(user_id), request_id, content, organization.organization_id)
        return organization

    async def page(self, text: str, size: int, token: str) -> tuple[Sequence[Organization], str]:
        """Return a page of all organisations whose name holds the text, and the token of the next one."""
        name = f"organizations/{text}"
        page = await self.directory.organizations.page(text, self.page_tokens.read(name, token), page_size(size))
        return page.items, self.page_tokens.sign(name, page.cursor) if page.cursor else ""

    async def get(self, organization_id: UUID) -> Organization:
        """Return an organisation of the caller. Raises OrganizationNotFound."""
        organization, _ = await self.admission.admit(organization_id, MemberRole.MEMBER)
        return organization

    async def change(self, organization_id: UUID, values: Mapping[str, str], mask: Sequence[str]) -> Organization:
        """Change name or description; see `organization_changes`.

        Raises:
            OrganizationNotFound, MemberRoleTooLow: see AdmitToOrganization.
            FieldNotUpdatable, InvalidFields: see organization_changes.
            OrganizationNameTaken: another one has the name.
        """
        organization, _ = await self.admission.admit(organization_id, MemberRole.ADMIN)
        changes = organization_changes(values, mask)
        if not changes:
            return organization
        async with self.journal.recording(
            "organization.update", str(organization_id), fields=" ".join(sorted(changes))
        ):
            changed = await self.directory.organizations.change(organization_id, changes)
            if changed is None:
                raise OrganizationNotFound(organization_id=organization_id)
        return changed

    async def delete(self, organization_id: UUID) -> None:
        """Delete an organisation and end its members' sessions and keys, which act with it.

        Raises OrganizationNotFound, MemberRoleTooLow.
        """
        await self.admission.admit(organization_id, MemberRole.OWNER)
        ended: list[str] = []
        keys: list[UUID] = []
        async with self.journal.recording(
            "organization.delete", str(organization_id), alone=[members_of(organization_id)]
        ):
            await self.admission.admit(organization_id, MemberRole.OWNER)
            members = await self._members(organization_id)
            if not await self.directory.organizations.delete(organization_id):
                raise OrganizationNotFound(organization_id=organization_id)
            await self.roles.forget(organization_id)
            await self.invitations.forget(organization_id)
            for user_id in members:
                ended.extend(await self.directory.sessions.end_all(user_id))
                keys.extend(await self.api_keys.end_all(user_id))
        await self.ending.announce(ended)
        await self.api_keys.announce(keys)

    async def _check_is_free(self, user_id: UUID) -> None:
        user = await self.directory.users.get(user_id)
        if user is None:
            raise Unauthenticated(cause="the user is gone")
        if user.organization_id is not None:
            raise AlreadyMember

    async def _members(self, organization_id: UUID) -> list[UUID]:
        page = await self.directory.organizations.members(organization_id, "", MAX_PAGE_SIZE)
        members = [one.user_id for one in page.items]
        while page.cursor:
            page = await self.directory.organizations.members(organization_id, page.cursor, MAX_PAGE_SIZE)
            members.extend(one.user_id for one in page.items)
        return members
