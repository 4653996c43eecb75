"""Make, list, change and delete applications."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from uuid import UUID

from services.bots.errors import (
    ApplicationNotFound,
    BotNotFound,
    EtagMismatch,
    RequestIdReused,
)
from services.bots.operations.recording import record
from services.bots.ports import Transaction, Transactions
from services.bots.rules import APPLICATION_FIELDS, Application, application_key, is_repeat, updated
from services.chassis.errors import InvalidFields
from services.chassis.etags import check_etag
from services.chassis.identifiers import new_id
from services.chassis.owners import Who
from services.chassis.pagination import PageTokens


@dataclass(frozen=True, slots=True)
class KeepApplications:
    """The operations on applications. Every one acts for an owner; another owner's application is not found."""

    transactions: Transactions
    page_tokens: PageTokens
    committed: Callable[[], None]

    async def create(self, who: Who, wanted: Application, request_id: UUID | None) -> Application:
        """Make an application and return it; the same `request_id` again returns the same application.

        Raises:
            InvalidFields: it has no name.
            BotNotFound: its bot is not the owner's.
            RequestIdReused: the request id came before with another application.
        """
        _check_name(wanted)
        now = datetime.now(UTC)
        application = replace(wanted, application_id=new_id(), created_at=now, updated_at=now)
        async with self.transactions.begin() as tx:
            await _check_bot(tx, who, application)
            if await tx.applications.add(application, who.owner, request_id):
                await record(tx, who, "application", application.application_id, "created", application.name)
                return application
            assert request_id is not None  # noqa: S101 - nothing else can clash
            found = await tx.applications.by_request(who.owner, request_id)
        if found is None or not is_repeat(found, application, APPLICATION_FIELDS):
            raise RequestIdReused(request_id=request_id)
        return found

    async def page(self, who: Who, size: int, token: str) -> tuple[Sequence[Application], str]:
        """Return a page of the owner's applications, the last made first, and the token of the next one."""
        asked = self.page_tokens.asked(f"applications/{who.owner}", size, token)
        async with self.transactions.read() as tx:
            found = await tx.applications.page(who.owner, asked.last_id, asked.count)
        return asked.of(found, lambda one: one.application_id)

    async def get(self, who: Who, application_id: UUID) -> Application:
        """Return one application. Raises ApplicationNotFound."""
        async with self.transactions.read() as tx:
            return await _owned(tx, who, application_id)

    async def update(self, who: Who, wanted: Application, paths: Sequence[str], etag: str) -> Application:
        """Change the fields that the mask names and return the application.

        Raises:
            ApplicationNotFound, BotNotFound: the owner has none with this id.
            EtagMismatch: it has changed since `etag`.
            FieldNotUpdatable: the mask names a field that does not exist or is the server's.
            InvalidFields: it would have no name.
        """
        async with self.transactions.begin() as tx:
            found = await _owned(tx, who, wanted.application_id, lock=True)
            check_etag(found.revision, etag, EtagMismatch)
            changed, fields = updated(found, wanted, paths, APPLICATION_FIELDS)
            if not fields:
                return found
            _check_name(changed)
            await _check_bot(tx, who, changed)
            changed = replace(changed, revision=found.revision + 1, updated_at=datetime.now(UTC))
            await tx.applications.save(changed)
            stale = application_key(changed.application_id)
            await record(tx, who, "application", changed.application_id, "updated", ", ".join(fields), stale=stale)
        self.committed()
        return changed

    async def delete(self, who: Who, application_id: UUID, etag: str) -> None:
        """Delete an application. Raises ApplicationNotFound, EtagMismatch."""
        async with self.transactions.begin() as tx:
            found = await _owned(tx, who, application_id, lock=True)
            check_etag(found.revision, etag, EtagMismatch)
            await tx.applications.delete(application_id)
            await record(
                tx, who, "application", application_id, "deleted", found.name, stale=application_key(application_id)
            )
        self.committed()


def _check_name(application: Application) -> None:
    if not application.name.strip():
        raise InvalidFields([("application.name", "is required")])


async def _owned(tx: Transaction, who: Who, application_id: UUID, *, lock: bool = False) -> Application:
    found = await tx.applications.get(application_id, who.owner, lock=lock)
    if found is None:
        raise ApplicationNotFound(application_id=application_id)
    return found


async def _check_bot(tx: Transaction, who: Who, application: Application) -> None:
    if await tx.bots.get(application.bot_id, who.owner) is None:
        raise BotNotFound(bot_id=application.bot_id)
