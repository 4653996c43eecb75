"""People of the full stack: kept in Keycloak, served by the same API."""

import jwt

from tests.stack.conftest import Stack
from tests.support.callers import PASSWORD, Edge, Person, refusal


async def test_somebody_registers_signs_in_and_talks(edge: Edge, ada: Person, stack: Stack) -> None:
    claims = jwt.decode(ada.token, options={"verify_signature": False})
    assert (claims["iss"], claims["sub"]) == (stack.issuer, ada.id)
    assert (await ada.get("/api/v1/auth/me"))["email"] == ada.user["email"]
    # The worker asks the model as the service conversations, with Keycloak's token for it.
    assert await ada.answer(await ada.open_conversation(), "Hello") == "You said: Hello"


async def test_a_spent_refresh_token_ends_the_session_everywhere(edge: Edge) -> None:
    bea = await edge.register()
    first = bea.tokens["refreshToken"]
    second = await edge.http.post("/api/v1/auth/refresh", json={"refreshToken": first})
    assert second.status_code == 200
    repeated = await edge.http.post("/api/v1/auth/refresh", json={"refreshToken": first})
    assert repeated.json() == second.json()
    shown = {"refreshToken": first}
    again = await edge.http.post("/api/v1/auth/refresh", json=shown, headers={"user-agent": "another"})
    refusal(again, 401, 16, reason="REFRESH_TOKEN_REUSED")
    refusal(await bea.ask("GET", "/api/v1/auth/me"), 401, 16)


async def test_who_signs_out_is_out_at_once(edge: Edge) -> None:
    bea = await edge.register()
    await bea.post("/api/v1/auth/logout")
    refusal(await bea.ask("GET", "/api/v1/auth/me"), 401, 16)


async def test_an_organisation_stands_in_the_token_by_its_id(edge: Edge, stack: Stack) -> None:
    bea = await edge.register()
    admin = stack.admin()
    made = admin.create_organization({"name": bea.user["username"], "alias": bea.user["username"]})
    admin.organization_user_add(bea.id, str(made))
    pair = await edge.sign_in(bea.user["email"])
    claims = jwt.decode(pair["accessToken"], options={"verify_signature": False})
    assert {bea.user["username"]: {"id": made}} in claims["organization"]
    assert (await Person(edge, {}, pair).get("/api/v1/auth/me"))["organizationId"] == made


async def test_discovery_at_the_edge_leads_to_keycloak(edge: Edge, stack: Stack) -> None:
    response = await edge.http.get("/.well-known/openid-configuration", follow_redirects=True)
    assert response.json()["issuer"] == stack.issuer
    keys = await edge.http.get("/.well-known/jwks.json", follow_redirects=True)
    assert {key["alg"] for key in keys.json()["keys"]} >= {"RS256"}


async def test_guessing_a_password_is_refused_unseen_after_ten_tries(edge: Edge) -> None:
    bea = await edge.register()
    guess = {"login": bea.user["email"], "password": "not the password"}
    for _ in range(10):
        refusal(await edge.http.post("/api/v1/auth/login", json=guess), 401, 16, reason="INVALID_CREDENTIALS")
    late = await edge.http.post("/api/v1/auth/login", json=guess | {"password": PASSWORD})
    refusal(late, 429, 8)
    assert int(late.headers["retry-after"]) > 0
