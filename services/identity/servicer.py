"""The gRPC services: each RPC reads the request, calls one operation and builds the response."""

from typing import Any

from google.api import httpbody_pb2
from parley.identity.v1 import auth_service_pb2 as auth_pb
from parley.identity.v1 import auth_service_pb2_grpc as auth_grpc
from parley.identity.v1 import discovery_service_pb2 as discovery_pb
from parley.identity.v1 import discovery_service_pb2_grpc as discovery_grpc
from parley.identity.v1 import user_service_pb2 as user_pb
from parley.identity.v1 import user_service_pb2_grpc as user_grpc

from services.chassis import caller
from services.identity.operations.callers import caller_id
from services.identity.operations.end_sessions import EndSessions
from services.identity.operations.keep_keys import KeepKeys
from services.identity.operations.keep_users import KeepUsers
from services.identity.operations.refresh_session import RefreshSession
from services.identity.operations.register_user import RegisterUser
from services.identity.operations.sign_in import SignIn
from services.identity.rules.sessions import provider_metadata
from services.identity.translation import json_body, profile_from, user_to

_BEARER = "Bearer"


class AuthServicer(auth_grpc.AuthServiceServicer):
    """Serves parley.identity.v1.AuthService."""

    def __init__(
        self, register: RegisterUser, sign_in: SignIn, refresh: RefreshSession, end: EndSessions, users: KeepUsers
    ) -> None:
        self._register = register
        self._sign_in = sign_in
        self._refresh = refresh
        self._end = end
        self._users = users

    async def Register(self, request: auth_pb.RegisterRequest, context: Any) -> auth_pb.RegisterResponse:
        user = await self._register.register(request.email, request.username, request.password, request.display_name)
        return auth_pb.RegisterResponse(user=user_to(user))

    async def Login(self, request: auth_pb.LoginRequest, context: Any) -> auth_pb.LoginResponse:
        pair = await self._sign_in.sign_in(request.login, request.password)
        return auth_pb.LoginResponse(
            access_token=pair.access_token,
            refresh_token=pair.refresh_token,
            token_type=_BEARER,
            expires_in=pair.expires_in,
        )

    async def Refresh(self, request: auth_pb.RefreshRequest, context: Any) -> auth_pb.RefreshResponse:
        pair = await self._refresh.refresh(request.refresh_token)
        return auth_pb.RefreshResponse(
            access_token=pair.access_token,
            refresh_token=pair.refresh_token,
            token_type=_BEARER,
            expires_in=pair.expires_in,
        )

    async def Logout(self, request: auth_pb.LogoutRequest, context: Any) -> auth_pb.LogoutResponse:
        current = caller.current()
        await self._end.end(caller_id(current.user_id), current.session_id)
        return auth_pb.LogoutResponse()

    async def GetMe(self, request: auth_pb.GetMeRequest, context: Any) -> auth_pb.GetMeResponse:
        return auth_pb.GetMeResponse(user=user_to(await self._users.current(caller.current().user_id)))


class UserServicer(user_grpc.UserServiceServicer):
    """Serves parley.identity.v1.UserService."""

    def __init__(self, users: KeepUsers) -> None:
        self._users = users

    async def GetUser(self, request: user_pb.GetUserRequest, context: Any) -> user_pb.GetUserResponse:
        return user_pb.GetUserResponse(user=user_to(await self._users.get(request.user_id)))

    async def GetCurrentUser(
        self, request: user_pb.GetCurrentUserRequest, context: Any
    ) -> user_pb.GetCurrentUserResponse:
        return user_pb.GetCurrentUserResponse(user=user_to(await self._users.current(caller.current().user_id)))

    async def UpdateCurrentUser(
        self, request: user_pb.UpdateCurrentUserRequest, context: Any
    ) -> user_pb.UpdateCurrentUserResponse:
        changed = await self._users.change(
            caller.current().user_id, profile_from(request.user), list(request.update_mask.paths)
        )
        return user_pb.UpdateCurrentUserResponse(user=user_to(changed))


class DiscoveryServicer(discovery_grpc.DiscoveryServiceServicer):
    """Serves parley.identity.v1.DiscoveryService."""

    def __init__(self, issuer: str, keys: KeepKeys) -> None:
        self._issuer = issuer
        self._keys = keys

    async def GetProviderMetadata(
        self, request: discovery_pb.GetProviderMetadataRequest, context: Any
    ) -> httpbody_pb2.HttpBody:
        return json_body(provider_metadata(self._issuer))

    async def GetJsonWebKeySet(
        self, request: discovery_pb.GetJsonWebKeySetRequest, context: Any
    ) -> httpbody_pb2.HttpBody:
        return json_body(self._keys.key_set())
