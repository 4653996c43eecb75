"""Where a text is cut."""

import pytest
import regex
from hypothesis import given
from hypothesis import strategies as st

from services.chassis.shortening import shortened

_FAMILY = "👨‍👩‍👧‍👦"
_FLAG = "🇻🇳"
_MARKED = "e\u0302\u0323"  # ệ in three characters


@pytest.mark.parametrize(
    ("text", "most", "expected"),
    [
        ("abc", 3, "abc"),
        ("abcd", 3, "abc"),
        (f"ab{_FAMILY}", 5, "ab"),
        (f"ab{_FAMILY}c", 9, f"ab{_FAMILY}"),
        (f"ab{_FAMILY}c", 8, "ab"),
        (f"{_FLAG}{_FLAG}", 3, _FLAG),
        (f"a{_MARKED}b", 2, "a"),
        (f"a{_MARKED}b", 4, f"a{_MARKED}"),
        ("👍🏽!", 1, "👍"),
        ("a\r\nb", 2, "a"),
        ("a" + "\u0301" * 100, 10, "a" + "\u0301" * 9),
    ],
)
def test_a_text_is_cut_between_clusters(text: str, most: int, expected: str) -> None:
    assert shortened(text, most) == expected


@given(
    st.text(st.sampled_from(["a", " ", *_FAMILY, *_FLAG, *_MARKED, "👍", "🏽", "\r", "\n", "각"])), st.integers(1, 30)
)
def test_what_is_left_is_the_longest_beginning_of_whole_clusters(text: str, most: int) -> None:
    cut = shortened(text, most)
    ends = [0, *(cluster.end() for cluster in regex.finditer(r"\X", text))]
    whole = max(end for end in ends if end <= most)
    assert cut == text[: whole or most]
