"""Administrators look after accounts, and auditors see what was done to them.

What has a path with an id: UserAdminService.DisableUser, UserAdminService.EnableUser, UserAdminService.GrantRole and
UserAdminService.RevokeRole.
"""

from datetime import UTC, datetime
from uuid import uuid4

import pytest

from tests.support.callers import PASSWORD, Edge, Person, refusal

USERS = "/api/v1/admin/users"
EVENTS = "/api/v1/admin/audit-events"
UNKNOWN_ID = "0198b6d4-0000-7000-8000-000000000000"


@pytest.fixture
async def auditor(edge: Edge, admin: Person) -> Person:
    """Somebody with the role auditor and no other."""
    person = await edge.register()
    await admin.post(f"{USERS}/{person.id}/roles", role="auditor")
    return await edge.person(person.user["email"])


async def test_users_are_found_by_text_role_and_state(edge: Edge, admin: Person) -> None:
    mark = uuid4().hex[:12]
    people = [await edge.register(username=f"{mark}-{number}", email=f"{mark}{number}@a.org") for number in range(3)]
    await admin.post(f"{USERS}/{people[0].id}/roles", role="teacher")
    await admin.post(f"{USERS}/{people[1].id}:disable")

    async def found(**filters: object) -> list[str]:
        return [user["id"] for user in (await admin.get(USERS, text=mark.upper(), **filters))["users"]]

    assert sorted(await found()) == sorted(person.id for person in people)
    assert await found(role="teacher") == [people[0].id]
    assert await found(state="USER_STATE_DISABLED") == [people[1].id]
    assert sorted(await found(state="USER_STATE_ACTIVE")) == sorted([people[0].id, people[2].id])


async def test_the_list_goes_on_from_page_to_page(edge: Edge, admin: Person) -> None:
    mark = uuid4().hex[:12]
    people = [await edge.register(username=f"{mark}-{number}", email=f"{mark}{number}@a.org") for number in range(3)]
    first = await admin.get(USERS, text=mark, pageSize=2)
    rest = await admin.get(USERS, text=mark, pageSize=2, pageToken=first["nextPageToken"])
    ids = [user["id"] for user in (*first["users"], *rest["users"])]
    assert (len(first["users"]), rest["nextPageToken"], sorted(ids)) == (2, "", sorted(one.id for one in people))
    other = await admin.ask("GET", f"{USERS}?text=other&pageToken={first['nextPageToken']}")
    refusal(other, 400, 3, field="page_token")


async def test_a_disabled_user_is_out_at_once_and_comes_back(edge: Edge, admin: Person, ada: Person) -> None:
    disabled = await admin.post(f"{USERS}/{ada.id}:disable")
    assert (disabled["id"], disabled["isActive"]) == (ada.id, False)
    refusal(await ada.ask("GET", "/api/v1/auth/me"), 401, 16)
    body = {"refreshToken": ada.tokens["refreshToken"]}
    refusal(await edge.http.post("/api/v1/auth/refresh", json=body), 401, 16, reason="INVALID_REFRESH_TOKEN")
    body = {"login": ada.user["email"], "password": PASSWORD}
    refusal(await edge.http.post("/api/v1/auth/login", json=body), 401, 16, reason="INVALID_CREDENTIALS")
    assert (await admin.post(f"{USERS}/{ada.id}:enable"))["isActive"]
    assert (await edge.person(ada.user["email"])).id == ada.id


async def test_a_role_comes_with_the_next_tokens_and_goes_with_the_sessions(
    edge: Edge, admin: Person, ada: Person
) -> None:
    granted = await admin.post(f"{USERS}/{ada.id}/roles", role="auditor")
    assert granted["roles"] == ["auditor", "user"]
    refusal(await ada.ask("GET", EVENTS), 403, 7, reason="PERMISSION_DENIED")
    auditor = await edge.person(ada.user["email"])
    assert "events" in await auditor.get(EVENTS)
    assert (await admin.delete(f"{USERS}/{ada.id}/roles/auditor"))["roles"] == ["user"]
    refusal(await auditor.ask("GET", EVENTS), 401, 16)


async def test_administrators_do_not_lock_themselves_out(edge: Edge, admin: Person) -> None:
    for method, path in (("POST", ":disable"), ("DELETE", "/roles/admin")):
        refused = await admin.ask(method, f"{USERS}/{admin.id}{path}", json={} if method == "POST" else None)
        refusal(refused, 400, 9, reason="OWN_ACCOUNT")
    assert "admin" in (await admin.get("/api/v1/auth/me"))["roles"]


@pytest.mark.parametrize("role", ["user", "service", "root"])
async def test_other_roles_are_not_given(admin: Person, ada: Person, role: str) -> None:
    refusal(await admin.ask("POST", f"{USERS}/{ada.id}/roles", json={"role": role}), 400, 3, field="role")


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", ":disable", {}),
        ("POST", ":enable", {}),
        ("POST", "/roles", {"role": "teacher"}),
        ("DELETE", "/roles/teacher", None),
    ],
)
async def test_nobody_is_not_found(admin: Person, method: str, path: str, body: dict[str, str] | None) -> None:
    response = await admin.ask(method, f"{USERS}/{UNKNOWN_ID}{path}", json=body)
    refusal(response, 404, 5, field="user_id", reason="USER_NOT_FOUND")


async def test_every_step_of_an_account_is_in_the_journal(edge: Edge, admin: Person, auditor: Person) -> None:
    before = datetime.now(UTC).isoformat()
    ann = await edge.register()
    await ann.ask("PATCH", "/api/v1/users/me", json={"level": "b1"})
    await edge.http.post("/api/v1/auth/login", json={"login": ann.user["email"], "password": "a wrong one"})
    await admin.post(f"{USERS}/{ann.id}/roles", role="teacher")
    await admin.post(f"{USERS}/{ann.id}:disable")
    events = (await auditor.get(EVENTS, subjectId=ann.id))["events"]
    assert [(event["action"], event["actorId"], event["outcome"]) for event in reversed(events)] == [
        ("user.register", ann.id, "OK"),
        ("user.login", ann.id, "OK"),
        ("profile.update", ann.id, "OK"),
        ("user.login", "", "INVALID_CREDENTIALS"),
        ("role.grant", admin.id, "OK"),
        ("user.disable", admin.id, "OK"),
    ]
    assert all(event["address"] == "127.0.0.1" and event["requestId"] for event in events)
    assert events[1]["details"] == {"role": "teacher"}
    assert PASSWORD not in str(events)
    assert "a wrong one" not in str(events)
    mine = await auditor.get(EVENTS, actorId=admin.id, action="user.disable", startTime=before)
    assert mine["events"][0]["subjectId"] == ann.id
    assert (await auditor.get(EVENTS, subjectId=ann.id, endTime=before))["events"] == []


async def test_the_journal_goes_on_from_page_to_page(edge: Edge, auditor: Person) -> None:
    ann = await edge.register()
    for _ in range(3):
        await edge.sign_in(ann.user["email"])
    seen, token = [], ""
    while True:
        page = await auditor.get(EVENTS, subjectId=ann.id, pageSize=2, pageToken=token)
        seen += [event["id"] for event in page["events"]]
        token = page["nextPageToken"]
        if not token:
            break
    assert len(seen) == len(set(seen)) == 5
    assert seen == sorted(seen, reverse=True)


async def test_the_reuse_of_a_refresh_token_is_in_the_journal(edge: Edge, auditor: Person, ada: Person) -> None:
    body = {"refreshToken": ada.tokens["refreshToken"]}
    assert (await edge.http.post("/api/v1/auth/refresh", json=body)).status_code == 200
    again = await edge.http.post("/api/v1/auth/refresh", json=body, headers={"user-agent": "another"})
    refusal(again, 401, 16, reason="REFRESH_TOKEN_REUSED")
    (event,) = (await auditor.get(EVENTS, subjectId=ada.id, action="session.reuse"))["events"]
    assert event["outcome"] == "REFRESH_TOKEN_REUSED"
