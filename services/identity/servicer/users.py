"""Users read and change their profiles."""

from typing import Any

from parley.identity.v1 import user_service_pb2 as user_pb
from parley.identity.v1 import user_service_pb2_grpc as user_grpc

from services.chassis import caller
from services.identity.operations.keep_users import KeepUsers
from services.identity.translation import profile_from, user_to


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
