"""Between the messages of the contract and the dataclasses of the rules."""

from collections.abc import Sequence
from uuid import UUID

from parley.bots.v1 import application_pb2, bot_pb2, bot_service_pb2, change_pb2, prompt_pb2

from services.bots.operations.resolve_bot import Wanted
from services.bots.rules import (
    DEFAULT_LABEL,
    Application,
    Bot,
    Change,
    Label,
    Prompt,
    PromptVersion,
    Resolved,
    Variable,
    VariableType,
)
from services.chassis.etags import etag_of
from services.chassis.identifiers import optional_id
from services.chassis.timestamps import timestamp

_TYPES = {kind: prompt_pb2.VariableType.Value(f"VARIABLE_TYPE_{kind.name}") for kind in VariableType}
_KINDS = {number: kind for kind, number in _TYPES.items()}
_NO_ID = UUID(int=0)


def bot_from(proto: bot_pb2.Bot, bot_id: UUID = _NO_ID) -> Bot:
    """Return the wanted values of a bot; what the server sets is left empty."""
    parameters = proto.parameters
    return Bot(
        bot_id=bot_id,
        name=proto.name,
        description=proto.description,
        model=proto.model,
        max_output_tokens=parameters.max_output_tokens,
        temperature=parameters.temperature if parameters.HasField("temperature") else None,
        prompt_id=optional_id(proto.prompt_id),
        prompt_label=proto.prompt_label or DEFAULT_LABEL,
        tool_ids=tuple(UUID(one) for one in proto.tool_ids),
    )


def bot_to(bot: Bot) -> bot_pb2.Bot:
    """Return a bot for an answer."""
    return bot_pb2.Bot(
        id=str(bot.bot_id),
        name=bot.name,
        description=bot.description,
        model=bot.model,
        parameters=bot_pb2.ModelParameters(max_output_tokens=bot.max_output_tokens, temperature=bot.temperature),
        prompt_id=str(bot.prompt_id or ""),
        prompt_label=bot.prompt_label,
        tool_ids=[str(one) for one in bot.tool_ids],
        etag=etag_of(bot.revision),
        create_time=timestamp(bot.created_at),
        update_time=timestamp(bot.updated_at),
    )


def wanted_from(request: bot_service_pb2.ResolveBotRequest) -> Wanted:
    """Return which bot a request wants to know of."""
    return Wanted(
        optional_id(request.bot_id),
        request.user_id,
        request.organization_id,
        optional_id(request.application_id),
        dict(request.variables),
        request.ignore_unknown_variables,
    )


def resolved_to(resolved: Resolved) -> bot_service_pb2.ResolveBotResponse:
    """Return a bot as it answers now."""
    return bot_service_pb2.ResolveBotResponse(
        bot=bot_to(resolved.bot), prompt=resolved.prompt, prompt_version=resolved.prompt_version
    )


def application_from(proto: application_pb2.Application, application_id: UUID = _NO_ID) -> Application:
    """Return the wanted values of an application; what the server sets is left empty."""
    bot_id = optional_id(proto.bot_id) or _NO_ID
    return Application(application_id, proto.name, bot_id, proto.disabled)


def application_to(application: Application) -> application_pb2.Application:
    """Return an application for an answer."""
    return application_pb2.Application(
        id=str(application.application_id),
        name=application.name,
        bot_id=str(application.bot_id),
        disabled=application.disabled,
        etag=etag_of(application.revision),
        create_time=timestamp(application.created_at),
        update_time=timestamp(application.updated_at),
    )


def prompt_from(proto: prompt_pb2.Prompt, prompt_id: UUID = _NO_ID) -> Prompt:
    """Return the wanted values of a prompt; what the server sets is left empty."""
    return Prompt(prompt_id, proto.name, proto.description)


def prompt_to(prompt: Prompt) -> prompt_pb2.Prompt:
    """Return a prompt for an answer."""
    return prompt_pb2.Prompt(
        id=str(prompt.prompt_id),
        name=prompt.name,
        description=prompt.description,
        latest_version=prompt.latest_version,
        etag=etag_of(prompt.revision),
        create_time=timestamp(prompt.created_at),
        update_time=timestamp(prompt.updated_at),
    )


def variables_from(protos: Sequence[prompt_pb2.Variable]) -> tuple[Variable, ...]:
    """Return the variables of a request."""
    return tuple(
        Variable(
            proto.name,
            _KINDS.get(proto.type, VariableType.STRING),
            proto.default_value if proto.HasField("default_value") else None,
            proto.description,
        )
        for proto in protos
    )


def version_to(version: PromptVersion) -> prompt_pb2.PromptVersion:
    """Return a version for an answer."""
    return prompt_pb2.PromptVersion(
        prompt_id=str(version.prompt_id),
        number=version.number,
        text=version.text,
        variables=[
            prompt_pb2.Variable(
                name=one.name, type=_TYPES[one.type], default_value=one.default, description=one.description
            )
            for one in version.variables
        ],
        note=version.note,
        author_id=version.author_id,
        create_time=timestamp(version.created_at),
    )


def label_to(label: Label) -> prompt_pb2.PromptLabel:
    """Return a label for an answer."""
    return prompt_pb2.PromptLabel(
        name=label.name, version=label.version, etag=etag_of(label.revision), update_time=timestamp(label.updated_at)
    )


def change_to(change: Change) -> change_pb2.Change:
    """Return a change for an answer."""
    return change_pb2.Change(
        id=str(change.change_id),
        subject=change.subject,
        subject_id=str(change.subject_id),
        action=change.action,
        detail=change.detail,
        user_id=change.user_id,
        time=timestamp(change.at),
    )
