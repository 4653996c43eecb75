"""Administrators manage accounts."""

from typing import Any
from uuid import UUID

from parley.identity.v1 import user_admin_service_pb2 as pb
from parley.identity.v1 import user_admin_service_pb2_grpc as admin_grpc

from services.identity.operations.manage_users import ManageUsers
from services.identity.rules.users import UserQuery
from services.identity.translation import user_to

_STATES: dict[int, bool] = {pb.USER_STATE_ACTIVE: True, pb.USER_STATE_DISABLED: False}


class UserAdminServicer(admin_grpc.UserAdminServiceServicer):
    """Serves parley.identity.v1.UserAdminService."""

    def __init__(self, users: ManageUsers) -> None:
        self._users = users

    async def ListUsers(self, request: pb.ListUsersRequest, context: Any) -> pb.ListUsersResponse:
        query = UserQuery(request.text, request.role, _STATES.get(request.state))
        users, token = await self._users.page(query, request.page_size, request.page_token)
        return pb.ListUsersResponse(users=[user_to(one) for one in users], next_page_token=token)

    async def DisableUser(self, request: pb.DisableUserRequest, context: Any) -> pb.DisableUserResponse:
        return pb.DisableUserResponse(user=user_to(await self._users.disable(UUID(request.user_id))))

    async def EnableUser(self, request: pb.EnableUserRequest, context: Any) -> pb.EnableUserResponse:
        return pb.EnableUserResponse(user=user_to(await self._users.enable(UUID(request.user_id))))

    async def GrantRole(self, request: pb.GrantRoleRequest, context: Any) -> pb.GrantRoleResponse:
        return pb.GrantRoleResponse(user=user_to(await self._users.grant(UUID(request.user_id), request.role)))

    async def RevokeRole(self, request: pb.RevokeRoleRequest, context: Any) -> pb.RevokeRoleResponse:
        return pb.RevokeRoleResponse(user=user_to(await self._users.revoke(UUID(request.user_id), request.role)))
