"""People of another provider sign in with its account: a second realm plays the campus."""

import base64
import hashlib
import re
from collections.abc import Iterator
from html import unescape
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

import httpx
import jwt
import pytest

from tests.stack.conftest import Stack
from tests.stack.test_sync import sync
from tests.support.callers import Edge

_PASSWORD = "the campus knows this one"
_SECRET = "between the campus and us"


@pytest.fixture(scope="module")
def campus(stack: Stack) -> Iterator[str]:
    """A realm with one person, who signs in to ours through it; return the person's name."""
    name = f"cam-{uuid4().hex[:8]}"
    master = stack.admin("master")
    person = {"username": name, "email": f"{name}@campus.test", "firstName": "Cam", "lastName": "Pus", "enabled": True}
    client = {
        "clientId": "parley",
        "secret": _SECRET,
        "redirectUris": [f"{stack.issuer}/broker/campus/endpoint*"],
        "standardFlowEnabled": True,
    }
    master.create_realm(
        {
            "realm": "campus",
            "enabled": True,
            "sslRequired": "none",
            "clients": [client],
            "users": [person | {"credentials": [{"type": "password", "value": _PASSWORD}]}],
        }
    )
    ours = {
        "keycloak_oidc_issuer": f"{stack.url}/auth/realms/campus",
        "keycloak_oidc_client_id": "parley",
        "keycloak_oidc_client_secret": _SECRET,
    }
    assert sync(stack, **ours) == (0, "+ identity provider campus\n")
    assert sync(stack, "--check", **ours)[0] == 0
    yield name
    stack.admin().delete_idp("campus")
    stack.admin("master").delete_realm("campus")


class _Client(httpx.AsyncClient):
    """Keeps cookies that are marked for TLS: browsers waive that on the loopback, httpx does not."""

    async def send(self, request: httpx.Request, **options: Any) -> httpx.Response:
        """Send, then let every cookie go back over plain HTTP."""
        response = await super().send(request, **options)
        for cookie in self.cookies.jar:
            cookie.secure = False
        return response


def _form(page: httpx.Response) -> str:
    found = re.search(r'<form[^>]*action="([^"]+)"', page.text)
    assert found, (page.status_code, page.url, page.text[:2000])
    return unescape(found[1])


async def test_somebody_of_the_campus_signs_in_and_is_a_user_here(stack: Stack, edge: Edge, campus: str) -> None:
    verifier = "v" * 64
    callback = f"http://127.0.0.1:{stack.page}/"
    query = {
        "client_id": "parley-web",
        "redirect_uri": callback,
        "response_type": "code",
        "scope": "openid",
        "code_challenge": _challenge(verifier),
        "code_challenge_method": "S256",
        "kc_idp_hint": "campus",
    }
    async with _Client(base_url=stack.url, timeout=30) as client:
        step = await client.get("/auth/realms/parley/protocol/openid-connect/auth", params=query)
        for _ in range(12):
            if step.is_redirect:
                target = str(step.next_request.url if step.next_request else "")
                if target.startswith(callback):
                    break
                step = await client.get(target)
            else:
                fields = {"username": campus, "password": _PASSWORD}
                step = await client.post(_form(step), data=fields)
        code = parse_qs(urlsplit(target).query)["code"][0]
        form = {"grant_type": "authorization_code", "client_id": "parley-web", "code": code}
        form |= {"redirect_uri": callback, "code_verifier": verifier}
        tokens = await client.post("/auth/realms/parley/protocol/openid-connect/token", data=form)
        token = tokens.json()["access_token"]
        spent = await client.post("/auth/realms/parley/protocol/openid-connect/token", data=form)
        assert spent.status_code == 400
    claims = jwt.decode(token, options={"verify_signature": False})
    assert (claims["iss"], claims["email"]) == (stack.issuer, f"{campus}@campus.test")
    me = await edge.http.get("/api/v1/auth/me", headers={"authorization": f"Bearer {token}"})
    assert (me.status_code, me.json()["email"]) == (200, f"{campus}@campus.test")


async def test_a_token_of_the_campus_itself_opens_nothing_here(stack: Stack, edge: Edge, campus: str) -> None:
    admin = stack.admin("campus")
    client = str(admin.get_client_id("parley"))
    admin.update_client(client, {"directAccessGrantsEnabled": True})
    mapper = {"included.custom.audience": "parley", "access.token.claim": "true"}
    admin.add_mapper_to_client(
        client,
        {
            "name": "audience",
            "protocol": "openid-connect",
            "protocolMapper": "oidc-audience-mapper",
            "config": mapper,
        },
    )
    form = {"grant_type": "password", "client_id": "parley", "client_secret": _SECRET}
    async with httpx.AsyncClient() as http:
        answer = await http.post(
            f"{stack.keycloak}/realms/campus/protocol/openid-connect/token",
            data=form | {"username": campus, "password": _PASSWORD},
        )
    token = answer.json()["access_token"]
    assert jwt.decode(token, options={"verify_signature": False})["aud"] in ("parley", ["parley", "account"])
    refused = await edge.http.get("/api/v1/auth/me", headers={"authorization": f"Bearer {token}"})
    assert refused.status_code == 401


def _challenge(verifier: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
