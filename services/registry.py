"""The capabilities and where each is wired. One sorted line each; a capability is imported only where it runs."""

from collections.abc import Awaitable, Callable
from importlib import import_module
from typing import cast

from services.chassis.module import Module
from services.chassis.resources import Resources

CAPABILITIES = {
    "bots": "services.bots.wiring",
    "conversations": "services.conversations.wiring",
    "identity": "services.identity.wiring",
    "inference": "services.inference.wiring",
    "operations": "services.operations.wiring",
    "tools": "services.tools.wiring",
}

Assemble = Callable[[Resources], Awaitable[Module]]


class UnknownCapability(Exception):
    """A name that is not in the registry."""


def chosen(names: list[str]) -> list[str]:
    """Return the named capabilities, all of them when none is named. Raises UnknownCapability."""
    for name in names:
        if name not in CAPABILITIES:
            raise UnknownCapability(f"unknown capability {name!r}: there are {', '.join(CAPABILITIES)}")
    return names or list(CAPABILITIES)


async def assemble(names: list[str], resources: Resources) -> list[Module]:
    """Wire the named capabilities and return them, in the order of the names."""
    modules = []
    for name in names:
        wiring = import_module(CAPABILITIES[name])
        modules.append(await cast("Assemble", wiring.assemble)(await resources.acting_as(name)))
    return modules
