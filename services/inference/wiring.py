"""Names the concrete classes."""

import asyncio
import contextlib
from pathlib import Path

from parley.inference.v1 import generation_service_pb2_grpc, model_service_pb2_grpc

from services.chassis import logs, tracebacks
from services.chassis.module import Module, Served
from services.chassis.resources import Resources
from services.chassis.secrets import SecretMissing, SecretStore
from services.inference.backends.cpu_instructions import missing_here
from services.inference.backends.dialects import Dialect
from services.inference.backends.estimating_token_counter import EstimatingTokenCounter
from services.inference.backends.llama_server_process import LlamaServerProcess, ServerOptions
from services.inference.backends.llama_token_counter import LlamaTokenCounter
from services.inference.backends.openai_chat_model import Manner, OpenAIChatModel, Patience
from services.inference.backends.openai_connection import Endpoint, OpenAIConnection
from services.inference.backends.scripted_chat_model import ScriptedChatModel
from services.inference.errors import ModelNotFound
from services.inference.operations import Catalogue, Defaults
from services.inference.ports import ServedModel
from services.inference.rules import Condition, ModelState
from services.inference.servicer import GenerationServicer, ModelServicer
from services.inference.settings import InferenceSettings
from services.inference.weights import LockedModel, WeightsMissing, WeightsNotGenuine, read_lock, verified

_log = logs.get(__name__)
_SCRIPTED_ID = "scripted"
_PROVIDER_KEY = "inference/openai-api-key"


async def assemble(resources: Resources) -> Module:
    """Wire the capability. Starts no model."""
    settings = InferenceSettings()
    home = resources.settings.home.absolute()
    local = _LocalModels(settings, home)
    models = local.served
    connections = local.connections
    if settings.provider == "local":
        default_id = settings.model or await asyncio.to_thread(best_local, read_lock(), home)
        if default_id not in models:
            raise ModelNotFound(model=default_id)
    elif settings.provider == "openai":
        connection = provider_connection(settings, resources.custody.secrets)
        connections.append(connection)
        default_id = settings.openai_model
        models[default_id] = _remote(settings, connection)
    else:
        default_id = _SCRIPTED_ID
        models[default_id] = _scripted(settings)
    catalogue = Catalogue(models, default_id)

    async def close() -> None:
        for connection in connections:
            await connection.close()
        for process in local.processes:
            await process.close()

    defaults = Defaults(settings.max_output_tokens, settings.temperature)
    return Module(
        served=(
            Served(
                generation_service_pb2_grpc.add_GenerationServiceServicer_to_server,
                GenerationServicer(catalogue, defaults),
                "parley.inference.v1.GenerationService",
            ),
            Served(
                model_service_pb2_grpc.add_ModelServiceServicer_to_server,
                ModelServicer(catalogue),
                "parley.inference.v1.ModelService",
            ),
        ),
        close=close,
    )


def best_local(models: tuple[LockedModel, ...], home: Path) -> str:
    """Return the id of the first model of the lock whose weights are here and genuine; the last one when none is."""
    for model in models:
        try:
            verified(model, home)
        except WeightsMissing:
            continue
        except WeightsNotGenuine as error:
            _log.warning("weights are not used", model=model.id, cause=tracebacks.told(error))
            continue
        return model.id
    return models[-1].id


class _LocalModels:
    """Every model of the lock, each with its own process that starts on demand."""

    def __init__(self, settings: InferenceSettings, home: Path) -> None:
        self.served: dict[str, ServedModel] = {}
        self.connections: list[OpenAIConnection] = []
        self.processes: list[LlamaServerProcess] = []
        missing_instructions = missing_here()
        for model in read_lock():
            options = ServerOptions(
                context_tokens=min(settings.local_context_tokens, model.context_tokens),
                parallel=settings.local_parallel,
                threads=settings.local_threads,
                start_seconds=settings.local_start_seconds,
            )
            process = LlamaServerProcess(model, home, options, missing_instructions)
            connection = OpenAIConnection(process.endpoint)
            self.processes.append(process)
            self.connections.append(connection)
            self.served[model.id] = ServedModel(
                model_id=model.id,
                provider="local",
                context_tokens=options.context_tokens,
                chat=OpenAIChatModel(
                    model.id,
                    model.id,
                    connection,
                    _patience(settings),
                    Manner(by_grammar=True, shows_thoughts=settings.shows_thoughts(model.id)),
                ),
                counter=LlamaTokenCounter(model.id, connection),
                condition=process.condition,
            )


def _remote(settings: InferenceSettings, connection: OpenAIConnection) -> ServedModel:
    name = settings.openai_model
    omitted = frozenset(settings.openai_omit.replace(",", " ").split())
    dialect = Dialect(omitted, settings.openai_max_tokens_name)
    manner = Manner(shows_thoughts=settings.shows_thoughts(name), dialect=dialect)
    return ServedModel(
        model_id=name,
        provider="openai",
        context_tokens=settings.openai_context_tokens,
        chat=OpenAIChatModel(name, name, connection, _patience(settings), manner),
        counter=EstimatingTokenCounter(),
        condition=lambda: Condition(ModelState.READY),
    )


def _scripted(settings: InferenceSettings) -> ServedModel:
    return ServedModel(
        model_id=_SCRIPTED_ID,
        provider="scripted",
        context_tokens=0,
        chat=ScriptedChatModel(_SCRIPTED_ID, settings.scripted_delay_ms / 1000),
        counter=EstimatingTokenCounter(),
        condition=lambda: Condition(ModelState.READY),
    )


def _patience(settings: InferenceSettings) -> Patience:
    return Patience(settings.first_token_seconds, settings.idle_seconds)


def provider_connection(settings: InferenceSettings, secrets: SecretStore) -> OpenAIConnection:
    """Return the connection to the provider, whose key is asked for anew each time: it may change."""

    async def find_endpoint() -> Endpoint:
        try:
            key = (await secrets.get(_PROVIDER_KEY)).get_secret_value()
        except SecretMissing:
            key = ""  # servers of one's own often take any
        return Endpoint(settings.openai_base_url, key)

    async def look_again() -> None:
        with contextlib.suppress(SecretMissing):
            await secrets.refresh(_PROVIDER_KEY)

    return OpenAIConnection(find_endpoint, look_again)
