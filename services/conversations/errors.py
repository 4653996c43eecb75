"""What can go wrong in a conversation; protos/parley/conversations/v1/error_reason.proto explains each."""

from services.chassis.errors import Kind, NotUpdatable, RequestIdSpent, ServiceError


class ConversationsError(ServiceError):
    """A failure of this service."""

    domain = "conversations.parley"


class ConversationNotFound(ConversationsError):
    """The caller has no such conversation; whether another user has, is not told."""

    kind = Kind.NOT_FOUND
    reason = "CONVERSATION_NOT_FOUND"
    template = "conversation_id: there is no conversation {conversation_id}"


class MessageNotFound(ConversationsError):
    """The conversation has no such message."""

    kind = Kind.NOT_FOUND
    reason = "MESSAGE_NOT_FOUND"
    template = "message_id: there is no message {message_id}"


class MessageNotEditable(ConversationsError):
    """What the assistant said cannot be edited."""

    kind = Kind.FAILED_PRECONDITION
    reason = "MESSAGE_NOT_EDITABLE"
    template = "message_id: {message_id} was said by the assistant: only what a user said can be edited"


class RunNotFound(ConversationsError):
    """The conversation has no such run."""

    kind = Kind.NOT_FOUND
    reason = "RUN_NOT_FOUND"
    template = "run_id: there is no run {run_id}"


class FieldNotUpdatable(ConversationsError, NotUpdatable):
    """The update mask names a field that does not exist or cannot be changed."""


class RequestIdReused(ConversationsError, RequestIdSpent):
    """The same request id came before with something else."""


class AnswerFailed(ConversationsError):
    """The model gave no answer."""

    kind = Kind.UNAVAILABLE
    reason = "ANSWER_FAILED"
    template = "no answer could be had ({cause}); run {run_id}"


class AnswerTimeout(ConversationsError):
    """The answer is not there yet."""

    kind = Kind.DEADLINE_EXCEEDED
    reason = "ANSWER_TIMEOUT"
    template = "the answer is not there yet: it will land in session {session_id}, run {run_id}"


class AnswerCancelled(ConversationsError):
    """The answer was cancelled while the caller waited for it."""

    kind = Kind.ABORTED
    reason = "ANSWER_CANCELLED"
    template = "run {run_id} was cancelled"


class CannotAnswer(ConversationsError):
    """Whoever is to answer cannot."""


class BotNotFound(CannotAnswer):
    """The caller has no such bot."""

    kind = Kind.NOT_FOUND
    reason = "BOT_NOT_FOUND"
    template = "bot_id: there is no bot {bot_id}"


class BotUnusable(CannotAnswer):
    """The bot cannot answer as it is."""

    kind = Kind.FAILED_PRECONDITION
    reason = "BOT_UNUSABLE"
    template = "the bot cannot answer as it is ({cause})"


class ApplicationNotFound(CannotAnswer):
    """The caller has no such application."""

    kind = Kind.NOT_FOUND
    reason = "APPLICATION_NOT_FOUND"
    template = "application_id: there is no application {application_id}"


class ApplicationDisabled(CannotAnswer):
    """Nobody is answered in the application for now."""

    kind = Kind.FAILED_PRECONDITION
    reason = "APPLICATION_DISABLED"
    template = "application_id: the application {application_id} is disabled"


class PromptVariableInvalid(CannotAnswer):
    """The values do not fit the variables of the bot's prompt."""

    kind = Kind.INVALID_ARGUMENT
    reason = "PROMPT_VARIABLE_INVALID"
    template = "prompt_variables: {variable} {cause}"

    @property
    def violations(self) -> tuple[tuple[str, str], ...]:
        return (("prompt_variables", f"{self.fields['variable']} {self.fields['cause']}"),)


class BotsUnavailable(ConversationsError):
    """Nobody can tell now whether there is the bot."""

    kind = Kind.UNAVAILABLE
    reason = "BOTS_UNAVAILABLE"
    template = "bots cannot be asked for now; try again"
