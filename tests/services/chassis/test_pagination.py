"""Page tokens cannot be made up, changed or taken to another list."""

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.chassis.errors import InvalidFields
from services.chassis.identifiers import new_id
from services.chassis.pagination import PageTokens, page_size

_TOKENS = PageTokens("a secret of the tests, long enough")


@pytest.mark.parametrize(
    ("asked", "given_"), [(0, 50), (1, 1), (50, 50), (1000, 1000), (1001, 1000), (2**31 - 1, 1000)]
)
def test_a_page_has_a_size(asked: int, given_: int) -> None:
    assert page_size(asked) == given_


@given(st.text(), st.text())
def test_a_token_tells_where_its_list_goes_on(list_name: str, last_key: str) -> None:
    assert _TOKENS.read(list_name, _TOKENS.sign(list_name, last_key)) == last_key


def test_the_first_page_needs_no_token() -> None:
    assert _TOKENS.read("conversations/ann", "") == ""


@given(st.integers(1, 8), st.integers(0, 30))
def test_pages_hold_everything_once(size: int, rows: int) -> None:
    keys, token = sorted(new_id() for _ in range(rows)), ""
    seen: list[UUID] = []
    for _ in range(rows + 1):
        asked = _TOKENS.asked("things", size, token)
        later = [key for key in keys if asked.last_id is None or key > asked.last_id]
        page, token = asked.of(later[: asked.count], lambda key: key)
        assert len(page) <= size
        seen += page
        if not token:
            break
    assert seen == keys


@given(st.text(min_size=1))
def test_a_made_up_token_is_refused(token: str) -> None:
    _refused("conversations/ann", token)


@given(st.data())
def test_a_changed_token_is_refused(data: st.DataObject) -> None:
    token = _TOKENS.sign("conversations/ann", "key")
    place = data.draw(st.integers(0, len(token) - 1))
    # The last character of base64 has bits that do not count.
    other = data.draw(st.sampled_from("Aq0.").filter(lambda character: character != token[place]))
    if place < len(token) - 1:
        _refused("conversations/ann", token[:place] + other + token[place + 1 :])


def test_a_token_of_another_list_or_another_house_is_refused() -> None:
    _refused("conversations/ann", _TOKENS.sign("conversations/bob", "key"))
    _refused("conversations/ann", PageTokens("another secret").sign("conversations/ann", "key"))


def _refused(list_name: str, token: str) -> None:
    with pytest.raises(InvalidFields) as raised:
        _TOKENS.read(list_name, token)
    assert raised.value.violations == (("page_token", "is not a token of this list"),)
