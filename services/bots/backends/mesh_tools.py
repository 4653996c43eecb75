"""The tools behind the service `tools`, reached over the mesh."""

from collections.abc import Sequence
from uuid import UUID

import grpc
from parley.tools.v1.tool_service_pb2 import DescribeToolsRequest
from parley.tools.v1.tool_service_pb2_grpc import ToolServiceStub

from services.bots.errors import ToolsUnavailable

_PATIENCE_SECONDS = 5.0


class MeshTools:
    """Implements the port Tools."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._tools = ToolServiceStub(channel)

    async def of(self, user_id: str, organization_id: str, tool_ids: Sequence[UUID]) -> set[UUID]:
        """See the port."""
        request = DescribeToolsRequest(tool_ids=map(str, tool_ids), user_id=user_id, organization_id=organization_id)
        try:
            described = await self._tools.DescribeTools(request, timeout=_PATIENCE_SECONDS)
        except grpc.aio.AioRpcError as error:
            raise ToolsUnavailable from error
        return {UUID(one.id) for one in described.tools}
