"""JWTs signed with RSA (RS256)."""

import asyncio
import hashlib
import json
from collections.abc import Mapping
from functools import lru_cache

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key
from jwt.algorithms import RSAAlgorithm
from jwt.utils import base64url_encode

from services.identity.rules.signing_keys import SigningKey

ALGORITHM = "RS256"
_BITS = 2048
_EXPONENT = 65537


class RsaTokenSigner:
    """Implements the port TokenSigner."""

    async def make_key(self) -> tuple[str, str]:
        """See the port."""
        return await asyncio.to_thread(_make_key)

    def sign(self, claims: Mapping[str, object], key: SigningKey) -> str:
        """See the port."""
        return jwt.encode(dict(claims), _parsed(key.private_pem), algorithm=ALGORITHM, headers={"kid": key.key_id})

    def public_jwk(self, key: SigningKey) -> dict[str, str]:
        """See the port."""
        numbers = _public_numbers(_parsed(key.private_pem))
        return {**numbers, "kid": key.key_id, "use": "sig", "alg": ALGORITHM}


def _make_key() -> tuple[str, str]:
    key = rsa.generate_private_key(public_exponent=_EXPONENT, key_size=_BITS)
    # The id is the thumbprint of RFC 7638: two keys cannot have the same one, whoever made them.
    canonical = json.dumps(_public_numbers(key), sort_keys=True, separators=(",", ":"))
    key_id = base64url_encode(hashlib.sha256(canonical.encode()).digest()).decode()
    return key_id, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def _public_numbers(key: rsa.RSAPrivateKey) -> dict[str, str]:
    public = RSAAlgorithm.to_jwk(key.public_key(), as_dict=True)
    return {name: public[name] for name in ("e", "kty", "n")}


@lru_cache(maxsize=16)
def _parsed(private_pem: str) -> rsa.RSAPrivateKey:
    # Parsing checks the key and takes longer than signing with it.
    key = load_pem_private_key(private_pem.encode(), password=None)
    if not isinstance(key, rsa.RSAPrivateKey):
        raise TypeError("not an RSA key")
    return key
