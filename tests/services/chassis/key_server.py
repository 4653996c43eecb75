"""A token issuer: its keys, its tokens and the HTTP server that publishes the keys."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

ISSUER = "http://issuer.test"
AUDIENCE = "parley"


@cache
def rsa_key(name: str) -> rsa.RSAPrivateKey:
    """Return the RSA key of that name, made once."""
    del name
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@cache
def ec_key() -> ec.EllipticCurvePrivateKey:
    """Return an elliptic key, made once."""
    return ec.generate_private_key(ec.SECP256R1())


def public_pem(key: rsa.RSAPrivateKey) -> bytes:
    """Return the public half of a key."""
    return key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


def public_jwk(key: rsa.RSAPrivateKey, key_id: str) -> dict[str, Any]:
    """Return the public half of a key as a JSON Web Key."""
    jwk: dict[str, Any] = jwt.algorithms.RSAAlgorithm.to_jwk(key.public_key(), as_dict=True)
    return jwk | {"kid": key_id, "use": "sig", "alg": "RS256"}


def claims(**changes: Any) -> dict[str, Any]:
    """Return the claims of a good user token, changed; a claim that is changed to None is left out."""
    now = int(time.time())
    good = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": "ann",
        "sid": "session-1",
        "iat": now,
        "exp": now + 600,
        "typ": "Bearer",
        "realm_access": {"roles": ["user"]},
    }
    return {name: value for name, value in (good | changes).items() if value is not None}


def token(key: Any = None, algorithm: str = "RS256", headers: dict[str, Any] | None = None, **changes: Any) -> str:
    """Return a user token, good unless told otherwise."""
    signing = rsa_key("issuer") if key is None else key
    return jwt.encode(claims(**changes), signing, algorithm, headers={"kid": "key-1"} | (headers or {}))


@dataclass
class KeyServer:
    """Publishes the issuer's keys and counts who asks."""

    url: str = ""
    asked: int = 0
    status: int = 200
    keys: list[dict[str, Any]] = field(default_factory=lambda: [public_jwk(rsa_key("issuer"), "key-1"), _ec_jwk()])


def _ec_jwk() -> dict[str, Any]:
    jwk: dict[str, Any] = jwt.algorithms.ECAlgorithm.to_jwk(ec_key().public_key(), as_dict=True)
    return jwk | {"kid": "key-ec", "use": "sig", "alg": "ES256"}


@contextmanager
def running_key_server() -> Iterator[KeyServer]:
    """Serve the keys on a free port of the loopback."""
    keys = KeyServer()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            keys.asked += 1
            body = json.dumps({"keys": keys.keys}).encode()
            self.send_response(keys.status)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    keys.url = f"http://127.0.0.1:{server.server_port}/jwks.json"
    thread = threading.Thread(target=lambda: server.serve_forever(poll_interval=0.01))
    thread.start()
    try:
        yield keys
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
