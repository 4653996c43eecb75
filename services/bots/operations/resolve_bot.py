"""Tell how a bot answers now."""

from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

from services.bots.errors import BotNotFound, LabelNotFound
from services.bots.ports import Answering
from services.bots.rules import Resolved, render
from services.chassis.owners import owners_for


@dataclass(frozen=True, slots=True)
class ResolveBots:
    """What the message processor asks before each answer."""

    answering: Answering

    async def resolve(self, bot_id: UUID, user_id: str, organization_id: str, values: Mapping[str, str]) -> Resolved:
        """Return a bot with its rendered prompt.

        Raises:
            BotNotFound: there is none with this id that is the user's or the organisation's.
            LabelNotFound: its prompt has no version with the bot's label.
            VariableMissing, VariableUnknown, VariableInvalid: the values do not fit the prompt's variables.
        """
        found = await self.answering.bot(bot_id)
        if found is None or found[1] not in owners_for(user_id, organization_id):
            raise BotNotFound(bot_id=bot_id)
        bot = found[0]
        if bot.prompt_id is None:
            return Resolved(bot, "", 0)
        version = await self.answering.prompt(bot.prompt_id, bot.prompt_label)
        if version is None:
            raise LabelNotFound(label=bot.prompt_label)
        return Resolved(bot, render(version.text, version.variables, values), version.number)
