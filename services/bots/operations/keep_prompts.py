"""Make, list, change and delete prompts."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from uuid import UUID

from services.bots.errors import EtagMismatch, PromptNotFound, RequestIdReused
from services.bots.operations.recording import record
from services.bots.ports import Transaction, Transactions
from services.bots.rules import PROMPT_FIELDS, Prompt, is_repeat, updated
from services.chassis.errors import InvalidFields
from services.chassis.etags import check_etag
from services.chassis.identifiers import new_id
from services.chassis.owners import Who
from services.chassis.pagination import PageTokens


async def owned_prompt(tx: Transaction, who: Who, prompt_id: UUID, *, lock: bool = False) -> Prompt:
    """Return the owner's prompt. Raises PromptNotFound."""
    found = await tx.prompts.get(prompt_id, who.owner, lock=lock)
    if found is None:
        raise PromptNotFound(prompt_id=prompt_id)
    return found


@dataclass(frozen=True, slots=True)
class KeepPrompts:
    """The operations on prompts. Every one acts for an owner; another owner's prompt is not found."""

    transactions: Transactions
    page_tokens: PageTokens

    async def create(self, who: Who, wanted: Prompt, request_id: UUID | None) -> Prompt:
        """Make a prompt and return it; the same `request_id` again returns the same prompt.

        Raises:
            InvalidFields: it has no name.
            RequestIdReused: the request id came before with another prompt.
        """
        _check_name(wanted)
        now = datetime.now(UTC)
        prompt = replace(wanted, prompt_id=new_id(), created_at=now, updated_at=now)
        async with self.transactions.begin() as tx:
            if await tx.prompts.add(prompt, who.owner, request_id):
                await record(tx, who, "prompt", prompt.prompt_id, "created", prompt.name)
                return prompt
            assert request_id is not None  # noqa: S101 - nothing else can clash
            found = await tx.prompts.by_request(who.owner, request_id)
        if found is None or not is_repeat(found, prompt, PROMPT_FIELDS):
            raise RequestIdReused(request_id=request_id)
        return found

    async def page(self, who: Who, size: int, token: str) -> tuple[Sequence[Prompt], str]:
        """Return a page of the owner's prompts, the last made first, and the token of the next one."""
        asked = self.page_tokens.asked(f"prompts/{who.owner}", size, token)
        async with self.transactions.read() as tx:
            found = await tx.prompts.page(who.owner, asked.last_id, asked.count)
        return asked.of(found, lambda one: one.prompt_id)

    async def get(self, who: Who, prompt_id: UUID) -> Prompt:
        """Return one prompt. Raises PromptNotFound."""
        async with self.transactions.read() as tx:
            return await owned_prompt(tx, who, prompt_id)

    async def update(self, who: Who, wanted: Prompt, paths: Sequence[str], etag: str) -> Prompt:
        """Change the fields that the mask names and return the prompt.

        Raises:
            PromptNotFound: the owner has none with this id.
            EtagMismatch: it has changed since `etag`.
            FieldNotUpdatable: the mask names a field that does not exist or is the server's.
            InvalidFields: it would have no name.
        """
        async with self.transactions.begin() as tx:
            found = await owned_prompt(tx, who, wanted.prompt_id, lock=True)
            check_etag(found.revision, etag, EtagMismatch)
            changed, fields = updated(found, wanted, paths, PROMPT_FIELDS)
            if not fields:
                return found
            _check_name(changed)
            changed = replace(changed, revision=found.revision + 1, updated_at=datetime.now(UTC))
            await tx.prompts.save(changed)
            await record(tx, who, "prompt", changed.prompt_id, "updated", ", ".join(fields))
        return changed

    async def delete(self, who: Who, prompt_id: UUID, etag: str) -> None:
        """Delete a prompt with its versions and labels. Raises PromptNotFound, EtagMismatch, PromptInUse."""
        async with self.transactions.begin() as tx:
            found = await owned_prompt(tx, who, prompt_id, lock=True)
            check_etag(found.revision, etag, EtagMismatch)
            await tx.prompts.delete(prompt_id)
            await record(tx, who, "prompt", prompt_id, "deleted", found.name)


def _check_name(prompt: Prompt) -> None:
    if not prompt.name.strip():
        raise InvalidFields([("prompt.name", "is required")])
