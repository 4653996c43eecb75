"""What the organisations of every Directory do."""

from uuid import uuid4

import pytest

from services.identity.errors import AlreadyMember, OrganizationNameTaken, OrganizationNotFound, UserNotFound
from services.identity.ports.directory import Directory
from services.identity.rules.organizations import Organization
from services.identity.rules.users import User
from tests.acceptance.identity.conftest import newcomer


def fresh_name(word: str = "School") -> str:
    """Return a name that no organisation has."""
    return f"{word} {uuid4().hex}"


@pytest.fixture
async def school(directory: Directory) -> Organization:
    """An organisation without members."""
    return await directory.organizations.create(fresh_name(), "Where people learn")


@pytest.fixture
async def ann(directory: Directory) -> User:
    """Somebody who has registered."""
    return await directory.users.create(newcomer())


async def test_an_organization_is_made_changed_and_deleted(directory: Directory, school: Organization) -> None:
    assert school.description == "Where people learn"
    assert await directory.organizations.get(school.organization_id) == school
    name = fresh_name()
    renamed = await directory.organizations.change(school.organization_id, {"name": name})
    assert renamed is not None
    assert (renamed.name, renamed.description) == (name, school.description)
    described = await directory.organizations.change(school.organization_id, {"description": "Other"})
    assert described is not None
    assert (described.name, described.description) == (name, "Other")
    assert await directory.organizations.get(school.organization_id) == described
    assert await directory.organizations.delete(school.organization_id)
    assert not await directory.organizations.delete(school.organization_id)
    assert await directory.organizations.get(school.organization_id) is None


async def test_names_are_unique(directory: Directory, school: Organization) -> None:
    with pytest.raises(OrganizationNameTaken):
        await directory.organizations.create(school.name, "")
    other = await directory.organizations.create(fresh_name(), "")
    with pytest.raises(OrganizationNameTaken):
        await directory.organizations.change(other.organization_id, {"name": school.name})
    assert await directory.organizations.get(other.organization_id) == other


async def test_what_is_not_there_is_not_found(directory: Directory, school: Organization, ann: User) -> None:
    nothing = uuid4()
    assert await directory.organizations.get(nothing) is None
    assert await directory.organizations.change(nothing, {"name": fresh_name()}) is None
    assert not await directory.organizations.delete(nothing)
    with pytest.raises(OrganizationNotFound):
        await directory.organizations.add_member(nothing, ann.user_id)
    with pytest.raises(UserNotFound):
        await directory.organizations.add_member(school.organization_id, nothing)
    assert not await directory.organizations.remove_member(school.organization_id, ann.user_id)


async def test_a_list_is_walked_page_by_page_and_filtered(directory: Directory) -> None:
    mark = uuid4().hex[:12]
    made = [await directory.organizations.create(f"{mark} {number}", "") for number in range(4)]
    page = await directory.organizations.page(mark.upper(), "", 3)
    assert len(page.items) == 3
    rest = await directory.organizations.page(mark.upper(), page.cursor, 3)
    assert rest.cursor == ""
    assert {one.organization_id for one in (*page.items, *rest.items)} == {one.organization_id for one in made}
    assert (await directory.organizations.page(f"no-{mark}", "", 3)).items == []


async def test_a_member_is_of_one_organization(directory: Directory, school: Organization, ann: User) -> None:
    for _ in range(2):
        await directory.organizations.add_member(school.organization_id, ann.user_id)
    other = await directory.organizations.create(fresh_name(), "")
    with pytest.raises(AlreadyMember):
        await directory.organizations.add_member(other.organization_id, ann.user_id)
    found = await directory.users.get(ann.user_id)
    assert found is not None
    assert found.organization_id == school.organization_id
    assert await directory.organizations.remove_member(school.organization_id, ann.user_id)
    assert not await directory.organizations.remove_member(school.organization_id, ann.user_id)
    left = await directory.users.get(ann.user_id)
    assert left is not None
    assert left.organization_id is None
    await directory.organizations.add_member(other.organization_id, ann.user_id)


async def test_members_are_listed_page_by_page(directory: Directory, school: Organization) -> None:
    people = [await directory.users.create(newcomer()) for _ in range(3)]
    for one in people:
        await directory.organizations.add_member(school.organization_id, one.user_id)
    page = await directory.organizations.members(school.organization_id, "", 2)
    assert len(page.items) == 2
    rest = await directory.organizations.members(school.organization_id, page.cursor, 2)
    assert rest.cursor == ""
    assert {one.user_id for one in (*page.items, *rest.items)} == {one.user_id for one in people}
    assert {one.organization_id for one in (*page.items, *rest.items)} == {school.organization_id}


async def test_the_members_of_a_deleted_organization_stay_users(
    directory: Directory, school: Organization, ann: User
) -> None:
    await directory.organizations.add_member(school.organization_id, ann.user_id)
    assert await directory.organizations.delete(school.organization_id)
    found = await directory.users.get(ann.user_id)
    assert found is not None
    assert found.organization_id is None
