"""JSON of strangers: what is read, what is refused, and that nothing else happens."""

import contextlib
import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.chassis.strict_json import JsonRefused, read_json, write_json

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**90), 10**90)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(TEXT, inner, max_size=5),
    max_leaves=30,
)


@given(VALUES)
def test_what_was_written_is_read(value: Any) -> None:
    assert read_json(write_json(value)) == value
    assert read_json(json.dumps(value).encode()) == value


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("", "is not JSON"),
        ("{days: 1}", "is not JSON"),
        ("{} {}", "is not JSON"),
        ("[1,]", "is not JSON"),
        ("\ufeff{}", "is not JSON"),
        ('"a\nb"', "is not JSON"),
        ('{"n": NaN}', "NaN"),
        ("[-Infinity]", "-Infinity"),
        ("[1e999]", "too large"),
        ("[-1e999]", "too large"),
        ("9" * 5_000, "more than 100 characters"),
        ("-" + "9" * 101, "more than 100 characters"),
        ("0." + "1" * 5_000, "more than 100 characters"),
        ('{"a": 1, "b": {"a": 1, "\\u0061": 2}}', "the key 'a' twice"),
        (r'["\ud83d"]', "surrogate"),
        (r'{"\udE00": 1}', "surrogate"),
        ('["\ud83d"]', "surrogate"),
        (r'["a\u0000"]', "NUL"),
        (r'{"a\u0000": 1}', "NUL"),
        ("[" * 101 + "]" * 101, "more than 100 levels"),
        ("[" * 100_000, "more than 100 levels"),
        ('{"a":' * 100_000, "more than 100 levels"),
        (b'"\xff"', "UTF-8"),
    ],
)
def test_what_others_would_read_differently_is_refused(text: str | bytes, named: str) -> None:
    with pytest.raises(JsonRefused) as refused:
        read_json(text)
    assert named in str(refused.value)
    str(refused.value).encode()


def test_what_only_looks_like_it_is_read() -> None:
    assert read_json(r'"\ud83d\ude00"') == "😀"
    assert read_json(r'"\\ud83d"') == r"\ud83d"
    assert read_json(json.dumps("[" * 1_000 + '"')) == "[" * 1_000 + '"'
    assert read_json("[" * 100 + "]" * 100)
    assert read_json(json.dumps([[]] * 1_000)) == [[]] * 1_000
    assert read_json(r'"\u0000"', nul=True) == "\0"
    assert read_json(b" 9007199254740993 ") == 9007199254740993


@given(st.text() | st.binary())
def test_whatever_comes_nothing_else_is_raised(text: str | bytes) -> None:
    with contextlib.suppress(JsonRefused):
        read_json(text)


@pytest.mark.parametrize("part", [r"\"", '"', '"[', "[", r'"\\', '{"a":'])
def test_it_takes_linear_time(part: str) -> None:
    started = time.process_time()
    for text in (part * 300_000, '"' + part * 300_000):
        with pytest.raises(JsonRefused):
            read_json(text)
    assert time.process_time() - started < 5


@pytest.mark.parametrize("value", [float("nan"), [float("inf")], "\ud83d", {1, 2}])
def test_what_json_cannot_hold_is_not_written(value: object) -> None:
    with pytest.raises(JsonRefused):
        write_json(value)
