"""People register, sign in, read and change who they are."""

from uuid import uuid4

import pytest

from tests.support.callers import PASSWORD, Edge, Person, refusal

USER_FIELDS = {
    "id",
    "email",
    "username",
    "displayName",
    "avatarUrl",
    "nativeLanguage",
    "targetLanguage",
    "level",
    "roles",
    "isActive",
    "createTime",
    "updateTime",
    "emailVerified",
    "organizationId",
}
UNKNOWN_ID = "0198b6d4-0000-7000-8000-000000000000"


def newcomer(**changes: object) -> dict[str, object]:
    name = f"ann-{uuid4().hex[:12]}"
    return {"email": f"{name}@example.org", "username": name, "password": PASSWORD, "displayName": "Ann"} | changes


async def test_register_answers_the_user_and_nothing_secret(edge: Edge) -> None:
    wanted = newcomer()
    response = await edge.http.post("/api/v1/auth/register", json=wanted)
    assert response.status_code == 200
    user = response.json()
    assert set(user) == USER_FIELDS
    assert {name: user[name] for name in ("email", "username", "displayName")} == {
        name: wanted[name] for name in ("email", "username", "displayName")
    }
    assert (user["roles"], user["isActive"]) == (["user"], True)
    assert user["createTime"].endswith("Z")
    assert PASSWORD not in response.text


async def test_without_a_display_name_it_is_the_username(edge: Edge) -> None:
    wanted = newcomer(displayName="")
    user = (await edge.http.post("/api/v1/auth/register", json=wanted)).json()
    assert user["displayName"] == wanted["username"]


@pytest.mark.parametrize("login", ["email", "username"])
async def test_login_by_email_and_by_username_in_any_case(edge: Edge, ada: Person, login: str) -> None:
    for name in (ada.user[login], ada.user[login].upper()):
        tokens = await edge.sign_in(name)
        assert set(tokens) == {"accessToken", "refreshToken", "tokenType", "expiresIn"}
        assert (tokens["tokenType"], tokens["expiresIn"]) == ("Bearer", 1800)
        assert (await Person(edge, {}, tokens).get("/api/v1/auth/me"))["id"] == ada.id


async def test_an_unknown_user_and_a_wrong_password_look_the_same(edge: Edge, ada: Person) -> None:
    bodies = []
    for login, password in ((ada.user["email"], "wrong horse battery"), ("nobody@example.org", PASSWORD)):
        response = await edge.http.post("/api/v1/auth/login", json={"login": login, "password": password})
        bodies.append(refusal(response, 401, 16, reason="INVALID_CREDENTIALS"))
    assert bodies[0] == bodies[1]


async def test_an_email_or_username_that_is_taken_answers_409(edge: Edge, ada: Person) -> None:
    response = await edge.http.post("/api/v1/auth/register", json=newcomer(email=ada.user["email"].upper()))
    refusal(response, 409, 6, reason="EMAIL_TAKEN")
    response = await edge.http.post("/api/v1/auth/register", json=newcomer(username=ada.user["username"].upper()))
    refusal(response, 409, 6, reason="USERNAME_TAKEN")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("email", ""),
        ("email", "nobody"),
        ("email", "a" * 250 + "@example.org"),
        ("username", "ab"),
        ("username", "a b c"),
        ("username", "a" * 51),
        ("password", "short"),
        ("password", "x" * 129),
        ("password", "password123"),
        ("display_name", "d" * 101),
    ],
)
async def test_register_names_the_field_that_is_wrong(edge: Edge, field: str, value: str) -> None:
    name = "displayName" if field == "display_name" else field
    response = await edge.http.post("/api/v1/auth/register", json=newcomer(**{name: value}))
    refusal(response, 400, 3, field=field)


async def test_me_is_the_same_by_both_names(ada: Person) -> None:
    assert await ada.get("/api/v1/auth/me") == await ada.get("/api/v1/users/me") == ada.user


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
async def test_the_profile_changes_and_stays_changed(ada: Person, method: str) -> None:
    wanted = {
        "displayName": "Ada L.",
        "avatarUrl": "https://example.org/a.png",
        "nativeLanguage": "en-GB",
        "level": "b2",
    }
    response = await ada.ask(method, "/api/v1/users/me", json=wanted)
    assert response.status_code == 200, response.text
    changed = response.json()
    assert set(changed) == USER_FIELDS
    assert changed == ada.user | wanted | {"updateTime": changed["updateTime"]}
    assert changed["updateTime"] > ada.user["updateTime"]
    assert await ada.get("/api/v1/users/me") == changed


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
async def test_what_the_server_sets_cannot_be_changed(ada: Person, method: str) -> None:
    # With PATCH the adapter makes the mask from the body, so the refusal names the field.
    wanted = {"id": UNKNOWN_ID, "roles": ["admin"], "email": "root@example.org", "isActive": False, "level": "c1"}
    response = await ada.ask(method, "/api/v1/users/me", json=wanted)
    if method == "PATCH":
        refusal(response, 400, 3, field="update_mask", reason="FIELD_NOT_UPDATABLE")
    else:
        assert response.json() == ada.user | {"level": "c1", "updateTime": response.json()["updateTime"]}
    me = await ada.get("/api/v1/auth/me")
    assert (me["id"], me["roles"], me["email"]) == (ada.id, ["user"], ada.user["email"])


async def test_an_update_mask_chooses_what_changes(ada: Person) -> None:
    wanted = {"displayName": "Other", "level": "a2"}
    response = await ada.ask("PUT", "/api/v1/users/me?updateMask=level", json=wanted)
    assert (response.json()["displayName"], response.json()["level"]) == ("Ada", "a2")


@pytest.mark.parametrize(
    ("field", "fields"),
    [
        ("user.display_name", {"displayName": "d" * 101}),
        ("user.avatar_url", {"avatarUrl": "javascript:alert(1)"}),
        ("user.native_language", {"nativeLanguage": "not a tag"}),
    ],
)
async def test_the_profile_names_the_field_that_is_wrong(ada: Person, field: str, fields: dict[str, str]) -> None:
    refusal(await ada.ask("PUT", "/api/v1/users/me", json=fields), 400, 3, field=field)


async def test_only_an_administrator_reads_any_user(ada: Person, admin: Person, stranger: Person) -> None:
    assert "admin" in admin.user["roles"]
    assert await admin.get(f"/api/v1/users/{ada.id}") == ada.user
    for user_id in (ada.id, stranger.id, UNKNOWN_ID):
        refusal(await stranger.ask("GET", f"/api/v1/users/{user_id}"), 403, 7, reason="PERMISSION_DENIED")


async def test_an_administrator_asks_for_nobody(admin: Person) -> None:
    response = await admin.ask("GET", f"/api/v1/users/{UNKNOWN_ID}")
    refusal(response, 404, 5, field="user_id", reason="USER_NOT_FOUND")
    refusal(await admin.ask("GET", "/api/v1/users/nonsense"), 400, 3, field="user_id")
