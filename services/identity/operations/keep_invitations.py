"""Inviting people into organisations."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from services.chassis.errors import Unauthenticated
from services.chassis.identifiers import new_id
from services.chassis.pagination import PageTokens
from services.identity.errors import InvitationNotFound, RequestIdReused
from services.identity.operations.admit_to_organization import AdmitToOrganization
from services.identity.operations.callers import caller_id
from services.identity.operations.journal import Journal
from services.identity.operations.limit_attempts import LimitAttempts
from services.identity.ports.accounts import Invitations, MailQueue, MemberRoles, Requests
from services.identity.ports.directory import Directory
from services.identity.ports.work import Clock
from services.identity.rules.identifiers import canonical_email, canonical_login, deliverable_email
from services.identity.rules.organizations import (
    INVITATION_LIFETIME,
    Invitation,
    MemberRole,
    Organization,
    demand,
    members_of,
    membership_of,
)
from services.identity.rules.sessions import fingerprint
from services.identity.rules.users import demand_verified


@dataclass(frozen=True, slots=True)
class KeepInvitations:
    """Keeps invitations. What names an organisation raises OrganizationNotFound and MemberRoleTooLow."""

    directory: Directory
    invitations: Invitations
    roles: MemberRoles
    requests: Requests
    mails: MailQueue
    admission: AdmitToOrganization
    limits: LimitAttempts
    journal: Journal
    page_tokens: PageTokens
    clock: Clock

    async def create(
        self, user_id: str, organization_id: UUID, email: str, role: MemberRole, request_id: UUID | None
    ) -> Invitation:
        """Invite somebody and have the mail sent; the same request again returns the same invitation.

        Raises:
            MemberRoleTooLow: for a role above the caller's own, too.
            EmailNotVerified: the caller has not proven an address.
            TooManyAttempts: the address was sent too many mails, or caller or organisation have sent too many.
            RequestIdReused: the request id came before with something else, or its invitation is no longer open.
        """
        _, mine = await self.admission.admit(organization_id, MemberRole.ADMIN)
        demand(mine, role)
        demand_verified(await self.directory.users.get(caller_id(user_id)))
        now = self.clock()
        content = f"invitation\n{organization_id}\n{email}\n{role}"
        if request_id is not None and (made := await self.requests.made(user_id, request_id, content)):
            found = await self.invitations.get(made, now)
            if found is None:
                raise RequestIdReused(request_id=request_id)
            return found
        form = canonical_email(email)
        await self.limits.of_invitations(user_id, organization_id)
        await self.limits.of_mails(form)
        address = deliverable_email(email)
        invitation = Invitation(new_id(), organization_id, address, role, now, now + INVITATION_LIFETIME)
        async with self.journal.recording(
            "invitation.create", str(organization_id), email=form, role=role.name.lower()
        ) as entry:
            entry.details["invitation_id"] = str(invitation.invitation_id)
            await self.invitations.add(invitation)
            await self.mails.invitation(invitation.invitation_id)
            if request_id is not None:
                await self.requests.add(user_id, request_id, content, invitation.invitation_id)
        return invitation

    async def page(self, organization_id: UUID, size: int, token: str) -> tuple[Sequence[Invitation], str]:
        """Return a page of the open invitations, and the token of the next one."""
        await self.admission.admit(organization_id, MemberRole.ADMIN)
        asked = self.page_tokens.asked(f"invitations/{organization_id}", size, token)
        found = await self.invitations.page(organization_id, asked.last_id, asked.count, self.clock())
        return asked.of(found, lambda one: one.invitation_id)

    async def revoke(self, organization_id: UUID, invitation_id: UUID) -> None:
        """Take an open invitation back. Raises InvitationNotFound."""
        await self.admission.admit(organization_id, MemberRole.ADMIN)
        async with self.journal.recording("invitation.revoke", str(organization_id), invitation_id=str(invitation_id)):
            if not await self.invitations.close(invitation_id, organization_id, self.clock()):
                raise InvitationNotFound

    async def accept(self, user_id: UUID, token: str) -> Organization:
        """Make the caller a member.

        Raises:
            InvitationNotFound: the token is wrong, used, expired or was sent to another address.
            EmailNotVerified: the caller has not proven the address.
            AlreadyMember: the caller is in another organisation.
            TooManyAttempts, AttemptsNotCounted: as with every token that could be guessed.
            Unauthenticated: the caller's user is gone.
        """
        await self.limits.of_address()
        user = await self.directory.users.get(user_id)
        if user is None:
            raise Unauthenticated(cause="the user is gone")
        invitation = await self.invitations.by_token(fingerprint(token.strip()), self.clock())
        alone = [members_of(invitation.organization_id), membership_of(user_id)] if invitation else []
        async with self.journal.recording("invitation.accept", alone=alone) as entry:
            if invitation is None or canonical_login(invitation.email) != canonical_login(user.email):
                raise InvitationNotFound
            demand_verified(user)
            # The one statement that decides: another acceptance or a revocation may have been first.
            if not await self.invitations.close(invitation.invitation_id, invitation.organization_id, self.clock()):
                raise InvitationNotFound
            organization_id = invitation.organization_id
            entry.subject_id = str(organization_id)
            organization = await self.directory.organizations.get(organization_id)
            if organization is None:
                raise InvitationNotFound
            was_member = await self._is_member(organization_id, user_id)
            await self.directory.organizations.add_member(organization_id, user_id)
            # Who is a member already keeps the role: an invitation lowers nobody's.
            if not was_member and invitation.role is not MemberRole.MEMBER:
                await self.roles.set(organization_id, user_id, invitation.role)
        return organization

    async def _is_member(self, organization_id: UUID, user_id: UUID) -> bool:
        user = await self.directory.users.get(user_id)
        return user is not None and user.organization_id == organization_id
