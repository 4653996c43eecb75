"""Which characters a text may hold, by its kind."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from parley.validation.v1 import validation_pb2

from services.chassis.texts import ONE_LINE, cleaned, problem_of

_LINES, _VERBATIM = validation_pb2.TEXT_LINES, validation_pb2.TEXT_VERBATIM
_KINDS = (ONE_LINE, _LINES, _VERBATIM)
_DIRECTIONS = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"


@pytest.mark.parametrize(
    "name",
    [
        "Trường Nguyễn Huệ",
        "O’Neill & Sons, Ltd.",
        "می‌خواهم",  # a zero width non-joiner belongs into Persian words
        "\u200fשלום\u200f",
        "👩‍👩‍👧‍👦 🏴󠁧󠁢󠁥󠁮󠁧󠁿",
        "nbsp\u00a0and\u00adhyphen",
        "",
    ],
)
def test_names_of_the_world_are_one_line(name: str) -> None:
    assert [problem_of(name, kind) for kind in _KINDS] == [None] * 3


@pytest.mark.parametrize("character", [*"\t\n\r\u2028\u2029", *_DIRECTIONS])
def test_what_breaks_or_turns_a_line_is_for_texts_of_many_lines(character: str) -> None:
    problem = f"must not contain the character U+{ord(character):04X} (at position 3)"
    assert [problem_of(f"ab{character}c", kind) for kind in _KINDS] == [problem, None, None]


@given(st.characters(categories=["Cc"], exclude_characters="\t\n\r"))
def test_no_control_character_is_in_a_text_that_users_send(character: str) -> None:
    assert problem_of(character)
    assert problem_of(character, _LINES)
    assert bool(problem_of(character, _VERBATIM)) == (character == "\0")


@given(st.text())
def test_a_cleaned_text_is_one_that_users_may_send(text: str) -> None:
    assert problem_of(cleaned(text), _LINES) is None
    assert cleaned(text) == text or problem_of(text, _LINES)


@given(st.characters(categories=["Cs"]))
def test_half_a_surrogate_pair_is_no_character(character: str) -> None:
    assert all(problem_of(f"a{character}", kind) for kind in _KINDS)


@given(st.text(st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"], exclude_characters=_DIRECTIONS)))
def test_every_other_character_is_allowed(text: str) -> None:
    assert all(unicodedata.category(character) not in {"Cc", "Cs"} for character in text)
    assert [problem_of(text, kind) for kind in _KINDS] == [None] * 3
