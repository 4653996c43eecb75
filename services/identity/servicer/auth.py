"""People sign up, in and out, and keep their passwords and sessions."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from parley.identity.v1 import auth_service_pb2 as pb
from parley.identity.v1 import auth_service_pb2_grpc as auth_grpc

from services.chassis import caller
from services.identity.operations.callers import caller_id
from services.identity.operations.end_sessions import EndSessions
from services.identity.operations.keep_passwords import KeepPasswords
from services.identity.operations.keep_users import KeepUsers
from services.identity.operations.refresh_session import RefreshSession
from services.identity.operations.register_user import RegisterUser
from services.identity.operations.sign_in import SignIn
from services.identity.operations.verify_email import VerifyEmail
from services.identity.translation import session_to, user_to

_BEARER = "Bearer"


@dataclass(frozen=True, slots=True)
class Auth:
    """The operations behind AuthService."""

    register: RegisterUser
    sign_in: SignIn
    refresh: RefreshSession
    ending: EndSessions
    passwords: KeepPasswords
    emails: VerifyEmail
    users: KeepUsers


class AuthServicer(auth_grpc.AuthServiceServicer):
    """Serves parley.identity.v1.AuthService."""

    def __init__(self, auth: Auth) -> None:
        self._auth = auth

    async def Register(self, request: pb.RegisterRequest, context: Any) -> pb.RegisterResponse:
        user = await self._auth.register.register(
            request.email, request.username, request.password, request.display_name
        )
        return pb.RegisterResponse(user=user_to(user))

    async def Login(self, request: pb.LoginRequest, context: Any) -> pb.LoginResponse:
        pair = await self._auth.sign_in.sign_in(request.login, request.password)
        return pb.LoginResponse(
            access_token=pair.access_token,
            refresh_token=pair.refresh_token,
            token_type=_BEARER,
            expires_in=pair.expires_in,
        )

    async def Refresh(self, request: pb.RefreshRequest, context: Any) -> pb.RefreshResponse:
        pair = await self._auth.refresh.refresh(request.refresh_token)
        return pb.RefreshResponse(
            access_token=pair.access_token,
            refresh_token=pair.refresh_token,
            token_type=_BEARER,
            expires_in=pair.expires_in,
        )

    async def Logout(self, request: pb.LogoutRequest, context: Any) -> pb.LogoutResponse:
        await self._auth.ending.end(_caller(), caller.current().session_id)
        return pb.LogoutResponse()

    async def LogoutEverywhere(self, request: pb.LogoutEverywhereRequest, context: Any) -> pb.LogoutEverywhereResponse:
        ended = await self._auth.ending.end_all(_caller(), keep_api_keys=request.keep_api_keys)
        return pb.LogoutEverywhereResponse(ended_sessions=ended)

    async def ListSessions(self, request: pb.ListSessionsRequest, context: Any) -> pb.ListSessionsResponse:
        current = caller.current().session_id
        sessions = await self._auth.ending.of_user(_caller())
        return pb.ListSessionsResponse(sessions=[session_to(one, current) for one in sessions])

    async def WatchSession(
        self, request: pb.WatchSessionRequest, context: Any
    ) -> AsyncIterator[pb.WatchSessionResponse]:
        yield pb.WatchSessionResponse(session_id=caller.current().session_id)
        # The chassis ends every stream with its session.
        await asyncio.sleep(request.max_seconds)

    async def RevokeSession(self, request: pb.RevokeSessionRequest, context: Any) -> pb.RevokeSessionResponse:
        await self._auth.ending.revoke(_caller(), request.session_id)
        return pb.RevokeSessionResponse()

    async def ChangePassword(self, request: pb.ChangePasswordRequest, context: Any) -> pb.ChangePasswordResponse:
        ended = await self._auth.passwords.change(
            _caller(),
            caller.current().session_id,
            request.current_password,
            request.password,
            keep_api_keys=request.keep_api_keys,
        )
        return pb.ChangePasswordResponse(ended_sessions=ended)

    async def ForgotPassword(self, request: pb.ForgotPasswordRequest, context: Any) -> pb.ForgotPasswordResponse:
        await self._auth.passwords.forget(request.email)
        return pb.ForgotPasswordResponse()

    async def ResetPassword(self, request: pb.ResetPasswordRequest, context: Any) -> pb.ResetPasswordResponse:
        await self._auth.passwords.reset(request.email, request.code, request.password, request.username)
        return pb.ResetPasswordResponse()

    async def VerifyEmail(self, request: pb.VerifyEmailRequest, context: Any) -> pb.VerifyEmailResponse:
        await self._auth.emails.verify(request.email, request.code)
        return pb.VerifyEmailResponse()

    async def ResendVerification(
        self, request: pb.ResendVerificationRequest, context: Any
    ) -> pb.ResendVerificationResponse:
        await self._auth.emails.resend(request.email)
        return pb.ResendVerificationResponse()

    async def GetMe(self, request: pb.GetMeRequest, context: Any) -> pb.GetMeResponse:
        return pb.GetMeResponse(user=user_to(await self._auth.users.current(caller.current().user_id)))


def _caller() -> UUID:
    return caller_id(caller.current().user_id)
