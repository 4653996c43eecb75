"""Mail over a real SMTP server, and into a folder."""

from collections.abc import Iterator
from email import message_from_bytes, policy
from email.errors import HeaderParseError
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import aiosmtplib
import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, Envelope, LoginPassword

from services.identity.backends.folder_mailer import FolderMailer
from services.identity.backends.smtp_mailer import Security, SmtpMailer
from services.identity.rules.accounts import Mail
from tests.support.stores import free_port

MAIL = Mail("ann@example.com", "Your code – mã của bạn", "Hello Ánn,\n\nyour code is 12345678.\n")
SENDER = "Parley <parley@example.org>"
PASSWORD = "the password of the server"


class Inbox:
    """Keeps what a server takes; refuses while it is full."""

    def __init__(self) -> None:
        self.taken: list[EmailMessage] = []
        self.recipients: list[list[str]] = []
        self.is_full = False

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Envelope) -> str:
        if self.is_full:
            return "452 4.2.2 mailbox full"
        self.recipients.append(list(envelope.rcpt_tos))
        self.taken.append(message_from_bytes(envelope.content or b"", policy=policy.default))  # type: ignore[arg-type]
        return "250 OK"


@pytest.fixture
def inbox() -> Inbox:
    """What the server took."""
    return Inbox()


@pytest.fixture
def port(inbox: Inbox) -> Iterator[int]:
    """A server with one account."""

    def check(_server: Any, _session: Any, _envelope: Any, _mechanism: str, shown: Any) -> AuthResult:
        good = isinstance(shown, LoginPassword) and (shown.login, shown.password) == (b"parley", PASSWORD.encode())
        return AuthResult(success=good, handled=False)  # so that the server answers a refusal by itself

    controller = Controller(
        inbox,
        hostname="127.0.0.1",
        port=free_port(),
        auth_require_tls=False,
        authenticator=check,
    )
    controller.start()
    yield controller.port
    controller.stop()


class Passwords:
    """A store of secrets that knows another password once it is asked to look again."""

    def __init__(self, first: str, later: str) -> None:
        self.now, self._later = first, later

    async def get(self) -> str:
        return self.now

    async def look_again(self) -> None:
        self.now = self._later


def mailer(port: int, password: str = PASSWORD, later: str = "", security: Security = "none") -> SmtpMailer:
    known = Passwords(password, later or password)
    return SmtpMailer("127.0.0.1", port, security, "parley", known.get, SENDER, known.look_again)


async def test_a_mail_arrives_as_it_was_written(inbox: Inbox, port: int) -> None:
    await mailer(port).send(MAIL)
    (message,) = inbox.taken
    assert (message["To"], message["Subject"], message["From"]) == (MAIL.to, MAIL.subject, SENDER)
    assert message.get_content().replace("\r\n", "\n") == MAIL.text
    assert message["Message-ID"].endswith("@example.org>")
    assert message["Auto-Submitted"] == "auto-generated"


async def test_a_mail_that_was_not_taken_is_not_taken_for_sent(inbox: Inbox, port: int) -> None:
    inbox.is_full = True
    with pytest.raises(aiosmtplib.SMTPException):
        await mailer(port).send(MAIL)
    with pytest.raises(aiosmtplib.SMTPException):
        await mailer(port, "wrong").send(MAIL)
    with pytest.raises((aiosmtplib.SMTPException, OSError)):
        await mailer(free_port()).send(MAIL)
    assert inbox.taken == []


async def test_a_password_that_was_changed_is_looked_up_again(inbox: Inbox, port: int) -> None:
    changed = mailer(port, "the one before", later=PASSWORD)
    with pytest.raises(aiosmtplib.SMTPAuthenticationError):
        await changed.send(MAIL)
    await changed.send(MAIL)
    assert len(inbox.taken) == 1


async def test_a_server_without_encryption_gets_nothing_unless_that_is_wanted(inbox: Inbox, port: int) -> None:
    demanding = mailer(port, security="starttls")
    with pytest.raises(aiosmtplib.SMTPException):
        await demanding.send(MAIL)
    assert inbox.taken == []
    assert PASSWORD not in repr(demanding)


async def test_a_folder_keeps_mails_for_their_owner_only(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "mail"
    for _ in range(2):
        await FolderMailer(folder, SENDER).send(MAIL)
    files = sorted(folder.iterdir())
    assert [path.suffix for path in files] == [".eml", ".eml"]
    assert {path.stat().st_mode & 0o777 for path in files} == {0o600}
    message = message_from_bytes(files[0].read_bytes(), policy=policy.default)
    assert message.get_content() == MAIL.text
    shown = capsys.readouterr()
    assert "12345678" not in shown.out + shown.err
    assert "12345678" not in repr(MAIL)


@pytest.mark.parametrize(
    "to",
    [
        "a0,victim@example.com",
        "ann@example.com, victim@example.com",
        "ann@example.com\r\nBcc: victim@example.com",
        "ann@example.com\nBcc: victim@example.com",
        "Ann <ann@example.com>",
        "all: ann@example.com, victim@example.com;",
        "ann@example.com (x",
        "ann@[127.0.0.1], victim@example.com",
        "ánn@example.com, victim@example.com",
        "",
        "ann",
    ],
)
async def test_a_mail_goes_to_one_address(inbox: Inbox, port: int, to: str) -> None:
    with pytest.raises((ValueError, IndexError, HeaderParseError)):
        await mailer(port).send(Mail(to, "Your code", "12345678"))
    assert inbox.taken == []


@pytest.mark.parametrize("subject", ["a\r\nBcc: victim@example.com", "a\nb", "a\rb"])
async def test_nothing_gets_into_a_header_by_a_line_break(inbox: Inbox, port: int, subject: str) -> None:
    with pytest.raises(ValueError, match=r"(?i)header"):
        await mailer(port).send(Mail(MAIL.to, subject, "12345678"))
    assert inbox.taken == []


async def test_the_text_of_a_mail_begins_no_header_and_no_other_mail(inbox: Inbox, port: int) -> None:
    text = "Bcc: victim@example.com\r\n.\r\nMAIL FROM:<x@example.com>\r\n\r\nend\n"
    await mailer(port).send(Mail(MAIL.to, "Your code", text))
    (message,) = inbox.taken
    assert message["Bcc"] is None
    assert message.get_content().splitlines() == text.splitlines()
    assert inbox.recipients == [[MAIL.to]]
