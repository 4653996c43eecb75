"""The words of mails: what strangers chose is a short quotation of words, and never in a subject."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.identity.rules.accounts import Purpose
from services.identity.rules.mails import code_mail, invitation_mail, quoted
from tests.services.identity.fakes import START

_TO = "ann@example.com"


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("Trường Nguyễn Huệ", "“Trường Nguyễn Huệ”"),
        ("O'Neill & Sons", "“O'Neill & Sons”"),
        ("https://evil.example/win?x=1", "“https evil example win x 1”"),
        ("evil.example", "“evil example”"),
        ("mail@evil.example", "“mail evil example”"),
        ("call +1 (555) 010-99", "“call 1 555 010-99”"),
        ("a”. Your code is <b>1</b>", "“a Your code is b 1 b”"),
        ("two\r\nlines", "“two lines”"),
        ("x" * 100, f"“{'x' * 59}…”"),
        ("://", "“”"),
    ],
)
def test_a_name_is_quoted_without_what_could_be_a_link(name: str, shown: str) -> None:
    assert quoted(name) == shown


@given(st.text(max_size=200))
def test_no_name_brings_a_link_or_another_line(name: str) -> None:
    shown = quoted(name)
    assert len(shown) <= 62
    assert re.fullmatch(r"“[^./:@\n\r“”<>\[\]()#+_\\]*”", shown)


@given(st.text(max_size=100))
def test_no_name_changes_the_form_of_an_invitation(name: str) -> None:
    mail = invitation_mail(_TO, name, "token", START)
    assert mail.subject == invitation_mail(_TO, "A", "other", START).subject
    assert mail.text.splitlines()[4] == "token"
    assert len(mail.text.splitlines()) == len(invitation_mail(_TO, "A", "token", START).text.splitlines())


@pytest.mark.parametrize("purpose", Purpose)
def test_a_code_greets_nobody_by_name(purpose: Purpose) -> None:
    assert code_mail(_TO, purpose, "12345678").text.startswith("Hello,\n\nyour code is 12345678.")
