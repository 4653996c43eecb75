"""People prove their address, forget their password, change it, and see where they are signed in."""

import pytest

from tests.support.callers import PASSWORD, Edge, Person, refusal
from tests.support.mailbox import Mailbox
from tests.support.running_mesh import RunningMesh

NEW = "staple battery correct"
NOBODY = "nobody-at-all@example.org"


@pytest.fixture
def mailbox(mesh: RunningMesh) -> Mailbox:
    """The mails of the house."""
    return Mailbox(mesh.home)


def wrong(code: str) -> str:
    return f"{(int(code) + 1) % 10**8:08}"


async def test_registering_sends_a_code_that_verifies_the_address_once(
    edge: Edge, ada: Person, mailbox: Mailbox
) -> None:
    email = ada.user["email"]
    assert not ada.user["emailVerified"]
    shown = {"email": email.upper(), "code": mailbox.code(email)}
    response = await edge.http.post("/api/v1/auth/verify-email", json=shown)
    assert (response.status_code, response.json()) == (200, {})
    assert (await ada.get("/api/v1/auth/me"))["emailVerified"]
    refusal(await edge.http.post("/api/v1/auth/verify-email", json=shown), 400, 3, field="code", reason="INVALID_CODE")


async def test_a_code_that_is_sent_again_replaces_the_first(edge: Edge, ada: Person, mailbox: Mailbox) -> None:
    email = ada.user["email"]
    first = mailbox.code(email)
    await edge.http.post("/api/v1/auth/resend-verification", json={"email": email})
    second = mailbox.code(email, 2)
    if first != second:
        old = await edge.http.post("/api/v1/auth/verify-email", json={"email": email, "code": first})
        refusal(old, 400, 3, reason="INVALID_CODE")
    good = await edge.http.post("/api/v1/auth/verify-email", json={"email": email, "code": second})
    assert good.status_code == 200


async def test_a_code_is_for_one_purpose_and_few_tries(edge: Edge, ada: Person, mailbox: Mailbox) -> None:
    email = ada.user["email"]
    code = mailbox.code(email)
    body = {"email": email, "code": code, "password": NEW}
    refusal(await edge.http.post("/api/v1/auth/reset-password", json=body), 400, 3, reason="INVALID_CODE")
    for _ in range(5):
        shown = {"email": email, "code": wrong(code)}
        refusal(await edge.http.post("/api/v1/auth/verify-email", json=shown), 400, 3, reason="INVALID_CODE")
    shown = {"email": email, "code": code}
    refusal(await edge.http.post("/api/v1/auth/verify-email", json=shown), 400, 3, reason="INVALID_CODE")


@pytest.mark.parametrize("path", ["forgot-password", "resend-verification"])
async def test_whether_an_address_is_known_is_not_told(edge: Edge, ada: Person, mailbox: Mailbox, path: str) -> None:
    mailbox.code(ada.user["email"])
    answers = []
    for email in (ada.user["email"], NOBODY):
        response = await edge.http.post(f"/api/v1/auth/{path}", json={"email": email})
        answers.append((response.status_code, response.text))
    assert answers[0] == answers[1] == (200, "{}")
    mailbox.wait_for(ada.user["email"], 2)
    assert mailbox.texts(NOBODY) == []


async def test_a_wrong_code_and_an_unknown_address_look_the_same(edge: Edge, ada: Person, mailbox: Mailbox) -> None:
    code = wrong(mailbox.code(ada.user["email"]))
    for path, more in (("verify-email", {}), ("reset-password", {"password": NEW})):
        bodies = []
        for email in (ada.user["email"], NOBODY):
            shown = {"email": email, "code": code} | more
            bodies.append(refusal(await edge.http.post(f"/api/v1/auth/{path}", json=shown), 400, 3))
        assert bodies[0] == bodies[1]


async def test_a_forgotten_password_is_set_anew_and_all_sessions_end(edge: Edge, ada: Person, mailbox: Mailbox) -> None:
    email = ada.user["email"]
    mailbox.code(email)
    await edge.http.post("/api/v1/auth/forgot-password", json={"email": email})
    body = {"email": email, "code": mailbox.code(email, 2), "password": NEW}
    response = await edge.http.post("/api/v1/auth/reset-password", json=body)
    assert (response.status_code, response.json()) == (200, {})
    refusal(await ada.ask("GET", "/api/v1/auth/me"), 401, 16)
    refused = await edge.http.post("/api/v1/auth/login", json={"login": email, "password": PASSWORD})
    refusal(refused, 401, 16, reason="INVALID_CREDENTIALS")
    assert (await edge.person(email, NEW)).user["emailVerified"]
    refusal(await edge.http.post("/api/v1/auth/reset-password", json=body), 400, 3, reason="INVALID_CODE")


async def test_a_disabled_user_sets_no_password(edge: Edge, ada: Person, admin: Person, mailbox: Mailbox) -> None:
    email = ada.user["email"]
    mailbox.code(email)
    await edge.http.post("/api/v1/auth/forgot-password", json={"email": email})
    code = mailbox.code(email, 2)
    await admin.post(f"/api/v1/admin/users/{ada.id}:disable")
    body = {"email": email, "code": code, "password": NEW}
    refusal(await edge.http.post("/api/v1/auth/reset-password", json=body), 400, 3, reason="INVALID_CODE")
    await admin.post(f"/api/v1/admin/users/{ada.id}:enable")
    assert (await edge.person(email, PASSWORD)).id == ada.id


async def test_a_password_that_anybody_would_try_is_refused(edge: Edge, ada: Person) -> None:
    shown = {"email": ada.user["email"], "code": "12345678", "password": "Password123"}
    refusal(await edge.http.post("/api/v1/auth/reset-password", json=shown), 400, 3, field="password")
    wanted = {"currentPassword": PASSWORD, "password": ada.user["email"]}
    refusal(await ada.ask("POST", "/api/v1/auth/change-password", json=wanted), 400, 3, field="password")


async def test_a_changed_password_ends_the_other_sessions(edge: Edge, ada: Person) -> None:
    others = [await edge.person(ada.user["email"]) for _ in range(2)]
    wanted = {"currentPassword": "wrong horse", "password": NEW}
    refused = await ada.ask("POST", "/api/v1/auth/change-password", json=wanted)
    refusal(refused, 401, 16, reason="INVALID_CREDENTIALS")
    answer = await ada.post("/api/v1/auth/change-password", currentPassword=PASSWORD, password=NEW)
    assert answer == {"endedSessions": 2}
    for other in others:
        refusal(await other.ask("GET", "/api/v1/auth/me"), 401, 16)
    assert (await ada.get("/api/v1/auth/me"))["id"] == ada.id
    assert (await edge.person(ada.user["email"], NEW)).id == ada.id


async def test_sessions_are_listed_and_ended_one_by_one(edge: Edge, ada: Person, stranger: Person) -> None:
    other = await edge.person(ada.user["email"])
    listed = (await ada.get("/api/v1/auth/sessions"))["sessions"]
    assert [session["isCurrent"] for session in listed] == [False, True]
    assert all(session["createTime"] <= session["lastUseTime"] < session["expireTime"] for session in listed)
    assert {session["address"] for session in listed} == {"127.0.0.1"}
    path = f"/api/v1/auth/sessions/{listed[0]['id']}"
    refusal(await stranger.ask("DELETE", path), 404, 5, field="session_id", reason="SESSION_NOT_FOUND")
    assert await ada.delete(path) == {}
    refusal(await ada.ask("DELETE", path), 404, 5, reason="SESSION_NOT_FOUND")
    refusal(await other.ask("GET", "/api/v1/auth/me"), 401, 16)
    assert len((await ada.get("/api/v1/auth/sessions"))["sessions"]) == 1


async def test_logging_out_everywhere_ends_all_sessions(edge: Edge, ada: Person) -> None:
    other = await edge.person(ada.user["email"])
    assert await ada.post("/api/v1/auth/logout-everywhere") == {"endedSessions": 2}
    for person in (ada, other):
        refusal(await person.ask("GET", "/api/v1/auth/me"), 401, 16)
        refreshed = await edge.http.post("/api/v1/auth/refresh", json={"refreshToken": person.tokens["refreshToken"]})
        refusal(refreshed, 401, 16, reason="INVALID_REFRESH_TOKEN")


async def test_an_account_is_closed_for_a_while_after_too_many_wrong_passwords(edge: Edge, ada: Person) -> None:
    login = ada.user["username"]
    for _ in range(10):
        response = await edge.http.post("/api/v1/auth/login", json={"login": login, "password": "wrong"})
        refusal(response, 401, 16, reason="INVALID_CREDENTIALS")
    response = await edge.http.post("/api/v1/auth/login", json={"login": login, "password": PASSWORD})
    body = refusal(response, 429, 8, reason="TOO_MANY_ATTEMPTS")
    (retry,) = [detail for detail in body["details"] if detail["@type"].endswith("RetryInfo")]
    assert 0 < float(retry["retryDelay"].rstrip("s")) <= 900


async def test_a_refresh_token_is_no_access_token(ada: Person) -> None:
    headers = {"authorization": f"Bearer {ada.tokens['refreshToken']}"}
    refusal(await ada.ask("GET", "/api/v1/auth/me", headers=headers), 401, 16)


async def test_no_code_stands_in_any_log(edge: Edge, ada: Person, mailbox: Mailbox, mesh: RunningMesh) -> None:
    code = mailbox.code(ada.user["email"])
    await edge.http.post("/api/v1/auth/verify-email", json={"email": ada.user["email"], "code": code})
    for part in mesh.parts:
        assert code not in mesh.log(part)
