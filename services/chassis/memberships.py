"""What callers are in their organisations: identity knows, whoever keeps the users."""

import grpc
from parley.identity.v1 import organization_service_pb2, organization_service_pb2_grpc

from services.chassis.caller import Caller
from services.chassis.errors import MembershipCheckUnavailable

_PATIENCE_SECONDS = 3.0


class Memberships:
    """Asks identity, each time anew: a role that was taken away does not count any more."""

    def __init__(self, mesh: grpc.aio.Channel) -> None:
        self._mesh = mesh

    async def role(self, caller: Caller) -> int:
        """Return what a caller is in the organisation of the token. As `role_of`."""
        return await self.role_of(caller.organization_id, caller.user_id)

    async def role_of(self, organization_id: str, user_id: str) -> int:
        """Return what a user is in an organisation: a parley.access.v1.OrganizationRole, 0 for who is no member.

        Raises:
            MembershipCheckUnavailable: that cannot be told now.
        """
        stub = organization_service_pb2_grpc.OrganizationServiceStub(self._mesh)
        request = organization_service_pb2.CheckMemberRequest(organization_id=organization_id, user_id=user_id)
        try:
            # MemberRole has the numbers of OrganizationRole.
            return int((await stub.CheckMember(request, timeout=_PATIENCE_SECONDS)).role)
        except grpc.aio.AioRpcError as error:
            if error.code() is grpc.StatusCode.INVALID_ARGUMENT:
                return 0  # an issuer with ids of another form: nobody there is a member of ours
            raise MembershipCheckUnavailable from error
