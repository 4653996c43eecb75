"""The words of mails. What strangers wrote stands in no subject, and in a text only as a short, plain quotation."""

import re
from datetime import datetime

from services.identity.rules.accounts import Mail, Purpose

_MOST_CHARACTERS = 60
# Whatever else could become a link, an address or a number to call, or could end the quotation.
_NO_WORD = re.compile(r"[^\w '’&-]|_")
_SUBJECTS = {
    Purpose.VERIFY_EMAIL: "Your code to verify your e-mail address",
    Purpose.RESET_PASSWORD: "Your code to set a new password",
}
_UNPROVEN = {
    Purpose.VERIFY_EMAIL: (
        "Somebody has registered with this address, under the username {username}. Use the code only if that was you, "
        "and give it to nobody: whoever registered would keep an account with your address.\n\n"
    ),
    Purpose.RESET_PASSWORD: (
        "Somebody has registered with this address, under the username {username}, and has not verified it. The code "
        "ends that account and makes a new, empty one for you. If it is yours and you know its password, sign in and "
        "ask for a code to verify the address instead.\n\n"
    ),
}
_INVITATION = "Invitation to an organization"


def quoted(name: str) -> str:
    """Return a name that a stranger chose, for the text of a mail to somebody else: words only, and not many."""
    words = " ".join(_NO_WORD.sub(" ", name).split())
    if len(words) > _MOST_CHARACTERS:
        words = f"{words[: _MOST_CHARACTERS - 1].rstrip()}…"
    return f"“{words}”"


def code_mail(to: str, purpose: Purpose, code: str, unproven: str = "") -> Mail:
    """Return the mail that brings a code. It greets nobody by name: who registered may not be who reads it.

    `unproven` is the username with which the address was registered, as long as nobody has verified it.
    """
    text = f"Hello,\n\nyour code is {code}. It is good for ten minutes and one use.\n\n"
    if unproven:
        text += _UNPROVEN[purpose].format(username=quoted(unproven))
    return Mail(to, _SUBJECTS[purpose], f"{text}If you did not ask for it, you need not do anything.\n")


def invitation_mail(to: str, organization: str, token: str, expires_at: datetime) -> Mail:
    """Return the mail that invites somebody into an organisation."""
    text = (
        f"Hello,\n\nyou are invited to join an organization that calls itself {quoted(organization)}. Register or sign "
        f"in with this e-mail address and accept with this token:\n\n{token}\n\nIt is good until "
        f"{expires_at:%d %B %Y}. If you do not know who invites you, you need not do anything.\n"
    )
    return Mail(to, _INVITATION, text)


def notice_mail(to: str, subject: str, text: str) -> Mail:
    """Return the mail that tells a user of something."""
    return Mail(to, subject, f"Hello,\n\n{text}\n")
