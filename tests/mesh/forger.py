"""Tokens that nobody may accept, made with the house's real key, secret and address."""

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable
from typing import Any

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from services.chassis.tokens import ServiceTokens
from tests.support.callers import Person
from tests.support.running_mesh import RunningMesh

FLAWS = (
    "expired",
    "without expiry",
    "not yet good",
    "another issuer",
    "another audience",
    "another key",
    "an unknown key id",
    "alg none",
    "the public key as an HMAC secret",
    "a changed claim",
    "a service's own",
    "no token at all",
)


class Forger:
    """Somebody who has stolen what lies in HOME, or has not."""

    def __init__(self, mesh: RunningMesh) -> None:
        kept = json.loads(min((mesh.home / "identity" / "keys").glob("*.json")).read_text())
        self._key_id = str(kept["kid"])
        self._key: str = kept["private_key"]
        self._secret = (mesh.home / "secrets" / "parley-secret").read_text().strip()

    def again(self, person: Person, **changes: object) -> str:
        """Sign the person's claims anew with the real key; a claim changed to None is left out."""
        claims = jwt.decode(person.token, options={"verify_signature": False}) | changes
        kept = {name: value for name, value in claims.items() if value is not None}
        return jwt.encode(kept, self._key, algorithm="RS256", headers={"kid": self._key_id})

    def service(self) -> str:
        """Return a token with which the house's services show themselves to each other."""
        return ServiceTokens(self._secret, "conversations").current()

    def bad(self, flaw: str, person: Person) -> str:
        """Return a token with the flaw; one of FLAWS."""
        claims: dict[str, Any] = jwt.decode(person.token, options={"verify_signature": False})
        stranger = rsa.generate_private_key(65537, 2048)
        header, payload, signature = person.token.split(".")
        promoted = claims | {"realm_access": {"roles": ["admin"]}}
        now = int(time.time())
        tokens: dict[str, Callable[[], str]] = {
            "expired": lambda: self.again(person, exp=now - 60),
            "without expiry": lambda: self.again(person, exp=None),
            "not yet good": lambda: self.again(person, nbf=now + 600),
            "another issuer": lambda: self.again(person, iss="https://evil.test"),
            "another audience": lambda: self.again(person, aud="another"),
            "another key": lambda: jwt.encode(claims, stranger, algorithm="RS256", headers={"kid": self._key_id}),
            "an unknown key id": lambda: jwt.encode(claims, stranger, algorithm="RS256", headers={"kid": "mine"}),
            "alg none": lambda: jwt.encode(claims, "", algorithm="none", headers={"kid": self._key_id}),
            "the public key as an HMAC secret": lambda: self._confused(payload),
            "a changed claim": lambda: f"{header}.{_coded(promoted)}.{signature}",
            "a service's own": self.service,
            "no token at all": lambda: "nonsense",
        }
        return tokens[flaw]()

    def _confused(self, payload: str) -> str:
        private = serialization.load_pem_private_key(self._key.encode(), None)
        public = private.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        signed = f"{_coded({'alg': 'HS256', 'typ': 'JWT', 'kid': self._key_id})}.{payload}"
        signature = hmac.new(public, signed.encode(), hashlib.sha256).digest()
        return f"{signed}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}"


def _coded(content: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(content).encode()).rstrip(b"=").decode()
