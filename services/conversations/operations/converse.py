"""What is said in a run: by whom, with which tools, and round after round until the model asks for no more."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from uuid import UUID, uuid5

from services.conversations.errors import BotNotFound, BotUnusable
from services.conversations.ports import (
    AnswerModel,
    Asker,
    Asking,
    Bots,
    Claim,
    ModelFailed,
    Summary,
    Tool,
    Tools,
    Transactions,
    WantedCall,
)
from services.conversations.rules import Metadata, PromptMessage, ToolRequest, prompt


@dataclass(frozen=True, slots=True)
class ToolLimits:
    """How many rounds of calls an answer may take, and for how many seconds a round is waited for."""

    rounds: int = 5
    seconds: float = 600.0


@dataclass(frozen=True, slots=True)
class Converse:
    """Speaks for Parley's own assistant, or for the bot of the conversation."""

    transactions: Transactions
    model: AnswerModel
    system_prompt: str
    answer_seconds: float
    bots: Bots | None = None
    tools: Tools | None = None
    limits: ToolLimits = ToolLimits()

    async def speak(self, claim: Claim) -> AsyncIterator[str | Summary]:
        """Yield the answer to a claimed run bit by bit, then one Summary of all rounds. Raises ModelFailed.

        A run that is taken up again asks again: a call that the model asks for in the same words is not done twice,
        because its id is made of the run and of what is asked for.
        """
        async with self.transactions.read() as tx:
            asker = await tx.conversations.asker(claim.run.conversation_id)
        system, asking = await self._instructed(asker)
        messages = prompt(system, claim.context, claim.history)
        total = Metadata()
        for depth in range(self.limits.rounds + 1):
            # In the last round no tool is offered: the model has to answer.
            offered = asking if depth < self.limits.rounds else replace(asking, tools=())
            said: list[str] = []
            requests: list[ToolRequest] = []
            async for piece in self.model.generate(messages, self.answer_seconds, offered):
                if isinstance(piece, Summary):
                    total = _added(total, piece.metadata)
                elif isinstance(piece, ToolRequest):
                    requests.append(piece)
                else:
                    said.append(piece)
                    yield piece
            if not requests or asker is None:
                break
            results = await self._called(asker, claim, offered.tools, requests, depth)
            messages += [PromptMessage("assistant", "".join(said), tuple(requests)), *results]
        yield Summary(total)

    async def _instructed(self, asker: Asker | None) -> tuple[str, Asking]:
        if asker is None or asker.bot_id is None or self.bots is None:
            return self.system_prompt, Asking()
        try:
            persona = await self.bots.resolve(asker.bot_id, asker.user_id, asker.organization_id)
        except (BotNotFound, BotUnusable) as gone:
            raise ModelFailed(gone.reason, gone.message, retryable=False) from gone
        tools: Sequence[Tool] = ()
        # What tools are told and answer rests in their store as it is: nothing of a private conversation goes there.
        if persona.tool_ids and self.tools is not None and not asker.private:
            tools = await self.tools.describe(asker, persona.tool_ids)
        return persona.prompt or self.system_prompt, replace(persona.asking, tools=tuple(tools))

    async def _called(
        self, asker: Asker, claim: Claim, tools: Sequence[Tool], requests: Sequence[ToolRequest], depth: int
    ) -> list[PromptMessage]:
        assert self.tools is not None  # noqa: S101 - else no tool was offered
        known = {tool.name: tool.tool_id for tool in tools}
        wanted = {
            request.key: WantedCall(
                _call_id(claim.run.run_id, depth, index, request), known[request.name], request.arguments
            )
            for index, request in enumerate(requests)
            if request.name in known
        }
        results: dict[str, str] = {}
        if wanted:
            told = await self.tools.call(asker, claim, list(wanted.values()), depth, self.limits.seconds)
            results = dict(zip(wanted, told, strict=True))
        return [
            PromptMessage("tool", results.get(one.key, f"failed: there is no tool {one.name}"), (), one.key)
            for one in requests
        ]


def _call_id(run_id: UUID, depth: int, index: int, request: ToolRequest) -> UUID:
    return uuid5(run_id, f"{depth}/{index}/{request.name}/{request.arguments}")


def _added(total: Metadata, one: Metadata) -> Metadata:
    return replace(
        one,
        input_tokens=total.input_tokens + one.input_tokens,
        output_tokens=total.output_tokens + one.output_tokens,
    )
