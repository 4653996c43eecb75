"""Real keys and real tokens."""

import jwt
import pytest

from services.identity.backends.rsa_token_signer import RsaTokenSigner
from services.identity.rules.signing_keys import SigningKey
from tests.services.identity.fakes import START


async def new_key(signer: RsaTokenSigner, number: int) -> SigningKey:
    key_id, private_pem = await signer.make_key()
    return SigningKey(number, key_id, START, private_pem)


async def test_a_token_is_good_under_the_published_key_and_no_other() -> None:
    signer = RsaTokenSigner()
    key, other = await new_key(signer, 1), await new_key(signer, 2)
    token = signer.sign({"sub": "ann"}, key)
    header = jwt.get_unverified_header(token)
    assert (header["alg"], header["kid"]) == ("RS256", key.key_id)
    assert jwt.decode(token, jwt.PyJWK(signer.public_jwk(key)), algorithms=["RS256"]) == {"sub": "ann"}
    with pytest.raises(jwt.InvalidSignatureError):
        jwt.decode(token, jwt.PyJWK(signer.public_jwk(other)), algorithms=["RS256"])


async def test_the_published_key_is_public() -> None:
    signer = RsaTokenSigner()
    key = await new_key(signer, 1)
    assert set(signer.public_jwk(key)) == {"kty", "use", "alg", "kid", "n", "e"}
    assert key.private_pem not in repr(key)
