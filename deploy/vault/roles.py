"""Who may log in to Vault: a role per kind of process, and what each may."""

from collections.abc import Sequence
from dataclasses import dataclass

MESH_IDENTITIES = ("envoy", "rest", "services", "websocket", "worker")
"""Processes of one machine that show a certificate on the mesh, beside each capability that runs alone."""


@dataclass(frozen=True, slots=True)
class Role:
    """One AppRole. Its database role has the same name."""

    name: str
    capabilities: tuple[str, ...] = ()
    """Whose secrets, keys and tables it may use."""
    certificates: tuple[str, ...] = ()
    """The mesh identities whose certificates it may ask for."""
    secrets: tuple[str, ...] = ()
    """The paths of further secrets that it may read, as policies write them."""


def roles(capabilities: Sequence[str]) -> list[Role]:
    """Return the roles: each capability alone, `services` and `worker` with all of them, the agent, and two steps."""
    everything = tuple(capabilities)
    return [
        *(Role(name, (name,), (name,)) for name in everything),
        Role("services", everything, ("services",)),
        Role("worker", everything, ("worker",)),
        # On one machine one agent keeps everybody's certificate; elsewhere each process asks for its own.
        Role("certificates", (), (*MESH_IDENTITIES, *everything)),
        # `parley migrate`, as the owner of the schemas.
        Role("migrate", secrets=("migrations/*",)),
        # `parley identity sync`, which gives the realm's clients their secrets.
        Role("keycloak", secrets=("keycloak/*", "+/keycloak-client-secret", "identity/keycloak-api-secret")),
    ]
