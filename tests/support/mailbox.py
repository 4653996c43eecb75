"""The mails that a house wrote into its folder, instead of handing them to an SMTP server."""

import re
from dataclasses import dataclass
from email import message_from_bytes, policy
from pathlib import Path

from tests.support.callers import Person
from tests.support.polling import until

_SECONDS = 15.0
_CODE = re.compile(r"\b\d{8}\b")
_TOKEN = re.compile(r"^[A-Za-z0-9_-]{43}$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Mailbox:
    """The folder `HOME/mail` of a house."""

    home: Path

    def texts(self, to: str) -> list[str]:
        """Return the texts of the mails to an address, the last sent last."""
        mails = [message_from_bytes(path.read_bytes(), policy=policy.default) for path in sorted(self._files())]
        return [mail.get_content() for mail in mails if str(mail["To"]).casefold() == to.casefold()]

    def wait_for(self, to: str, count: int = 1) -> str:
        """Return the text of the mail number `count` to an address, once it is there."""
        until(lambda: len(self.texts(to)) >= count, seconds=_SECONDS, what=f"mail number {count} to {to}")
        return self.texts(to)[count - 1]

    def code(self, to: str, count: int = 1) -> str:
        """Return the code in the mail number `count` to an address, once it is there."""
        return _found(_CODE, self.wait_for(to, count))

    def codes(self, to: str) -> list[str]:
        """Return the codes that were sent to an address."""
        return [found[0] for text in self.texts(to) if (found := _CODE.search(text))]

    def token(self, to: str, count: int = 1) -> str:
        """Return the token in the mail number `count` to an address, once it is there."""
        return _found(_TOKEN, self.wait_for(to, count))

    def _files(self) -> list[Path]:
        return list((self.home / "mail").glob("*.eml"))


async def verify(person: Person, home: Path) -> Person:
    """Have somebody who has just registered show the code of the mail: the address counts as verified from then on."""
    email = str(person.user["email"])
    shown = {"email": email, "code": Mailbox(home).code(email)}
    response = await person.edge.http.post("/api/v1/auth/verify-email", json=shown)
    assert response.status_code == 200, response.text
    person.user["emailVerified"] = True
    return person


def _found(pattern: re.Pattern[str], text: str) -> str:
    match = pattern.search(text)
    assert match, text
    return match[0]
