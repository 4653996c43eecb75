"""What two people do at the same moment: a rule holds as if one had come after the other, in both directories."""

import asyncio
from collections.abc import Awaitable
from dataclasses import dataclass
from uuid import UUID

import pytest
from redis.asyncio import Redis

from services.chassis import caller as callers
from services.chassis.caller import Caller
from services.chassis.database import Database
from services.chassis.errors import PermissionDenied, ServiceError
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
from services.identity.errors import (
    AlreadyMember,
    InvitationNotFound,
    LastOwner,
    MemberRoleTooLow,
    OrganizationNotFound,
    OwnAccount,
)
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
from services.identity.rules.users import ROLE_ADMIN
from tests.acceptance.identity.conftest import newcomer, now

ROUNDS = 3


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


@pytest.fixture
def school(directory: Directory, database: Database, valkey: Redis) -> School:
    """Everything on a directory of each backend."""
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


async def at_once(*works: Awaitable[ServiceError | None]) -> list[ServiceError | None]:
    """Do everything at once; each in a task of its own, so that each has its own caller."""
    return list(await asyncio.gather(*(asyncio.ensure_future(work) for work in works)))


def refused(outcomes: list[ServiceError | None]) -> list[type[ServiceError]]:
    """Return what was refused."""
    return [type(outcome) for outcome in outcomes if outcome is not None]


async def test_two_owners_who_leave_at_once_leave_one(school: School) -> None:
    for _ in range(ROUNDS):
        organization, people = await school.founded(MemberRole.OWNER)
        outcomes = await at_once(*(acting(person, school.members.remove(organization, person)) for person in people))
        assert refused(outcomes) == [LastOwner]
        assert len(await school.owners(organization)) == 1


async def test_of_two_owners_who_demote_each_other_one_stays(school: School) -> None:
    for _ in range(ROUNDS):
        # A third owner keeps the organisation from being without one: what is left to check is who may.
        organization, (ann, bob, eve) = await school.founded(MemberRole.OWNER, MemberRole.OWNER)
        outcomes = await at_once(
            acting(ann, school.members.change_role(organization, bob, MemberRole.MEMBER)),
            acting(bob, school.members.change_role(organization, ann, MemberRole.MEMBER)),
        )
        assert refused(outcomes) == [MemberRoleTooLow]
        assert len(await school.owners(organization) - {eve}) == 1


async def test_of_two_who_take_each_other_out_one_stays(school: School) -> None:
    for _ in range(ROUNDS):
        organization, (ann, bob) = await school.founded(MemberRole.OWNER)
        outcomes = await at_once(
            acting(ann, school.members.remove(organization, bob)),
            acting(bob, school.members.remove(organization, ann)),
        )
        assert refused(outcomes) == [OrganizationNotFound]
        assert len(await school.owners(organization)) == 1


async def test_who_is_disabled_or_gone_is_no_owner_who_is_left(school: School) -> None:
    organization, (ann, bob, eve) = await school.founded(MemberRole.OWNER, MemberRole.OWNER)
    await school.directory.users.set_active(bob, is_active=False)
    await school.directory.organizations.remove_member(organization, eve)
    refusal = await acting(ann, school.members.remove(organization, ann))
    assert isinstance(refusal, LastOwner)


async def test_an_invitation_is_accepted_once(school: School) -> None:
    for _ in range(ROUNDS):
        organization, _ = await school.founded()
        guest = await school.person()
        _, token = await school.offer(organization, guest, MemberRole.ADMIN)
        outcomes = await at_once(*(acting(guest, school.invitations.accept(guest, token)) for _ in range(3)))
        assert refused(outcomes) == [InvitationNotFound] * 2
        assert (await school.roles.of(organization, [guest]))[guest] is MemberRole.ADMIN


async def test_an_invitation_is_accepted_or_revoked(school: School) -> None:
    for _ in range(ROUNDS):
        organization, (owner,) = await school.founded()
        guest = await school.person()
        invitation, token = await school.offer(organization, guest, MemberRole.MEMBER)
        outcomes = await at_once(
            acting(guest, school.invitations.accept(guest, token)),
            acting(owner, school.invitations.revoke(organization, invitation)),
        )
        assert refused(outcomes) == [InvitationNotFound]
        user = await school.directory.users.get(guest)
        assert user is not None
        assert (user.organization_id is None) == (outcomes[0] is not None)
    assert isinstance(await acting(guest, school.invitations.accept(guest, token)), InvitationNotFound)


async def test_nobody_is_a_member_of_two(school: School) -> None:
    for _ in range(ROUNDS):
        offers = [await school.founded() for _ in range(2)]
        guest = await school.person()
        tokens = [(await school.offer(organization, guest, MemberRole.MEMBER))[1] for organization, _ in offers]
        name = f"School {new_id()}"
        outcomes = await at_once(
            *(acting(guest, school.invitations.accept(guest, token)) for token in tokens),
            acting(guest, school.organizations.create(guest, name, "", None)),
        )
        assert refused(outcomes) == [AlreadyMember] * 2
        # What was refused has left nothing behind.
        found = await school.directory.organizations.page(name, "", 5)
        assert len(found.items) == (outcomes[2] is None)


async def test_of_two_administrators_who_lock_each_other_out_one_stays(school: School) -> None:
    for _ in range(ROUNDS):
        ann, bob = await school.person(), await school.person()
        for person in (ann, bob):
            await school.directory.users.grant_role(person, ROLE_ADMIN)
        outcomes = await at_once(
            acting(ann, school.managing.disable(bob), ROLE_ADMIN),
            acting(bob, school.managing.revoke(ann, ROLE_ADMIN), ROLE_ADMIN),
        )
        assert refused(outcomes) == [PermissionDenied]
    assert isinstance(await acting(ann, school.managing.disable(ann), ROLE_ADMIN), OwnAccount)
