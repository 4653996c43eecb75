"""An organisation and its people: the operations on real stores, with a directory of either backend."""

from collections.abc import Awaitable
from dataclasses import dataclass
from uuid import UUID

from redis.asyncio import Redis

from services.chassis import caller as callers
from services.chassis.caller import Caller
from services.chassis.database import Database
from services.chassis.errors import ServiceError
from services.chassis.identifiers import new_id
from services.chassis.outbox import Outbox
from services.chassis.pagination import PageTokens
from services.chassis.revocations import RevokedSessions
from services.identity.backends.outbox_mail_queue import OutboxMailQueue
from services.identity.backends.postgres_api_keys import PostgresApiKeys
from services.identity.backends.postgres_audit_log import PostgresAuditLog
from services.identity.backends.postgres_invitations import PostgresInvitations
from services.identity.backends.postgres_member_roles import PostgresMemberRoles
from services.identity.backends.postgres_requests import PostgresRequests
from services.identity.backends.postgres_work import PostgresWork
from services.identity.backends.tables import OUTBOX
from services.identity.backends.valkey_attempts import ValkeyAttempts
from services.identity.backends.valkey_ended_sessions import ValkeyEndedSessions
from services.identity.operations.admit_to_organization import AdmitToOrganization
from services.identity.operations.end_api_keys import EndApiKeys
from services.identity.operations.end_sessions import EndSessions
from services.identity.operations.journal import Journal
from services.identity.operations.keep_invitations import KeepInvitations
from services.identity.operations.keep_members import KeepMembers
from services.identity.operations.keep_organizations import KeepOrganizations
from services.identity.operations.limit_attempts import LimitAttempts
from services.identity.operations.manage_users import ManageUsers
from services.identity.ports.accounts import Limit
from services.identity.ports.directory import Directory
from services.identity.rules.organizations import Invitation, MemberRole
from services.identity.rules.sessions import fingerprint
from tests.acceptance.identity.conftest import newcomer, now


@dataclass(frozen=True)
class School:
    """The operations on organisations and users, on real stores."""

    directory: Directory
    roles: PostgresMemberRoles
    offers: PostgresInvitations
    organizations: KeepOrganizations
    members: KeepMembers
    invitations: KeepInvitations
    managing: ManageUsers

    async def person(self) -> UUID:
        """Return somebody new, with a proven address."""
        user_id = (await self.directory.users.create(newcomer())).user_id
        await self.directory.users.verify_email(user_id)
        return user_id

    async def founded(self, *more: MemberRole) -> tuple[UUID, list[UUID]]:
        """Return an organisation and its people: an owner, and one for each role."""
        owner = await self.person()
        made = await self.organizations.create(owner, f"School {new_id()}", "", None)
        people = [owner]
        for role in more:
            people.append(await self.person())
            await self.directory.organizations.add_member(made.organization_id, people[-1])
            await self.roles.set(made.organization_id, people[-1], role)
        return made.organization_id, people

    async def owners(self, organization_id: UUID) -> set[UUID]:
        """Return the owners who are members."""
        members = await self.directory.organizations.members(organization_id, "", 50)
        return await self.roles.owners(organization_id) & {one.user_id for one in members.items}

    async def offer(self, organization_id: UUID, user_id: UUID, role: MemberRole) -> tuple[UUID, str]:
        """Invite somebody and return the invitation's id and its token."""
        user = await self.directory.users.get(user_id)
        assert user is not None
        invitation_id, token, at = new_id(), str(new_id()), now()
        await self.offers.add(Invitation(invitation_id, organization_id, user.email, role, at, at.replace(year=2100)))
        await self.offers.set_token(invitation_id, fingerprint(token))
        return invitation_id, token


def school_of(directory: Directory, database: Database, valkey: Redis) -> School:
    """Return everything on a directory."""
    work, pages = PostgresWork(database), PageTokens("s" * 32)
    journal = Journal(work, PostgresAuditLog(work), now, directory_is_ours=True)
    ended = ValkeyEndedSessions(RevokedSessions(valkey), 60)
    keys = EndApiKeys(work, PostgresApiKeys(work), ended, now)
    ending = EndSessions(directory.sessions, ended, journal, keys)
    roles, offers, requests = PostgresMemberRoles(work), PostgresInvitations(work), PostgresRequests(work)
    admission = AdmitToOrganization(directory, roles)
    much = Limit(10_000, 60)
    limits = LimitAttempts(ValkeyAttempts(valkey), *[much] * 6)
    queue = OutboxMailQueue(work, Outbox(database, OUTBOX))
    return School(
        directory,
        roles,
        offers,
        KeepOrganizations(directory, roles, offers, requests, admission, ending, keys, journal, pages),
        KeepMembers(directory, roles, admission, ending, keys, journal, pages),
        KeepInvitations(directory, offers, roles, requests, queue, admission, limits, journal, pages, now),
        ManageUsers(directory, ending, keys, journal, pages),
    )


async def acting(user_id: UUID, work: Awaitable[object], *roles: str) -> ServiceError | None:
    """Do something as a user, and return how it was refused."""
    callers.enter(Caller(user_id=str(user_id), session_id="s", roles=frozenset(roles)))
    try:
        await work
    except ServiceError as refusal:
        return refusal
    return None
