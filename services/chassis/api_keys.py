"""API keys, `Authorization: Bearer pk_…`: identity knows whose they are; services ask it and remember shortly."""

import hashlib
import re
import time

import grpc
from parley.identity.v1 import api_key_service_pb2, api_key_service_pb2_grpc

from services.chassis.caller import Caller
from services.chassis.errors import SessionCheckUnavailable, Unauthenticated
from services.chassis.revocations import RevokedSessions

PREFIX = "pk_"
_FORM = re.compile(r"pk_[0-9a-f]{10}_[A-Za-z0-9_-]{43}")
# The answer may be this old. An ended key is refused at once all the same: identity announces it.
_REMEMBERED_SECONDS = 5.0
_REMEMBERED_KEYS = 10_000
_PATIENCE_SECONDS = 3.0
_NOT_VALID = "the API key is not valid"


class ApiKeyVerifier:
    """Checks API keys. Of a key its hash only is kept and sent."""

    def __init__(self, mesh: grpc.aio.Channel, revoked: RevokedSessions) -> None:
        self._mesh = mesh
        self._revoked = revoked
        self._known: dict[bytes, tuple[Caller | None, float]] = {}

    async def verify(self, key: str) -> Caller:
        """Return in whose name the key calls.

        Raises:
            Unauthenticated: the key is malformed, unknown, expired, revoked or of a disabled user.
            SessionCheckUnavailable: that cannot be told now.
        """
        if not _FORM.fullmatch(key):
            raise Unauthenticated(cause=_NOT_VALID)
        key_hash = hashlib.sha256(key.encode()).digest()
        caller, fresh_until = self._known.get(key_hash, (None, 0.0))
        if fresh_until < time.monotonic():
            caller = await self._ask(key_hash)
            if len(self._known) >= _REMEMBERED_KEYS:
                self._known.clear()
            self._known[key_hash] = (caller, time.monotonic() + _REMEMBERED_SECONDS)
        if caller is None or caller.expires_at <= time.time() or await self._revoked.contains(caller.session_id):
            raise Unauthenticated(cause=_NOT_VALID)
        return caller

    async def _ask(self, key_hash: bytes) -> Caller | None:
        stub = api_key_service_pb2_grpc.ApiKeyServiceStub(self._mesh)
        request = api_key_service_pb2.CheckApiKeyRequest(key_hash=key_hash)
        try:
            found = await stub.CheckApiKey(request, timeout=_PATIENCE_SECONDS)
        except grpc.aio.AioRpcError as error:
            if error.code() is grpc.StatusCode.UNAUTHENTICATED:
                return None
            raise SessionCheckUnavailable from error
        return Caller(
            user_id=found.user_id,
            session_id=found.api_key_id,
            organization_id=found.organization_id,
            expires_at=found.expire_time.seconds,
            api_key_id=found.api_key_id,
            scopes=frozenset(found.scopes),
        )
