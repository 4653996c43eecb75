"""A difference of texts says exactly what differs, line ends included, and takes bounded time."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.chassis.line_diff import unified_diff

_HUNK = re.compile(r"@@ -(\d+)(?:,(\d+))? \+(\d+)(?:,(\d+))? @@")
_TEXTS = st.lists(st.sampled_from(["a", "b", "c\r", "", "đ\u2028é", "d\x0c", "-- e"])).map("\n".join)


def _applied(text: str, patch: str) -> str:
    """Apply a unified difference to a text, as `patch` does; fails where it does not fit."""
    lines = re.findall(r"[^\n]*\n|[^\n]+", text)
    result: list[str] = []
    at = 0
    patch_lines = patch.split("\n")[2:]
    for index, line in enumerate(patch_lines):
        if hunk := _HUNK.fullmatch(line):
            start = int(hunk[1]) - (0 if hunk[2] == "0" else 1)
            result += lines[at:start]
            at = start
            continue
        if line.startswith("\\"):
            continue
        following = patch_lines[index + 1] if index + 1 < len(patch_lines) else ""
        content = line[1:] + ("" if following.startswith("\\") else "\n")
        if line[0] in " -":
            assert lines[at] == content
            at += 1
        if line[0] in " +":
            result.append(content)
    return "".join([*result, *lines[at:]])


@given(_TEXTS, _TEXTS)
def test_a_difference_leads_from_one_text_to_the_other(old: str, new: str) -> None:
    found = unified_diff(old, new, "old", "new")
    assert (found == "") is (old == new)
    if found:
        assert found.startswith("--- old\n+++ new\n@@ ")
        assert _applied(old, found) == new


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("a\nb\n", "a\r\nb\n", "@@ -1,2 +1,2 @@\n-a\n+a\r\n b"),
        ("a\n", "a", "@@ -1 +1 @@\n-a\n+a\n\\ No newline at end of file"),
        ("", "a", "@@ -0,0 +1 @@\n+a\n\\ No newline at end of file"),
        (
            "a\x0bb",
            "a\nb",
            "@@ -1 +1,2 @@\n-a\x0bb\n\\ No newline at end of file\n+a\n+b\n\\ No newline at end of file",
        ),
    ],
)
def test_line_ends_are_differences(old: str, new: str, expected: str) -> None:
    assert unified_diff(old, new, "old", "new") == f"--- old\n+++ new\n{expected}"


def test_a_few_changed_lines_of_a_long_text_are_found() -> None:
    lines = [f"{number % 7}\n" for number in range(5000)]
    changed = [*lines]
    changed[2500] = "new\n"
    found = unified_diff("".join(lines), "".join(changed), "old", "new")
    assert len(found.splitlines()) == 2 + 1 + 8


def test_texts_that_have_almost_nothing_in_common_are_compared_in_bounded_time() -> None:
    """difflib needs many minutes for these, which the time limit of the tests does not allow."""
    old = "".join(f"{number % 101}\n" for number in range(40_000))
    new = "".join(f"{-number % 101}\n" for number in range(40_000))
    assert _applied(old, unified_diff(old, new, "old", "new")) == new
