"""A bot with tools: the service of tools is real and so are the requests; the test says what the model says."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from uuid import UUID

import grpc
from sqlalchemy import text

from services.chassis.owners import Who, owner_of
from services.conversations.backends.mesh_tools import MeshTools
from services.conversations.operations.answer_messages import AnswerMessages
from services.conversations.operations.converse import Converse, ToolLimits
from services.conversations.operations.withdraw_calls import WithdrawCalls
from services.conversations.ports import PLAIN, Persona
from services.conversations.rules import CallState, Context, PromptMessage, Run, RunEvent
from services.tools.rules import Tool
from tests.acceptance.tools.conftest import House as Workshop
from tests.support.house import House


@dataclass
class BotWithTools:
    """Everything wired, for one test."""

    house: House
    workshop: Workshop
    owner: str
    channel: grpc.aio.Channel
    tool_ids: list[UUID] = field(default_factory=list)
    seconds: float = 30.0

    async def resolve(self, *_: object, **__: object) -> Persona:
        """See the port Bots."""
        return Persona("Be kind.", PLAIN, tuple(self.tool_ids))

    @property
    def answers(self) -> AnswerMessages:
        """What a worker does with a nudge."""
        limits = ToolLimits(3, self.seconds)
        voice = Converse(self.house.transactions, self.house.model, "", 60.0, self, MeshTools(self.channel), limits)
        return AnswerMessages(self.house.transactions, self.house.events, voice, 100, self.withdrawing)

    @property
    def withdrawing(self) -> WithdrawCalls:
        """What withdraws the calls of runs that have ended."""
        return WithdrawCalls(self.house.transactions, MeshTools(self.channel))

    async def tool(self, path: str, **changes: object) -> Tool:
        """Give the bot a tool."""
        tool = await self.workshop.tool(Who(owner_of(self.owner, ""), self.owner), path, **changes)
        self.tool_ids.append(tool.tool_id)
        return tool

    async def asked(self) -> Run:
        """Say something to the bot."""
        made = await self.house.conversations.create(self.owner, "", Context(), None)
        async with self.workshop.database.transaction() as connection:
            statement = text("UPDATE conversations.conversation SET bot_id = id WHERE id = :id")
            await connection.execute(statement, {"id": made.conversation_id})
        return (await self.house.messages.send(self.owner, made.conversation_id, "do it", None))[1]

    async def events(self, run: Run) -> list[RunEvent]:
        """Follow a run to its end."""
        return [event async for event in self.house.runs.follow(self.owner, run.conversation_id, run.run_id, 0)]

    @asynccontextmanager
    async def working(self, run: Run) -> AsyncIterator[None]:
        """Do the calls of a run as they are asked for."""

        async def work() -> None:
            query = text("SELECT id FROM tools.call WHERE run_id = :run_id AND state = 'requested'")
            async with asyncio.TaskGroup() as tasks:
                while True:
                    async with self.workshop.database.autocommit() as connection:
                        for call_id in await connection.scalars(query, {"run_id": run.run_id}):
                            tasks.create_task(self.workshop.dispatching.dispatch(UUID(str(call_id))))
                    await asyncio.sleep(0.02)

        worker = asyncio.create_task(work())
        yield
        worker.cancel()
        await asyncio.gather(worker, return_exceptions=True)


def results(messages: Sequence[PromptMessage]) -> list[str]:
    """Return what a model is told that came of its calls."""
    return [message.text for message in messages if message.role == "tool"]


def told(events: Sequence[RunEvent]) -> list[tuple[str, CallState]]:
    """Return which calls events tell of."""
    return [(event.call.name, event.call.state) for event in events if event.call is not None]


async def lapse(bot: BotWithTools, run: Run) -> None:
    """Let the lease of a run's worker run out."""
    async with bot.workshop.database.transaction() as connection:
        statement = text("UPDATE conversations.conversation SET lease_until = now() - interval '1 s' WHERE id = :id")
        await connection.execute(statement, {"id": run.conversation_id})
