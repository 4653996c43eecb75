"""Users keep API keys; services ask whose a key is."""

from datetime import timedelta
from typing import Any
from uuid import UUID

from parley.identity.v1 import api_key_service_pb2 as pb
from parley.identity.v1 import api_key_service_pb2_grpc as api_key_grpc

from services.chassis import caller
from services.chassis.identifiers import optional_id
from services.identity.operations.callers import caller_id
from services.identity.operations.keep_api_keys import KeepApiKeys
from services.identity.translation import api_key_to, checked_api_key_to


class ApiKeyServicer(api_key_grpc.ApiKeyServiceServicer):
    """Serves parley.identity.v1.ApiKeyService."""

    def __init__(self, keys: KeepApiKeys) -> None:
        self._keys = keys

    async def CreateApiKey(self, request: pb.CreateApiKeyRequest, context: Any) -> pb.CreateApiKeyResponse:
        key, secret = await self._keys.create(
            _caller(),
            caller.current().session_id,
            request.name,
            list(request.scopes),
            request.days,
            optional_id(request.request_id),
        )
        return pb.CreateApiKeyResponse(api_key=api_key_to(key), secret=secret)

    async def ListApiKeys(self, request: pb.ListApiKeysRequest, context: Any) -> pb.ListApiKeysResponse:
        keys, token = await self._keys.page(_caller(), request.page_size, request.page_token)
        return pb.ListApiKeysResponse(api_keys=[api_key_to(one) for one in keys], next_page_token=token)

    async def RevokeApiKey(self, request: pb.RevokeApiKeyRequest, context: Any) -> pb.RevokeApiKeyResponse:
        await self._keys.revoke(_caller(), UUID(request.api_key_id))
        return pb.RevokeApiKeyResponse()

    async def RotateApiKey(self, request: pb.RotateApiKeyRequest, context: Any) -> pb.RotateApiKeyResponse:
        overlap = timedelta(seconds=request.overlap_seconds)
        key, secret = await self._keys.rotate(
            _caller(), caller.current().session_id, UUID(request.api_key_id), overlap, optional_id(request.request_id)
        )
        return pb.RotateApiKeyResponse(api_key=api_key_to(key), secret=secret)

    async def CheckApiKey(self, request: pb.CheckApiKeyRequest, context: Any) -> pb.CheckApiKeyResponse:
        return checked_api_key_to(*await self._keys.check(request.key_hash))


def _caller() -> UUID:
    return caller_id(caller.current().user_id)
