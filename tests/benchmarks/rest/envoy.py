"""Envoy with its grpc_json_transcoder in front of the echo service: the configuration."""

import json
from pathlib import Path
from typing import Any

from tests.benchmarks.rest.echo import SERVICE

_TYPE = "type.googleapis.com/envoy.extensions"
_MANAGER = "filters.network.http_connection_manager.v3.HttpConnectionManager"


def write_config(target: Path, descriptor_set: Path, port: int, upstream: str) -> None:
    """Write a configuration that answers as grpc-gateway does, as far as Envoy can."""
    host, _, upstream_port = upstream.rpartition(":")
    transcoder = {
        "@type": f"{_TYPE}.filters.http.grpc_json_transcoder.v3.GrpcJsonTranscoder",
        "proto_descriptor": str(descriptor_set),
        "services": [SERVICE],
        "print_options": {"always_print_primitive_fields": True},
        "convert_grpc_status": True,
    }
    manager = {
        "@type": f"{_TYPE}.{_MANAGER}",
        "stat_prefix": "echo",
        "route_config": {
            "virtual_hosts": [
                {
                    "name": "all",
                    "domains": ["*"],
                    "routes": [{"match": {"prefix": "/"}, "route": {"cluster": "echo", "timeout": "60s"}}],
                }
            ]
        },
        "http_filters": [
            {"name": "envoy.filters.http.grpc_json_transcoder", "typed_config": transcoder},
            {
                "name": "envoy.filters.http.router",
                "typed_config": {"@type": f"{_TYPE}.filters.http.router.v3.Router"},
            },
        ],
    }
    filters = [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]
    listener = {"address": _address("127.0.0.1", port), "filter_chains": [{"filters": filters}]}
    config = {"static_resources": {"listeners": [listener], "clusters": [_cluster(host, int(upstream_port))]}}
    target.write_text(json.dumps(config))


def _cluster(host: str, port: int) -> dict[str, Any]:
    endpoint = {"lb_endpoints": [{"endpoint": {"address": _address(host, port)}}]}
    return {
        "name": "echo",
        "type": "STATIC",
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": f"{_TYPE}.upstreams.http.v3.HttpProtocolOptions",
                "explicit_http_config": {"http2_protocol_options": {}},
            }
        },
        "load_assignment": {"cluster_name": "echo", "endpoints": [endpoint]},
    }


def _address(host: str, port: int) -> dict[str, Any]:
    return {"socket_address": {"address": host, "port_value": port}}
