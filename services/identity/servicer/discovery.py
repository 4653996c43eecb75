"""What relying parties need to check tokens."""

from typing import Any

from google.api import httpbody_pb2
from parley.identity.v1 import discovery_service_pb2 as discovery_pb
from parley.identity.v1 import discovery_service_pb2_grpc as discovery_grpc

from services.identity.operations.keep_keys import KeepKeys
from services.identity.rules.sessions import provider_metadata
from services.identity.translation import json_body


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
