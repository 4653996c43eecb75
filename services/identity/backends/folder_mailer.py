"""Mail into a folder, for development without an SMTP server."""

import asyncio
import os
from dataclasses import dataclass
from pathlib import Path

from services.chassis import logs
from services.chassis.identifiers import new_id
from services.identity.backends.smtp_mailer import message_of
from services.identity.rules.accounts import Mail

_log = logs.get(__name__)


@dataclass(frozen=True, slots=True)
class FolderMailer:
    """Implements the port Mailer: one file a mail, the last one sorts last; only their owner reads them."""

    folder: Path
    sender: str

    async def send(self, mail: Mail) -> None:
        """See the port."""
        path = await asyncio.to_thread(self._write, mail)
        # The subject and the place, never the text: it holds a code.
        _log.info("mail written", subject=mail.subject, file=str(path))

    def _write(self, mail: Mail) -> Path:
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        path = self.folder / f"{new_id()}.eml"
        draft = path.with_suffix(".draft")
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(message_of(mail, self.sender).as_bytes())
        draft.rename(path)
        return path
