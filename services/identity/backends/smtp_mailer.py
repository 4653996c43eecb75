"""Mail over SMTP."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from email import policy
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import formatdate, make_msgid, parseaddr
from typing import Literal

import aiosmtplib

from services.identity.rules.accounts import Mail

_PATIENCE_SECONDS = 20.0
Security = Literal["starttls", "tls", "none"]


@dataclass(frozen=True, slots=True)
class SmtpMailer:
    """Implements the port Mailer; a connection for each mail.

    The password is asked for with each mail, since it may change; a refused one is looked up again for the next try.
    """

    host: str
    port: int
    security: Security
    username: str
    password: Callable[[], Awaitable[str]]
    sender: str
    look_again: Callable[[], Awaitable[None]]

    async def send(self, mail: Mail) -> None:
        """See the port."""
        password = await self.password() if self.username else ""
        try:
            await aiosmtplib.send(
                message_of(mail, self.sender),
                # Said in full: whom it goes to is not read out of a header.
                sender=parseaddr(self.sender)[1],
                recipients=[mail.to],
                hostname=self.host,
                port=self.port,
                username=self.username or None,
                password=password or None,
                use_tls=self.security == "tls",
                start_tls=self.security == "starttls",
                timeout=_PATIENCE_SECONDS,
            )
        except aiosmtplib.SMTPAuthenticationError:
            await self.look_again()
            raise


def message_of(mail: Mail, sender: str) -> EmailMessage:
    """Return the message of a mail. Raises ValueError for a line break in a header, and for more than one address."""
    message = EmailMessage(policy=policy.default.clone(utf8=not mail.to.isascii()))
    message["From"] = sender
    message["To"] = Address(addr_spec=mail.to) if mail.to.isascii() else mail.to
    if [address.addr_spec for address in message["To"].addresses] != [mail.to]:
        raise ValueError("a mail goes to one address")
    message["Subject"] = mail.subject
    message["Date"] = formatdate(localtime=False)
    message["Message-ID"] = make_msgid(domain=sender.rpartition("@")[2].rstrip(">"))
    # No out-of-office answers to codes (RFC 3834).
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(mail.text)
    return message
