"""Auditors read what was done to accounts."""

from typing import Any

from parley.identity.v1 import audit_service_pb2 as pb
from parley.identity.v1 import audit_service_pb2_grpc as audit_grpc

from services.identity.operations.list_audit_events import ListAuditEvents
from services.identity.translation import audit_event_to, audit_query_from


class AuditServicer(audit_grpc.AuditServiceServicer):
    """Serves parley.identity.v1.AuditService."""

    def __init__(self, events: ListAuditEvents) -> None:
        self._events = events

    async def ListAuditEvents(self, request: pb.ListAuditEventsRequest, context: Any) -> pb.ListAuditEventsResponse:
        found, token = await self._events.page(audit_query_from(request), request.page_size, request.page_token)
        return pb.ListAuditEventsResponse(events=[audit_event_to(one) for one in found], next_page_token=token)
