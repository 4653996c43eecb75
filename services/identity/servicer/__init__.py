"""The gRPC services: each RPC reads the request, calls one operation and builds the response."""

from services.identity.servicer.api_keys import ApiKeyServicer
from services.identity.servicer.audit import AuditServicer
from services.identity.servicer.auth import AuthServicer
from services.identity.servicer.discovery import DiscoveryServicer
from services.identity.servicer.organizations import OrganizationServicer
from services.identity.servicer.user_admin import UserAdminServicer
from services.identity.servicer.users import UserServicer

__all__ = [
    "ApiKeyServicer",
    "AuditServicer",
    "AuthServicer",
    "DiscoveryServicer",
    "OrganizationServicer",
    "UserAdminServicer",
    "UserServicer",
]
