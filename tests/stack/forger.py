"""Tokens that look like Keycloak's and are not, or are Keycloak's and no access tokens."""

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable
from typing import Any

import httpx
import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.stack.conftest import Stack
from tests.support.callers import Person

FLAWS = (
    "alg none",
    "alg None without a signature",
    "the public key as an HMAC secret",
    "the certificate as an HMAC secret",
    "its own key in the header",
    "its own key server in jku",
    "its own certificate in x5u",
    "the key id of a file",
    "a key id that is a query",
    "an unknown key id",
    "another's key under a known id",
    "no key id",
    "a changed claim",
    "beyond 8 KiB",
    "the refresh token",
    "the ID token",
    "a token of the realm master",
    "a service account's",
    "one signed with the mesh's secret",
)


class Forger:
    """Knows all that is public, and one good pair of tokens."""

    def __init__(self, stack: Stack, person: Person) -> None:
        self._stack = stack
        self._person = person
        self._stranger = rsa.generate_private_key(65537, 2048)
        keys = httpx.get(f"{stack.issuer}/protocol/openid-connect/certs").json()["keys"]
        self._known = next(key for key in keys if key["use"] == "sig")
        self._header, self._payload, self._signature = person.token.split(".")
        self._claims: dict[str, Any] = jwt.decode(person.token, options={"verify_signature": False})

    def bad(self, flaw: str) -> str:
        """Return a token with the flaw; one of FLAWS."""
        known = str(self._known["kid"])
        own = jwt.algorithms.RSAAlgorithm.to_jwk(self._stranger.public_key(), as_dict=True)
        public = jwt.PyJWK(self._known).key.public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        certificate = base64.b64decode(self._known["x5c"][0])
        evil = "http://127.0.0.1:1/keys"
        makers: dict[str, Callable[[], str]] = {
            "alg none": lambda: f"{coded({'alg': 'none', 'kid': known})}.{self._payload}.{self._signature}",
            "alg None without a signature": lambda: f"{coded({'alg': 'None', 'kid': known})}.{self._payload}.",
            "the public key as an HMAC secret": lambda: self._confused(public),
            "the certificate as an HMAC secret": lambda: self._confused(certificate),
            "its own key in the header": lambda: self._signed(jwk=own | {"kid": "own"}, kid="own"),
            "its own key server in jku": lambda: self._signed(jku=evil, kid="own"),
            "its own certificate in x5u": lambda: self._signed(x5u=evil, kid="own"),
            "the key id of a file": lambda: self._signed(kid="../../../../dev/null"),
            "a key id that is a query": lambda: self._signed(kid=f"{known}' OR '1'='1"),
            "an unknown key id": lambda: self._signed(kid="unknown"),
            "another's key under a known id": lambda: self._signed(kid=known),
            "no key id": self._signed,
            "a changed claim": self._promoted,
            "beyond 8 KiB": lambda: self._signed(kid=known, padding="x" * 8192),
            "the refresh token": lambda: str(self._person.tokens["refreshToken"]),
            "the ID token": self._id_token,
            "a token of the realm master": self._master_token,
            "a service account's": self.service_account,
            "one signed with the mesh's secret": self._mesh_token,
        }
        return makers[flaw]()

    def service_account(self, capability: str = "conversations") -> str:
        """Return the real token of a service."""
        client = f"parley-{capability}"
        return self._granted(
            "parley", client, self._stack.secret(f"keycloak-client-{client}"), grant_type="client_credentials"
        )["access_token"]

    def _signed(self, **header: Any) -> str:
        return jwt.encode(self._claims, self._stranger, algorithm="RS256", headers=header)

    def _confused(self, secret: bytes) -> str:
        signed = f"{coded({'alg': 'HS256', 'typ': 'JWT', 'kid': self._known['kid']})}.{self._payload}"
        signature = hmac.new(secret, signed.encode(), hashlib.sha256).digest()
        return f"{signed}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}"

    def _promoted(self) -> str:
        claims = self._claims | {"realm_access": {"roles": ["admin"]}}
        return f"{self._header}.{coded(claims)}.{self._signature}"

    def _mesh_token(self) -> str:
        now = int(time.time())
        claims = {"iss": "parley-mesh", "aud": "parley-mesh", "sub": "service:conversations", "iat": now}
        return jwt.encode(claims | {"exp": now + 300}, self._stack.secret("parley-secret"), algorithm="HS256")

    def _id_token(self) -> str:
        secret = self._stack.secret("keycloak-client-parley-api")
        who = {"username": self._person.user["email"], "password": "correct horse battery"}
        return self._granted("parley", "parley-api", secret, grant_type="password", scope="openid", **who)["id_token"]

    def _master_token(self) -> str:
        secret = self._stack.secret("keycloak-operator-secret")
        return self._granted("master", "parley-operator", secret, grant_type="client_credentials")["access_token"]

    def _granted(self, realm: str, client: str, secret: str, **form: str) -> dict[str, str]:
        url = f"{self._stack.keycloak}/realms/{realm}/protocol/openid-connect/token"
        answer = httpx.post(url, data=form, auth=(client, secret), timeout=30)
        answer.raise_for_status()
        granted: dict[str, str] = answer.json()
        return granted


def coded(content: dict[str, Any]) -> str:
    """Return a part of a token."""
    return base64.urlsafe_b64encode(json.dumps(content).encode()).rstrip(b"=").decode()
