"""People keep an organisation: members, roles, invitations.

What has a path of two ids: OrganizationService.ChangeMemberRole, OrganizationService.RemoveMember and
OrganizationService.RevokeInvitation.
"""

from dataclasses import dataclass
from uuid import uuid4

import pytest

from tests.support.callers import Edge, Person, refusal
from tests.support.mailbox import Mailbox, verify
from tests.support.running_mesh import RunningMesh

ORGANIZATIONS = "/api/v1/organizations"
ACCEPT = "/api/v1/invitations:accept"
MEMBER, ADMIN, OWNER = (f"MEMBER_ROLE_{role}" for role in ("MEMBER", "ADMIN", "OWNER"))


@dataclass(frozen=True, slots=True)
class School:
    """An organisation with one of each."""

    path: str
    owner: Person
    admin: Person
    member: Person


@pytest.fixture
def mailbox(mesh: RunningMesh) -> Mailbox:
    """The mails of the house."""
    return Mailbox(mesh.home)


async def invited(edge: Edge, mailbox: Mailbox, path: str, by: Person, role: str) -> Person:
    """Let somebody new join by an invitation."""
    person = await verify(await edge.register(), mailbox.home)
    await accepted(mailbox, path, by, person, role)
    return person


async def joined(edge: Edge, mailbox: Mailbox, path: str, by: Person, person: Person, role: str) -> Person:
    """Let somebody who is there join by an invitation, and sign in for the organisation."""
    await accepted(mailbox, path, by, person, role)
    return await edge.person(person.user["email"])


async def accepted(mailbox: Mailbox, path: str, by: Person, person: Person, role: str) -> None:
    """Invite somebody and let them accept."""
    email = person.user["email"]
    await by.post(f"{path}/invitations", email=email, role=role)
    mailbox.wait_for(email, 2)
    token = next(text for text in mailbox.texts(email) if "invited" in text).splitlines()[4]
    await person.post(ACCEPT, token=token)


@pytest.fixture
async def school(edge: Edge, mailbox: Mailbox) -> School:
    """A school with an owner, an admin and a member."""
    owner = await verify(await edge.register(), mailbox.home)
    made = await owner.post(ORGANIZATIONS, name=f"School {uuid4().hex}", description="Learns")
    path = f"{ORGANIZATIONS}/{made['id']}"
    admin = await invited(edge, mailbox, path, owner, ADMIN)
    return School(path, owner, admin, await invited(edge, mailbox, path, admin, MEMBER))


async def test_a_repeated_request_makes_one_organization(ada: Person) -> None:
    wanted = {"name": f"School {uuid4().hex}", "requestId": str(uuid4())}
    made = [await ada.post(ORGANIZATIONS, **wanted) for _ in range(2)]
    assert made[0] == made[1]
    assert set(made[0]) == {"id", "name", "description", "createTime"}
    other = await ada.ask("POST", ORGANIZATIONS, json=wanted | {"name": "Other"})
    refusal(other, 400, 3, field="request_id", reason="REQUEST_ID_REUSED")
    second = await ada.ask("POST", ORGANIZATIONS, json={"name": f"School {uuid4().hex}"})
    refusal(second, 400, 9, reason="ALREADY_MEMBER")
    assert (await ada.get("/api/v1/auth/me"))["organizationId"] == made[0]["id"]


async def test_names_are_unique(ada: Person, edge: Edge) -> None:
    name = f"School {uuid4().hex}"
    await ada.post(ORGANIZATIONS, name=name)
    other = await edge.register()
    refusal(
        await other.ask("POST", ORGANIZATIONS, json={"name": name.upper()}), 409, 6, reason="ORGANIZATION_NAME_TAKEN"
    )


async def test_members_are_listed_with_their_roles(school: School) -> None:
    page = await school.member.get(f"{school.path}/members", pageSize=2)
    rest = await school.member.get(f"{school.path}/members", pageSize=2, pageToken=page["nextPageToken"])
    roles = {member["user"]["id"]: member["role"] for member in (*page["members"], *rest["members"])}
    assert roles == {school.owner.id: OWNER, school.admin.id: ADMIN, school.member.id: MEMBER}


async def test_a_mask_chooses_what_changes(school: School) -> None:
    before = await school.member.get(school.path)
    changed = await school.admin.ask("PATCH", school.path, json={"description": "Teaches"})
    assert changed.json() == before | {"description": "Teaches"}
    refused = await school.admin.ask("PATCH", school.path, json={"createTime": "2026-01-01T00:00:00Z"})
    refusal(refused, 400, 3, reason="FIELD_NOT_UPDATABLE")
    empty = await school.admin.ask("PATCH", f"{school.path}?updateMask=name", json={"name": " "})
    refusal(empty, 400, 3, field="organization.name")


async def test_what_a_role_does_not_allow_is_refused(school: School) -> None:
    by_member = (
        ("PATCH", "", {"name": "x"}),
        ("DELETE", "", None),
        ("DELETE", f"/members/{school.admin.id}", None),
        ("PATCH", f"/members/{school.member.id}", {"role": OWNER}),
        ("GET", "/invitations", None),
        ("POST", "/invitations", {"email": "x@example.org"}),
    )
    for method, path, body in by_member:
        refused = await school.member.ask(method, school.path + path, json=body)
        refusal(refused, 403, 7, reason="MEMBER_ROLE_TOO_LOW")
    by_admin = (
        ("DELETE", "", None),
        ("DELETE", f"/members/{school.owner.id}", None),
        ("PATCH", f"/members/{school.admin.id}", {"role": OWNER}),
        ("POST", "/invitations", {"email": "x@example.org", "role": OWNER}),
    )
    for method, path, body in by_admin:
        refused = await school.admin.ask(method, school.path + path, json=body)
        refusal(refused, 403, 7, reason="MEMBER_ROLE_TOO_LOW")


async def test_there_is_always_an_owner(school: School) -> None:
    mine = f"{school.path}/members/{school.owner.id}"
    refusal(await school.owner.ask("DELETE", mine), 400, 9, reason="LAST_OWNER")
    refusal(await school.owner.ask("PATCH", mine, json={"role": MEMBER}), 400, 9, reason="LAST_OWNER")
    given = await school.owner.ask("PATCH", f"{school.path}/members/{school.admin.id}", json={"role": OWNER})
    assert given.json()["role"] == OWNER
    assert await school.owner.delete(mine) == {}
    refusal(await school.owner.ask("GET", school.path), 401, 16)
    assert (await school.admin.get(school.path))["name"]


async def test_a_removed_member_is_out_at_once(edge: Edge, school: School) -> None:
    await school.admin.delete(f"{school.path}/members/{school.member.id}")
    refusal(await school.member.ask("GET", school.path), 401, 16)
    again = await edge.person(school.member.user["email"])
    refusal(await again.ask("GET", school.path), 404, 5, reason="ORGANIZATION_NOT_FOUND")
    assert again.user["organizationId"] == ""


async def test_who_is_no_member_cannot_be_given_a_role_or_removed(school: School, stranger: Person) -> None:
    path = f"{school.path}/members/{stranger.id}"
    refusal(await school.owner.ask("PATCH", path, json={"role": ADMIN}), 404, 5, reason="USER_NOT_FOUND")
    refusal(await school.owner.ask("DELETE", path), 404, 5, reason="USER_NOT_FOUND")


async def test_a_deleted_organization_is_gone_and_its_members_are_free(
    edge: Edge, school: School, admin: Person
) -> None:
    name = (await school.owner.get(school.path))["name"]
    listed = await admin.get("/api/v1/admin/organizations", text=name.upper())
    assert [one["name"] for one in listed["organizations"]] == [name]
    assert await school.owner.delete(school.path) == {}
    refusal(await admin.ask("GET", school.path), 404, 5, reason="ORGANIZATION_NOT_FOUND")
    member = await edge.person(school.member.user["email"])
    await member.post(ORGANIZATIONS, name=name)


async def test_an_invitation_is_listed_taken_back_and_good_once(
    edge: Edge, mailbox: Mailbox, school: School, stranger: Person
) -> None:
    guest = await verify(await edge.register(), mailbox.home)
    wanted = {"email": guest.user["email"], "requestId": str(uuid4())}
    first, again = [await school.admin.post(f"{school.path}/invitations", **wanted) for _ in range(2)]
    assert first == again
    assert (await school.admin.get(f"{school.path}/invitations"))["invitations"] == [first]
    mailbox.wait_for(guest.user["email"], 2)
    token = next(text for text in mailbox.texts(guest.user["email"]) if "invited" in text).splitlines()[4]
    assert token not in str(first)
    refusal(await stranger.ask("POST", ACCEPT, json={"token": token}), 404, 5, reason="INVITATION_NOT_FOUND")
    path = f"{school.path}/invitations/{first['id']}"
    assert await school.admin.delete(path) == {}
    refusal(await school.admin.ask("DELETE", path), 404, 5, reason="INVITATION_NOT_FOUND")
    refusal(await guest.ask("POST", ACCEPT, json={"token": token}), 404, 5, reason="INVITATION_NOT_FOUND")
    assert (await school.admin.get(f"{school.path}/invitations"))["invitations"] == []


async def test_an_organization_sends_no_mass_of_mails_to_strangers(school: School) -> None:
    path = f"{school.path}/invitations"
    answers = [
        await school.owner.ask("POST", path, json={"email": f"{uuid4().hex}@victims.example"}) for _ in range(22)
    ]
    statuses = [answer.status_code for answer in answers]
    assert statuses == [200] * statuses.count(200) + [429] * statuses.count(429)
    # The fixture has sent one of the twenty.
    assert statuses.count(200) <= 20
    refusal(answers[-1], 429, 8, reason="TOO_MANY_ATTEMPTS")
    assert int(answers[-1].headers["retry-after"]) > 60


async def test_an_invitation_goes_to_one_address(school: School) -> None:
    locals_ = ("a0,victim", "a b", '"a,b"', "a@b", "a..b", ".a", "a;b", "<a", "a:b", "a(x)", "")
    domains = ("example", "[127.0.0.1]", "-example.org", "exam_ple.org", "example..org", "a.org,b.org")
    for email in (*(f"{one}@example.org" for one in locals_), *(f"a@{one}" for one in domains)):
        answer = await school.owner.ask("POST", f"{school.path}/invitations", json={"email": email})
        refusal(answer, 400, 3, field="email")


async def test_the_name_of_an_organization_brings_no_link_into_a_mail(
    school: School, edge: Edge, mailbox: Mailbox
) -> None:
    name = f"Win at https://evil.example/{uuid4().hex[:8]} now"
    await school.owner.ask("PATCH", school.path, json={"name": name})
    guest = await edge.register()
    await school.owner.post(f"{school.path}/invitations", email=guest.user["email"])
    mailbox.wait_for(guest.user["email"], 2)
    text = next(text for text in mailbox.texts(guest.user["email"]) if "invited" in text)
    assert "“Win at https evil example " in text
    assert "evil.example" not in text
    assert "//" not in text


async def test_who_has_not_verified_the_address_neither_invites_nor_joins(
    edge: Edge, mailbox: Mailbox, school: School
) -> None:
    founder = await edge.register()
    made = await founder.post(ORGANIZATIONS, name=f"School {uuid4().hex}")
    refused = await founder.ask("POST", f"{ORGANIZATIONS}/{made['id']}/invitations", json={"email": "x@example.org"})
    refusal(refused, 400, 9, reason="EMAIL_NOT_VERIFIED")
    guest = await edge.register()
    email = guest.user["email"]
    await school.owner.post(f"{school.path}/invitations", email=email.upper())
    mailbox.wait_for(email, 2)
    token = next(text for text in mailbox.texts(email) if "invited" in text).splitlines()[4]
    refusal(await guest.ask("POST", ACCEPT, json={"token": token}), 400, 9, reason="EMAIL_NOT_VERIFIED")
    await verify(guest, mailbox.home)
    await guest.post(ACCEPT, token=token)
    assert (await guest.get("/api/v1/auth/me"))["organizationId"] == school.path.rpartition("/")[2]


async def test_the_key_of_a_removed_member_stops_at_once(edge: Edge, school: School) -> None:
    key = await school.member.post("/api/v1/api-keys", name="ci", scopes=["conversations.read"])
    shown = {"authorization": f"Bearer {key['secret']}"}
    assert (await edge.http.get("/api/v1/chat/conversations", headers=shown)).status_code == 200
    await school.admin.delete(f"{school.path}/members/{school.member.id}")
    refusal(await edge.http.get("/api/v1/chat/conversations", headers=shown), 401, 16)
