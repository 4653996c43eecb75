"""What two people do at the same moment: a rule holds as if one had come after the other, in both directories."""

import asyncio
from collections.abc import Awaitable

import pytest
from redis.asyncio import Redis

from services.chassis.database import Database
from services.chassis.errors import PermissionDenied, ServiceError
from services.chassis.identifiers import new_id
from services.identity.errors import (
    AlreadyMember,
    InvitationNotFound,
    LastOwner,
    MemberRoleTooLow,
    OrganizationNotFound,
    OwnAccount,
)
from services.identity.ports.directory import Directory
from services.identity.rules.organizations import MemberRole
from services.identity.rules.users import ROLE_ADMIN
from tests.acceptance.identity.school import School, acting, school_of

ROUNDS = 3


@pytest.fixture
def school(directory: Directory, database: Database, valkey: Redis) -> School:
    """Everything on a directory of each backend."""
    return school_of(directory, database, valkey)


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
