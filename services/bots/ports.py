"""What the operations need from outside."""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from services.bots.rules import Application, Bot, Change, Label, Prompt, PromptVersion


class BotStore(Protocol):
    """Bots, inside one transaction."""

    async def add(self, bot: Bot, owner: str, request_id: UUID | None) -> bool:
        """Store a new bot; False, having stored nothing, when the owner used the request id before."""

    async def by_request(self, owner: str, request_id: UUID) -> Bot | None:
        """Return the bot that was made with a request id."""

    async def get(self, bot_id: UUID, owner: str, *, lock: bool = False) -> Bot | None:
        """Return the owner's bot; `lock` keeps others from changing it until the transaction ends."""

    async def page(self, owner: str, before: UUID | None, size: int) -> list[Bot]:
        """Return the owner's bots made before `before`, the last made first."""

    async def save(self, bot: Bot) -> None:
        """Store a changed bot."""

    async def delete(self, bot_id: UUID) -> None:
        """Delete a bot. Raises BotInUse."""


class ApplicationStore(Protocol):
    """Applications, inside one transaction."""

    async def add(self, application: Application, owner: str, request_id: UUID | None) -> bool:
        """Store a new application; False, having stored nothing, when the owner used the request id before."""

    async def by_request(self, owner: str, request_id: UUID) -> Application | None:
        """Return the application that was made with a request id."""

    async def get(self, application_id: UUID, owner: str, *, lock: bool = False) -> Application | None:
        """Return the owner's application."""

    async def page(self, owner: str, before: UUID | None, size: int) -> list[Application]:
        """Return the owner's applications made before `before`, the last made first."""

    async def save(self, application: Application) -> None:
        """Store a changed application."""

    async def delete(self, application_id: UUID) -> None:
        """Delete an application."""


class PromptStore(Protocol):
    """Prompts, their versions and labels, inside one transaction."""

    async def add(self, prompt: Prompt, owner: str, request_id: UUID | None) -> bool:
        """Store a new prompt; False, having stored nothing, when the owner used the request id before."""

    async def by_request(self, owner: str, request_id: UUID) -> Prompt | None:
        """Return the prompt that was made with a request id."""

    async def get(self, prompt_id: UUID, owner: str, *, lock: bool = False) -> Prompt | None:
        """Return the owner's prompt; `lock` keeps others from changing it until the transaction ends."""

    async def page(self, owner: str, before: UUID | None, size: int) -> list[Prompt]:
        """Return the owner's prompts made before `before`, the last made first."""

    async def save(self, prompt: Prompt) -> None:
        """Store a changed prompt."""

    async def delete(self, prompt_id: UUID) -> None:
        """Delete a prompt with its versions and labels. Raises PromptInUse."""

    async def add_version(self, version: PromptVersion, request_id: UUID | None) -> None:
        """Store a new version. Call it with the prompt locked."""

    async def version_by_request(self, prompt_id: UUID, request_id: UUID) -> PromptVersion | None:
        """Return the version that was made with a request id."""

    async def version(self, prompt_id: UUID, number: int) -> PromptVersion | None:
        """Return one version."""

    async def versions(self, prompt_id: UUID, before: int | None, size: int) -> list[PromptVersion]:
        """Return the versions with a number below `before`, the newest first."""

    async def label(self, prompt_id: UUID, name: str) -> Label | None:
        """Return one label."""

    async def labels(self, prompt_id: UUID, after: str, size: int) -> list[Label]:
        """Return the labels whose names come after `after`, in their order."""

    async def put_label(self, prompt_id: UUID, label: Label) -> None:
        """Store a label, new or moved. Call it with the prompt locked."""


class ChangeLog(Protocol):
    """Who changed what, inside one transaction."""

    async def add(self, change: Change, owner: str, stale: str) -> None:
        """Record a change; once it has committed, what is cached under the key `stale` is dropped, if it names one."""

    async def page(self, owner: str, subject_id: UUID | None, before: UUID | None, size: int) -> list[Change]:
        """Return the owner's changes before `before`, the last one first; of one subject only when it is named."""


@dataclass(frozen=True, slots=True)
class Transaction:
    """What one transaction gives access to."""

    bots: BotStore
    applications: ApplicationStore
    prompts: PromptStore
    changes: ChangeLog


class Transactions(Protocol):
    """Opens transactions."""

    def begin(self) -> AbstractAsyncContextManager[Transaction]:
        """Open a transaction; it commits when the block ends and rolls back when it raises."""

    def read(self) -> AbstractAsyncContextManager[Transaction]:
        """Open a view for reading: each read sees what is committed by then."""


class Tools(Protocol):
    """The tools, which another service keeps."""

    async def of(self, user_id: str, organization_id: str, tool_ids: Sequence[UUID]) -> set[UUID]:
        """Return those that are the user's or the organisation's. Raises ToolsUnavailable."""


class Answering(Protocol):
    """What is needed to answer: read often, so it may be cached; a change shows within a second."""

    async def bot(self, bot_id: UUID) -> tuple[Bot, str] | None:
        """Return a bot and its owner."""

    async def application(self, application_id: UUID) -> tuple[Application, str] | None:
        """Return an application and its owner."""

    async def prompt(self, prompt_id: UUID, label: str) -> PromptVersion | None:
        """Return the version that has a label."""


class StaleEntries(Protocol):
    """The cache, as those see it who must drop what has changed."""

    async def drop(self, keys: Sequence[str]) -> None:
        """Drop entries, and keep those who are reading an old value just now from storing it. Raises when it cannot."""
