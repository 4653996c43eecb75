"""Tell how a bot answers now."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from uuid import UUID

from services.bots.errors import ApplicationDisabled, ApplicationNotFound, BotNotFound, LabelNotFound
from services.bots.ports import Answering
from services.bots.rules import Bot, Resolved, render
from services.chassis.errors import InvalidFields
from services.chassis.owners import owners_for


@dataclass(frozen=True, slots=True)
class Wanted:
    """Who is to answer: a bot, or whichever bot an application has; for whom, and with which values of variables."""

    bot_id: UUID | None
    user_id: str
    organization_id: str = ""
    application_id: UUID | None = None
    values: Mapping[str, str] = field(default_factory=dict)
    ignore_unknown: bool = False
    """Whether a value of a variable that the prompt does not have is passed over."""


@dataclass(frozen=True, slots=True)
class ResolveBots:
    """What the message processor asks before each answer."""

    answering: Answering

    async def resolve(self, wanted: Wanted) -> Resolved:
        """Return a bot with its rendered prompt.

        Raises:
            InvalidFields: it names both a bot and an application, or neither.
            ApplicationNotFound, BotNotFound: there is none with this id that is the user's or the organisation's.
            ApplicationDisabled: nobody is answered in the application for now.
            LabelNotFound: the bot's prompt has no version with the bot's label.
            VariableMissing, VariableUnknown, VariableInvalid: the values do not fit the prompt's variables.
        """
        bot = await self._bot(wanted)
        if bot.prompt_id is None:
            return Resolved(bot, render("", (), wanted.values, ignore_unknown=wanted.ignore_unknown), 0)
        version = await self.answering.prompt(bot.prompt_id, bot.prompt_label)
        if version is None:
            raise LabelNotFound(label=bot.prompt_label)
        prompt = render(version.text, version.variables, wanted.values, ignore_unknown=wanted.ignore_unknown)
        return Resolved(bot, prompt, version.number)

    async def _bot(self, wanted: Wanted) -> Bot:
        owners = owners_for(wanted.user_id, wanted.organization_id)
        bot_id = wanted.bot_id
        if (bot_id is None) == (wanted.application_id is None):
            raise InvalidFields([("bot_id", "is needed, or application_id, and not both")])
        if wanted.application_id is not None:
            application = await self.answering.application(wanted.application_id)
            if application is None or application[1] not in owners:
                raise ApplicationNotFound(application_id=wanted.application_id)
            if application[0].disabled:
                raise ApplicationDisabled(application_id=wanted.application_id)
            bot_id = application[0].bot_id
        assert bot_id is not None  # noqa: S101 - one of both was named
        bot = await self.answering.bot(bot_id)
        if bot is None or bot[1] not in owners:
            raise BotNotFound(bot_id=bot_id)
        return bot[0]
