"""What the contract says about each RPC, read from the descriptors of the generated code."""

import importlib.resources
from dataclasses import dataclass

from google.protobuf import descriptor_pb2, descriptor_pool
from google.protobuf.descriptor import ServiceDescriptor
from parley.access.v1 import access_pb2

# Health and reflection are gRPC's own: they carry no option of ours, and anyone may call them.
_INFRASTRUCTURE = "grpc."


class AccessRuleMissing(Exception):
    """RPCs without an access rule: the server must not start."""


@dataclass(frozen=True, slots=True)
class Access:
    """Who may call an RPC: `level` is a parley.access.v1.Level, `roles` counts with LEVEL_ROLES."""

    level: int
    roles: frozenset[str] = frozenset()
    scope: str = ""
    """What an API key must be good for; with none, no key may call."""
    services: frozenset[str] = frozenset()
    """The services that may call, with LEVEL_SERVICE; none named: any of ours."""
    organization_role: int = access_pb2.ORGANIZATION_ROLE_UNSPECIFIED
    """What a caller who acts for an organisation must be in it: a parley.access.v1.OrganizationRole."""

    @property
    def is_public(self) -> bool:
        """Whether anyone may call, with or without a token."""
        return self.level == access_pb2.LEVEL_PUBLIC


PUBLIC = Access(access_pb2.LEVEL_PUBLIC)


def access_of(rule: access_pb2.AccessRule) -> Access:
    """Return what the access option of an RPC says."""
    return Access(rule.level, frozenset(rule.roles), rule.scope, frozenset(rule.services), rule.organization_role)


def access_rules(service_names: list[str]) -> dict[str, Access]:
    """Return the rule of every RPC of the services, by path (`/package.Service/Method`).

    Raises:
        AccessRuleMissing: at least one RPC has none; the text names all of them.
    """
    rules: dict[str, Access] = {}
    missing: list[str] = []
    pool = descriptor_pool.Default()
    for name in service_names:
        service: ServiceDescriptor = pool.FindServiceByName(name)
        for method in service.methods:
            path = f"/{service.full_name}/{method.name}"
            option = method.GetOptions().Extensions[access_pb2.access]
            if name.startswith(_INFRASTRUCTURE):
                rules[path] = PUBLIC
            elif option.level == access_pb2.LEVEL_UNSPECIFIED:
                missing.append(path)
            else:
                rules[path] = access_of(option)
    if missing:
        raise AccessRuleMissing(f"no option (parley.access.v1.access) on {', '.join(missing)}")
    return rules


def known_scopes() -> frozenset[str]:
    """Return every scope that an RPC of the product asks of API keys."""
    packed = (importlib.resources.files("parley") / "descriptors.binpb").read_bytes()
    return frozenset(
        method.options.Extensions[access_pb2.access].scope
        for file in descriptor_pb2.FileDescriptorSet.FromString(packed).file
        for service in file.service
        for method in service.method
    ) - {""}
