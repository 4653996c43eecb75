"""What is said in a run: by whom, with which tools, and round after round until the model asks for no more."""

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from services.conversations.errors import CannotAnswer
from services.conversations.operations.call_tools import CallTools
from services.conversations.ports import (
    AnswerModel,
    Asker,
    Asking,
    Bots,
    Claim,
    ModelFailed,
    Summary,
    TakenBack,
    Tool,
    Tools,
    Transactions,
)
from services.conversations.rules import (
    Metadata,
    Round,
    ToolCall,
    ToolRequest,
    asked_for,
    prompt,
    retold,
    together,
)


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

    async def speak(self, claim: Claim) -> AsyncGenerator[str | TakenBack | ToolCall | Summary, None]:
        """Yield the answer to a claimed run bit by bit, the calls of tools on the way, then one Summary of all rounds.

        Each round of calls is stored with the run: when the run is taken up again, it goes on after the last one, and
        what was said so far and how its calls stand is yielded once more.

        Raises:
            ModelFailed: there is no answer to be had.
            LeaseLost: another worker has the run.
        """
        stored: list[Round] = []
        if not claim.asker.answerer.is_assistant:  # only bots have tools
            async with self.transactions.autocommit() as tx:
                stored = await tx.runs.rounds(claim.run.run_id)
        system, asking = await self._instructed(claim.asker)
        messages = prompt(system, claim.context, claim.history)
        total, before = Metadata(), ""
        for depth in range(self.limits.rounds + 1):
            if depth < len(stored):
                one = stored[depth]
                if one.text:
                    yield one.text
            else:
                said: list[str] = []
                asked: list[ToolRequest] = []
                metadata = Metadata()
                offered = self._offered(asking, claim, depth)
                async for piece in self.model.generate(messages, self.answer_seconds, offered):
                    if isinstance(piece, Summary):
                        metadata = piece.metadata
                    elif isinstance(piece, ToolRequest):
                        asked.append(piece)
                    elif isinstance(piece, TakenBack):
                        said.clear()
                        yield piece
                        if before:
                            yield before
                    else:
                        said.append(piece)
                        yield piece
                if not asked or not offered.tools:
                    total = together(total, metadata)
                    break
                one = _round(claim, depth, "".join(said), metadata, asked, offered.tools)
            total = together(total, one.metadata)
            async for call in self._called(claim, one, is_new=depth >= len(stored)):
                one = _with(one, call)
                yield call
            messages += retold(one)
            before += one.text
        yield Summary(total)

    def _offered(self, asking: Asking, claim: Claim, depth: int) -> Asking:
        if depth >= self.limits.rounds:
            # In the last round no tool is offered: the model has to answer.
            return replace(asking, tools=())
        return replace(asking, tool_required=depth == 0 and claim.run.tool_required and bool(asking.tools))

    async def _instructed(self, asker: Asker) -> tuple[str, Asking]:
        if asker.answerer.is_assistant or self.bots is None:
            return self.system_prompt, Asking()
        try:
            persona = await self.bots.resolve(asker)
        except CannotAnswer as gone:
            raise ModelFailed(gone.reason, gone.message, retryable=False) from gone
        tools: Sequence[Tool] = ()
        # What tools are told and answer rests in their store as it is: nothing of a private conversation goes there.
        if persona.tool_ids and self.tools is not None and not asker.private:
            tools = await self.tools.describe(asker, persona.tool_ids)
        return persona.prompt or self.system_prompt, replace(persona.asking, tools=tuple(tools))

    async def _called(self, claim: Claim, one: Round, *, is_new: bool) -> AsyncIterator[ToolCall]:
        assert self.tools is not None  # noqa: S101 - else no tool was offered
        calling = CallTools(self.transactions, self.tools, self.limits.seconds)
        if is_new:
            # Before anything is done: a worker that takes the run over knows what was asked for, by its ids.
            await calling.store(claim, one)
        async for call in calling.done(claim, one):
            yield call


def _round(
    claim: Claim, depth: int, text: str, metadata: Metadata, asked: Sequence[ToolRequest], offered: Sequence[Tool]
) -> Round:
    calls = asked_for(claim.run.run_id, depth, asked, {tool.name: tool.tool_id for tool in offered})
    return Round(depth, text, replace(metadata, tool_calls=len(calls)), tuple(calls), datetime.now(UTC))


def _with(one: Round, call: ToolCall) -> Round:
    return replace(one, calls=tuple(call if call.call_id == known.call_id else known for known in one.calls))
