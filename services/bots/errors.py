"""What can go wrong with bots and prompts; protos/parley/bots/v1/error_reason.proto explains each."""

from services.chassis.errors import EtagOutdated, Kind, NotUpdatable, RequestIdSpent, ServiceError


class BotsError(ServiceError):
    """A failure of this service."""

    domain = "bots.parley"


class BotNotFound(BotsError):
    """The owner has no such bot; whether another owner has, is not told."""

    kind = Kind.NOT_FOUND
    reason = "BOT_NOT_FOUND"
    template = "bot_id: there is no bot {bot_id}"


class ApplicationNotFound(BotsError):
    """The owner has no such application."""

    kind = Kind.NOT_FOUND
    reason = "APPLICATION_NOT_FOUND"
    template = "application_id: there is no application {application_id}"


class PromptNotFound(BotsError):
    """The owner has no such prompt."""

    kind = Kind.NOT_FOUND
    reason = "PROMPT_NOT_FOUND"
    template = "prompt_id: there is no prompt {prompt_id}"


class ToolNotFound(BotsError):
    """Neither the owner nor the caller has such a tool; whether somebody else has, is not told."""

    kind = Kind.NOT_FOUND
    reason = "TOOL_NOT_FOUND"
    template = "bot.tool_ids: there is no tool {tool_id}"


class ToolsUnavailable(BotsError):
    """Whose tools these are cannot be told now."""

    kind = Kind.UNAVAILABLE
    reason = "TOOLS_UNAVAILABLE"
    template = "the tools cannot be asked for now; try again"

    @property
    def retry_after_seconds(self) -> float:
        return 1.0


class VersionNotFound(BotsError):
    """The prompt has no such version."""

    kind = Kind.NOT_FOUND
    reason = "VERSION_NOT_FOUND"
    template = "version: the prompt has no version {version}"


class LabelNotFound(BotsError):
    """The prompt has no such label."""

    kind = Kind.NOT_FOUND
    reason = "LABEL_NOT_FOUND"
    template = "label: the prompt has no label {label}"


class FieldNotUpdatable(BotsError, NotUpdatable):
    """The update mask names a field that does not exist or cannot be changed."""


class RequestIdReused(BotsError, RequestIdSpent):
    """The same request id came before with something else."""


class EtagMismatch(BotsError, EtagOutdated):
    """Somebody changed it since it was read."""


class BotInUse(BotsError):
    """An application answers with the bot."""

    kind = Kind.FAILED_PRECONDITION
    reason = "BOT_IN_USE"
    template = "bot_id: an application answers with the bot {bot_id}"


class PromptInUse(BotsError):
    """A bot uses the prompt."""

    kind = Kind.FAILED_PRECONDITION
    reason = "PROMPT_IN_USE"
    template = "prompt_id: a bot uses the prompt {prompt_id}"


class NothingToRollBack(BotsError):
    """The label has had no other version before."""

    kind = Kind.FAILED_PRECONDITION
    reason = "NOTHING_TO_ROLL_BACK"
    template = "label: {label} has had no other version before"


class TemplateInvalid(BotsError):
    """The text of a prompt cannot be used."""

    kind = Kind.INVALID_ARGUMENT
    reason = "TEMPLATE_INVALID"
    template = "text: {cause}"

    @property
    def violations(self) -> tuple[tuple[str, str], ...]:
        return (("text", self.fields["cause"]),)


class VariableMissing(BotsError):
    """A variable has neither a value nor a default."""

    kind = Kind.INVALID_ARGUMENT
    reason = "VARIABLE_MISSING"
    template = "variables: {variable} needs a value"

    @property
    def violations(self) -> tuple[tuple[str, str], ...]:
        return (("variables", f"{self.fields['variable']} needs a value"),)


class VariableUnknown(BotsError):
    """A value was given for a variable that the prompt does not have."""

    kind = Kind.INVALID_ARGUMENT
    reason = "VARIABLE_UNKNOWN"
    template = "variables: the prompt has no variable {variable}"

    @property
    def violations(self) -> tuple[tuple[str, str], ...]:
        return (("variables", f"the prompt has no variable {self.fields['variable']}"),)


class VariableInvalid(BotsError):
    """The value of a variable is not of its type."""

    kind = Kind.INVALID_ARGUMENT
    reason = "VARIABLE_INVALID"
    template = "variables: {variable} must be of type {type}"

    @property
    def violations(self) -> tuple[tuple[str, str], ...]:
        return (("variables", f"{self.fields['variable']} must be of type {self.fields['type']}"),)


class RenderedTooLong(BotsError):
    """A prompt with the values in its places is longer than may be."""

    kind = Kind.INVALID_ARGUMENT
    reason = "RENDERED_TOO_LONG"
    template = "variables: the prompt would have more than {most} characters with these values"

    @property
    def violations(self) -> tuple[tuple[str, str], ...]:
        return (("variables", f"the prompt would have more than {self.fields['most']} characters with these values"),)


class ApplicationDisabled(BotsError):
    """Nobody is answered in the application for now."""

    kind = Kind.FAILED_PRECONDITION
    reason = "APPLICATION_DISABLED"
    template = "application_id: the application {application_id} is disabled"
