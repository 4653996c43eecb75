"""Add versions to prompts, compare and render them, and move labels between them."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from uuid import UUID

from services.bots.errors import EtagMismatch, LabelNotFound, RequestIdReused, VersionNotFound
from services.bots.operations.keep_prompts import owned_prompt
from services.bots.operations.recording import record
from services.bots.ports import Transaction, Transactions
from services.bots.rules import (
    Difference,
    Label,
    PromptVersion,
    Variable,
    check_template,
    difference,
    moved,
    prompt_key,
    render,
    rolled_back,
)
from services.chassis.etags import etag_of
from services.chassis.owners import Who
from services.chassis.pagination import HEAVY_PAGE_SIZE, PageTokens


@dataclass(frozen=True, slots=True)
class VersionPrompts:
    """The operations on versions and labels. Every one acts for an owner, and raises PromptNotFound."""

    transactions: Transactions
    page_tokens: PageTokens
    committed: Callable[[], None]

    async def add(
        self, who: Who, prompt_id: UUID, text: str, variables: Sequence[Variable], note: str, request_id: UUID | None
    ) -> PromptVersion:
        """Add a version and return it; the same `request_id` again returns the same version.

        Raises:
            TemplateInvalid: the text cannot be rendered whatever is given.
            RequestIdReused: the request id came before with another text.
        """
        check_template(text, variables)
        async with self.transactions.begin() as tx:
            # Locked: versions are numbered one after the other.
            prompt = await owned_prompt(tx, who, prompt_id, lock=True)
            before = None if request_id is None else await tx.prompts.version_by_request(prompt_id, request_id)
            if before is not None:
                if (before.text, before.variables) != (text, tuple(variables)):
                    raise RequestIdReused(request_id=request_id)
                return before
            now = datetime.now(UTC)
            number = prompt.latest_version + 1
            version = PromptVersion(prompt_id, number, text, tuple(variables), note, who.user_id, now)
            await tx.prompts.add_version(version, request_id)
            await tx.prompts.save(replace(prompt, latest_version=number, updated_at=now))
            await record(tx, who, "prompt", prompt_id, "version_created", f"version {number}")
        return version

    async def page(self, who: Who, prompt_id: UUID, size: int, token: str) -> tuple[Sequence[PromptVersion], str]:
        """Return a page of versions, the newest first, and the token of the next page."""
        asked = self.page_tokens.asked(f"versions/{prompt_id}", size, token, HEAVY_PAGE_SIZE)
        async with self.transactions.read() as tx:
            await owned_prompt(tx, who, prompt_id)
            found = await tx.prompts.versions(prompt_id, int(asked.last) if asked.last else None, asked.count)
        return asked.of(found, lambda one: one.number)

    async def get(self, who: Who, prompt_id: UUID, number: int) -> PromptVersion:
        """Return one version. Raises VersionNotFound."""
        async with self.transactions.read() as tx:
            await owned_prompt(tx, who, prompt_id)
            return await _version(tx, prompt_id, number)

    async def compare(self, who: Who, prompt_id: UUID, old: int, new: int) -> Difference:
        """Return how two versions differ. Raises VersionNotFound."""
        async with self.transactions.read() as tx:
            await owned_prompt(tx, who, prompt_id)
            before, after = await _version(tx, prompt_id, old), await _version(tx, prompt_id, new)
        # Of two long texts it takes a while.
        return await asyncio.to_thread(difference, before, after)

    async def render(self, who: Who, prompt_id: UUID, number: int, values: Mapping[str, str]) -> tuple[str, int]:
        """Return what a model would be told by a version, the newest one for 0, and the version's number.

        Raises:
            VersionNotFound: there is no such version.
            VariableMissing, VariableUnknown, VariableInvalid, RenderedTooLong: the values do not fit its variables.
        """
        async with self.transactions.read() as tx:
            prompt = await owned_prompt(tx, who, prompt_id)
            version = await _version(tx, prompt_id, number or prompt.latest_version)
        return render(version.text, version.variables, values), version.number

    async def labels(self, who: Who, prompt_id: UUID, size: int, token: str) -> tuple[Sequence[Label], str]:
        """Return a page of labels in the order of their names, and the token of the next page."""
        asked = self.page_tokens.asked(f"labels/{prompt_id}", size, token)
        async with self.transactions.read() as tx:
            await owned_prompt(tx, who, prompt_id)
            found = await tx.prompts.labels(prompt_id, asked.last, asked.count)
        return asked.of(found, lambda one: one.name)

    async def move(self, who: Who, prompt_id: UUID, name: str, number: int, etag: str) -> Label:
        """Give a label to a version; every answer from now on is either wholly of the old or wholly of the new one.

        Raises:
            VersionNotFound: there is no such version.
            EtagMismatch: the label exists and `etag` is not its present one.
        """
        now = datetime.now(UTC)
        async with self.transactions.begin() as tx:
            await owned_prompt(tx, who, prompt_id, lock=True)
            await _version(tx, prompt_id, number)
            found = await tx.prompts.label(prompt_id, name)
            _check_label(found, etag)
            label = Label(name, number, updated_at=now) if found is None else moved(found, number, now)
            came_from = "" if found is None else f" from version {found.version}"
            await tx.prompts.put_label(prompt_id, label)
            detail = f"{name}{came_from} to version {number}"
            await record(tx, who, "prompt", prompt_id, "label_moved", detail, stale=prompt_key(prompt_id, name))
        self.committed()
        return label

    async def roll_back(self, who: Who, prompt_id: UUID, name: str, etag: str) -> Label:
        """Give a label back to the version that had it before.

        Raises:
            LabelNotFound: there is no such label.
            EtagMismatch: `etag` is not its present one.
            NothingToRollBack: no other version had it before.
        """
        async with self.transactions.begin() as tx:
            await owned_prompt(tx, who, prompt_id, lock=True)
            found = await tx.prompts.label(prompt_id, name)
            if found is None:
                raise LabelNotFound(label=name)
            _check_label(found, etag)
            label = rolled_back(found, datetime.now(UTC))
            await tx.prompts.put_label(prompt_id, label)
            detail = f"{name} from version {found.version} back to version {label.version}"
            await record(tx, who, "prompt", prompt_id, "label_rolled_back", detail, stale=prompt_key(prompt_id, name))
        self.committed()
        return label


def _check_label(label: Label | None, etag: str) -> None:
    # Unlike elsewhere an empty etag does not pass: what everybody is told is moved by those only who know from where.
    present = "" if label is None else etag_of(label.revision)
    if etag != present:
        raise EtagMismatch(etag=present or "empty")


async def _version(tx: Transaction, prompt_id: UUID, number: int) -> PromptVersion:
    found = await tx.prompts.version(prompt_id, number)
    if found is None:
        raise VersionNotFound(version=number)
    return found
