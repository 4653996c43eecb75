"""Renders envoy.yaml: settings and the protobuf descriptors in, the text of Envoy's configuration out."""

import argparse
import ipaddress
import re
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

import jinja2
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from parley.access.v1 import access_pb2

from deploy.envoy.contract import RestPath, Rpc, default_max_bytes, load_descriptors, read_rpcs
from deploy.envoy.local_replies import GRPC_REPLIES, LOCAL_REPLIES
from deploy.envoy.mesh_tls import MeshTls, write_secrets
from deploy.envoy.settings import EnvoySettings

# gRPC's own services, open to anyone at both listeners.
HEALTH = "/grpc.health.v1.Health/"
REFLECTION = ("/grpc.reflection.v1.ServerReflection/", "/grpc.reflection.v1alpha.ServerReflection/")
# Pages below /api/ that the REST adapter serves beside the RPCs.
PUBLIC_PAGES = (
    r"/api(/v[0-9a-z]+(/(auth|chat|admin))?)?/(docs(/.*)?|openapi\.json)",
    r"/api/v1/(ai|auth|chat|admin)/health",
)
# Keycloak at the edge: refused whatever its case, else served when it is a plain path.
KEYCLOAK_REFUSED = (r"(?i)/auth/admin(/.*)?", r"(?i)/auth/realms/master(/.*)?")
KEYCLOAK_SERVED = r"/auth/(realms/[A-Za-z0-9_-]+|resources)(/[A-Za-z0-9._~!$&'()*+,=:@/-]*)?"
# What only Envoy may say to those behind it, and the names by which REST clients set gRPC metadata.
UNTRUSTED_PREFIXES = (
    "x-jwt-",
    "x-envoy-",
    "grpc-metadata-x-jwt-",
    "grpc-metadata-x-envoy-",
    "grpc-metadata-x-forwarded-",
)
FORWARDED_FOR = ("x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "x-forwarded-port")
UNTRUSTED_HEADERS = ("forwarded", "x-real-ip", "x-forwarded-prefix", "x-forwarded-client-cert")
SECURITY_HEADERS = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "strict-origin-when-cross-origin",
}
HSTS = {"strict-transport-security": "max-age=31536000; includeSubDomains"}
MAX_BYTES = default_max_bytes(access_pb2.LEVEL_SIGNED_IN)
MAX_PUBLIC_BYTES = default_max_bytes(access_pb2.LEVEL_PUBLIC)
LOCAL_ORIGINS = ("http://localhost:*", "http://127.0.0.1:*")


def render(settings: EnvoySettings, descriptors: FileDescriptorSet) -> str:
    """Return the YAML of the configuration. A pure function but for reading the template beside this file."""
    rpcs = read_rpcs(descriptors)
    open_rpcs = [rpc for rpc in rpcs if not rpc.is_internal]
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        undefined=jinja2.StrictUndefined,
        autoescape=False,  # noqa: S701 -- YAML, not HTML; every value goes through tojson
    )
    environment.filters |= {"host": _host, "port": _port, "discovery": _discovery, "places": _places}
    return environment.get_template("envoy.yaml").render(
        s=settings,
        internal=[rpc for rpc in rpcs if rpc.is_internal],
        internal_streaming=[rpc for rpc in rpcs if rpc.is_internal and rpc.streams],
        public=[rpc for rpc in rpcs if rpc.is_public],
        streaming=[rpc for rpc in open_rpcs if rpc.streams],
        streaming_paths=[
            (path, 0 if rpc.uploads else rpc.max_request_bytes) for rpc in open_rpcs if rpc.streams for path in rpc.rest
        ],
        limited=[rpc for rpc in open_rpcs if not rpc.streams and rpc.max_request_bytes != MAX_BYTES],
        limited_paths=limited_paths(open_rpcs),
        max_bytes=MAX_BYTES,
        max_public_bytes=MAX_PUBLIC_BYTES,
        rest_rules=rest_rules(open_rpcs),
        clusters={rpc.capability: settings.capabilities.get(rpc.capability, settings.services) for rpc in rpcs},
        packages={rpc.package: rpc.capability for rpc in rpcs},
        health=HEALTH,
        reflection=REFLECTION,
        public_pages=PUBLIC_PAGES,
        keycloak_refused=KEYCLOAK_REFUSED,
        keycloak_served=KEYCLOAK_SERVED,
        untrusted_prefixes=UNTRUSTED_PREFIXES,
        # A proxy that is trusted says there who calls.
        untrusted_headers=(*UNTRUSTED_HEADERS, *(() if settings.trusted_hops else FORWARDED_FOR)),
        local_replies=LOCAL_REPLIES,
        grpc_replies=GRPC_REPLIES,
        mesh_tls=MeshTls(settings.mesh_secrets),
        security_headers=SECURITY_HEADERS | (HSTS if settings.tls_certificate else {}),
        cors_patterns=cors_patterns(settings),
    )


def rest_rules(rpcs: list[Rpc]) -> list[tuple[RestPath, bool]]:
    """Return (path, needs no token) in the order of trial: the public paths, and private ones that those would hide."""
    public = [path for rpc in rpcs if rpc.is_public for path in rpc.rest]
    private = [path for rpc in rpcs if not rpc.is_public for path in rpc.rest]
    hidden = [path for path in private if any(other.hides(path) for other in public)]
    rules = [(path, True) for path in public] + [(path, False) for path in hidden]
    return sorted(rules, key=lambda rule: (-rule[0].literals, rule[1], rule[0].template, rule[0].method))


def limited_paths(rpcs: list[Rpc]) -> list[tuple[RestPath, int]]:
    """Return (path, most bytes of its body) in the order of trial, where the limit is not that of every RPC."""
    limits = [(path, rpc.max_request_bytes) for rpc in rpcs for path in rpc.rest if not rpc.streams]
    named = [(path, most) for path, most in limits if most != MAX_BYTES]
    hidden = [(path, most) for path, most in limits if most == MAX_BYTES and any(one.hides(path) for one, _ in named)]
    return sorted(named + hidden, key=lambda rule: (-rule[0].literals, rule[0].template, rule[0].method))


def cors_patterns(settings: EnvoySettings) -> list[str]:
    """Return the allowed origins as expressions; an origin ending in `:*` allows any port and none."""
    local = LOCAL_ORIGINS if settings.environment == "development" else ()
    return [re.escape(origin).replace(r":\*", r"(:\d+)?") for origin in (*settings.cors_origins, *local)]


def main(arguments: list[str]) -> int:
    """Write the configuration to --output. Each setting is an option; see EnvoySettings for their meaning."""
    parser = argparse.ArgumentParser(prog="python -m deploy.envoy.render", description=__doc__)
    parser.add_argument("--output", type=Path, help="file to write; standard output when absent")
    for name, read in _options().items():
        parser.add_argument(f"--{name.replace('_', '-')}", dest=name, type=read, default=argparse.SUPPRESS)
    given = vars(parser.parse_args(arguments))
    output = given.pop("output")
    if given.get("mesh_certificates"):
        # Envoy reads its certificate by way of files beside the configuration, and so sees that there is a new one.
        write_secrets(given["mesh_certificates"], output.parent)
        given["mesh_secrets"] = str(output.parent)
    text = render(EnvoySettings(**given), load_descriptors())
    if output:
        output.write_text(text)
    else:
        sys.stdout.write(text)
    return 0


def _options() -> dict[str, Any]:
    readers: dict[Any, Any] = {
        tuple[str, ...]: lambda text: tuple(filter(None, text.split(","))),
        bool: lambda text: text == "true",
        int: int,
    }
    return {field.name: readers.get(field.type, str) for field in fields(EnvoySettings) if field.name != "capabilities"}


def _places(upstream: str) -> list[str]:
    return [place.strip() for place in upstream.split(",")]


def _host(place: str) -> str:
    return place.rpartition(":")[0].strip("[]")


def _port(place: str) -> int:
    host, _, port = place.rpartition(":")
    if not host or not port.isdecimal():
        raise ValueError(f"{place!r} is not HOST:PORT")
    return int(port)


def _discovery(upstream: str) -> str:
    """Name Envoy's way to find the hosts: as they stand when they are addresses, by DNS when one is a name."""
    try:
        for place in _places(upstream):
            ipaddress.ip_address(_host(place))
    except ValueError:
        return "STRICT_DNS"
    return "STATIC"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
