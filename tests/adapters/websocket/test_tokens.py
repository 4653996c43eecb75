"""What tokens say about themselves."""

import time

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.websocket.tokens import TokenMalformed, read_token


def _token(**claims: object) -> str:
    return jwt.encode(claims, "k" * 32, algorithm="HS256")


def test_a_token_tells_when_it_ends() -> None:
    now = time.time()
    token = read_token(_token(exp=int(now) + 60))
    assert token.expires_at == int(now) + 60
    assert token.ttl(now) in (59, 60)
    assert token.ttl(now + 3600) == 1


@pytest.mark.parametrize(
    "text", ["", "a.b", "a.b.c.d", "a.!.c", "a.e30.c", "a.W10.c", "a.bm8.c", "x" * 9000, "a.e30.c\n"]
)
def test_what_is_no_token_is_refused(text: str) -> None:
    with pytest.raises(TokenMalformed):
        read_token(text)


@given(st.text())
def test_no_text_breaks_it(text: str) -> None:
    for candidate in (text, f"a.{text}.c"):
        try:
            read_token(candidate)
        except TokenMalformed:
            continue


def test_an_end_must_be_a_number() -> None:
    for end in (True, "soon", None):
        with pytest.raises(TokenMalformed):
            read_token(jwt.encode({"e": end}, "k" * 32, algorithm="HS256"))
