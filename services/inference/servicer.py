"""The RPCs of this capability."""

from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import grpc
from parley.inference.v1 import (
    generation_service_pb2,
    generation_service_pb2_grpc,
    model_service_pb2,
    model_service_pb2_grpc,
)

from services.chassis.batches import in_batches
from services.inference import translation
from services.inference.operations import Catalogue, Defaults, generate, list_statuses

_MOST_AHEAD = 256

Context = grpc.aio.ServicerContext[Any, Any]


class GenerationServicer(generation_service_pb2_grpc.GenerationServiceServicer):
    """Serves GenerationService."""

    def __init__(self, catalogue: Catalogue, defaults: Defaults) -> None:
        self._catalogue = catalogue
        self._defaults = defaults

    async def Generate(
        self, request: generation_service_pb2.GenerateRequest, _context: Context
    ) -> AsyncIterator[generation_service_pb2.GenerateResponse]:
        """Stream an answer. grpc.aio cancels this when the caller cancels or its deadline passes."""
        answer = generate(self._catalogue, self._defaults, translation.question(request))
        async with aclosing(in_batches(answer, _MOST_AHEAD)) as batches:
            async for parts in batches:
                yield translation.generate_response(parts)


class ModelServicer(model_service_pb2_grpc.ModelServiceServicer):
    """Serves ModelService."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue

    async def GetModelsStatus(
        self, _request: model_service_pb2.GetModelsStatusRequest, _context: Context
    ) -> model_service_pb2.GetModelsStatusResponse:
        """List the models."""
        statuses = list_statuses(self._catalogue)
        return model_service_pb2.GetModelsStatusResponse(models=map(translation.model, statuses))
