"""What is left of a membership that has ended: nothing, in both directories."""

import pytest
from redis.asyncio import Redis

from services.chassis.database import Database
from services.identity.errors import MemberRoleTooLow
from services.identity.ports.directory import Directory
from services.identity.rules.organizations import MemberRole
from tests.acceptance.identity.school import School, acting, school_of


@pytest.fixture
def school(directory: Directory, database: Database, valkey: Redis) -> School:
    """Everything on a directory of each backend."""
    return school_of(directory, database, valkey)


@pytest.mark.parametrize("leaves", [False, True], ids=["removed", "left"])
async def test_an_owner_who_comes_back_is_no_owner(school: School, *, leaves: bool) -> None:
    organization, (ann, bob) = await school.founded(MemberRole.OWNER)
    actor = bob if leaves else ann
    assert await acting(actor, school.members.remove(organization, bob)) is None
    assert await school.roles.owners(organization) == {ann}
    _, token = await school.offer(organization, bob, MemberRole.MEMBER)
    assert await acting(bob, school.invitations.accept(bob, token)) is None
    refusal = await acting(bob, school.members.change_role(organization, ann, MemberRole.MEMBER))
    assert isinstance(refusal, MemberRoleTooLow)
    # Alone, ann cannot leave: bob does not count as an owner.
    assert await acting(ann, school.members.remove(organization, ann)) is not None


async def test_an_organization_that_is_gone_leaves_no_roles_and_no_invitations(school: School) -> None:
    organization, (ann, bob) = await school.founded(MemberRole.OWNER)
    guest = await school.person()
    _, token = await school.offer(organization, guest, MemberRole.OWNER)
    assert await acting(ann, school.organizations.delete(organization)) is None
    assert await school.roles.of(organization, [ann, bob]) == {}
    assert await acting(guest, school.invitations.accept(guest, token)) is not None
