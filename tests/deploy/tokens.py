"""Keys and tokens, good and bad."""

import json
import time
from dataclasses import dataclass, field
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa

ISSUER = "https://issuer.test"
AUDIENCE = "parley"


@dataclass(frozen=True)
class TokenMaker:
    """Signs tokens with one RSA key."""

    key: rsa.RSAPrivateKey = field(default_factory=lambda: rsa.generate_private_key(65537, 2048))

    def key_set(self) -> dict[str, Any]:
        """Return the public half as a JWKS."""
        public = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(self.key.public_key()))
        return {"keys": [public | {"kid": "one", "use": "sig", "alg": "RS256"}]}

    def token(self, **changes: object) -> str:
        """Return a good token, or one with changed claims; a claim set to None is left out."""
        claims = {"iss": ISSUER, "aud": AUDIENCE, "sub": "ada", "exp": time.time() + 600} | changes
        kept = {name: value for name, value in claims.items() if value is not None}
        return jwt.encode(kept, self.key, algorithm="RS256", headers={"kid": "one"})


def bad_tokens(maker: TokenMaker) -> dict[str, str]:
    """Return tokens that nobody may accept, by what is wrong with them."""
    good = jwt.decode(maker.token(), options={"verify_signature": False})
    return {
        "expired": maker.token(exp=time.time() - 60),
        "no expiry": maker.token(exp=None),
        "wrong issuer": maker.token(iss="https://evil.test"),
        "wrong audience": maker.token(aud="another"),
        "wrong key": TokenMaker().token(),
        "alg none": jwt.encode(good, "", algorithm="none", headers={"kid": "one"}),
        "not a token": "nonsense",
    }
