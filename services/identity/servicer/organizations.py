"""People keep organisations, their members and invitations."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from parley.identity.v1 import organization_pb2
from parley.identity.v1 import organization_service_pb2 as pb
from parley.identity.v1 import organization_service_pb2_grpc as organization_grpc

from services.chassis import caller
from services.chassis.identifiers import optional_id
from services.identity.operations.admit_to_organization import AdmitToOrganization
from services.identity.operations.callers import caller_id
from services.identity.operations.keep_invitations import KeepInvitations
from services.identity.operations.keep_members import KeepMembers
from services.identity.operations.keep_organizations import KeepOrganizations
from services.identity.translation import (
    invitation_to,
    member_role_from,
    member_role_to,
    member_to,
    organization_from,
    organization_to,
)


@dataclass(frozen=True, slots=True)
class Organizations:
    """The operations behind OrganizationService."""

    organizations: KeepOrganizations
    members: KeepMembers
    invitations: KeepInvitations
    admission: AdmitToOrganization


class OrganizationServicer(organization_grpc.OrganizationServiceServicer):
    """Serves parley.identity.v1.OrganizationService."""

    def __init__(self, operations: Organizations) -> None:
        self._organizations = operations.organizations
        self._members = operations.members
        self._invitations = operations.invitations
        self._admission = operations.admission

    async def CreateOrganization(
        self, request: pb.CreateOrganizationRequest, context: Any
    ) -> pb.CreateOrganizationResponse:
        made = await self._organizations.create(
            _caller(), request.name, request.description, optional_id(request.request_id)
        )
        return pb.CreateOrganizationResponse(organization=organization_to(made))

    async def ListOrganizations(
        self, request: pb.ListOrganizationsRequest, context: Any
    ) -> pb.ListOrganizationsResponse:
        found, token = await self._organizations.page(request.text, request.page_size, request.page_token)
        return pb.ListOrganizationsResponse(
            organizations=[organization_to(one) for one in found], next_page_token=token
        )

    async def GetOrganization(self, request: pb.GetOrganizationRequest, context: Any) -> pb.GetOrganizationResponse:
        found = await self._organizations.get(UUID(request.organization_id))
        return pb.GetOrganizationResponse(organization=organization_to(found))

    async def UpdateOrganization(
        self, request: pb.UpdateOrganizationRequest, context: Any
    ) -> pb.UpdateOrganizationResponse:
        changed = await self._organizations.change(
            UUID(request.organization_id), organization_from(request.organization), list(request.update_mask.paths)
        )
        return pb.UpdateOrganizationResponse(organization=organization_to(changed))

    async def DeleteOrganization(
        self, request: pb.DeleteOrganizationRequest, context: Any
    ) -> pb.DeleteOrganizationResponse:
        await self._organizations.delete(UUID(request.organization_id))
        return pb.DeleteOrganizationResponse()

    async def ListMembers(self, request: pb.ListMembersRequest, context: Any) -> pb.ListMembersResponse:
        members, token = await self._members.page(UUID(request.organization_id), request.page_size, request.page_token)
        return pb.ListMembersResponse(members=[member_to(one) for one in members], next_page_token=token)

    async def ChangeMemberRole(self, request: pb.ChangeMemberRoleRequest, context: Any) -> pb.ChangeMemberRoleResponse:
        member = await self._members.change_role(
            UUID(request.organization_id), UUID(request.user_id), member_role_from(request.role)
        )
        return pb.ChangeMemberRoleResponse(member=member_to(member))

    async def RemoveMember(self, request: pb.RemoveMemberRequest, context: Any) -> pb.RemoveMemberResponse:
        await self._members.remove(UUID(request.organization_id), UUID(request.user_id))
        return pb.RemoveMemberResponse()

    async def CreateInvitation(self, request: pb.CreateInvitationRequest, context: Any) -> pb.CreateInvitationResponse:
        made = await self._invitations.create(
            caller.current().user_id,
            UUID(request.organization_id),
            request.email,
            member_role_from(request.role),
            optional_id(request.request_id),
        )
        return pb.CreateInvitationResponse(invitation=invitation_to(made))

    async def ListInvitations(self, request: pb.ListInvitationsRequest, context: Any) -> pb.ListInvitationsResponse:
        found, token = await self._invitations.page(
            UUID(request.organization_id), request.page_size, request.page_token
        )
        return pb.ListInvitationsResponse(invitations=[invitation_to(one) for one in found], next_page_token=token)

    async def RevokeInvitation(self, request: pb.RevokeInvitationRequest, context: Any) -> pb.RevokeInvitationResponse:
        await self._invitations.revoke(UUID(request.organization_id), UUID(request.invitation_id))
        return pb.RevokeInvitationResponse()

    async def AcceptInvitation(self, request: pb.AcceptInvitationRequest, context: Any) -> pb.AcceptInvitationResponse:
        joined = await self._invitations.accept(_caller(), request.token)
        return pb.AcceptInvitationResponse(organization=organization_to(joined))

    async def CheckMember(self, request: pb.CheckMemberRequest, context: Any) -> pb.CheckMemberResponse:
        role = await self._admission.role_of(UUID(request.organization_id), UUID(request.user_id))
        return pb.CheckMemberResponse(role=member_role_to(role) if role else organization_pb2.MEMBER_ROLE_UNSPECIFIED)


def _caller() -> UUID:
    return caller_id(caller.current().user_id)
