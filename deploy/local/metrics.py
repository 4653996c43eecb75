"""Where each process shows its figures to Prometheus: ports of their own on loopback."""

from collections.abc import Iterable, Mapping
from dataclasses import replace

from deploy.local.part import Part, Stage

_SETTING = "PARLEY_METRICS_LISTEN"


def metrics_names(workers: int) -> tuple[str, ...]:
    """Return the names of the ports: one for the services and one for each worker."""
    parts = ("services", *("worker" if number == 1 else f"worker-{number}" for number in range(1, workers + 1)))
    return tuple(map(_name_of, parts))


def with_metrics(house: Stage, at: Mapping[str, str]) -> Stage:
    """Return the parts, those with a port told of it. Who sets PARLEY_METRICS_LISTEN to nothing wants none."""
    return tuple(_told(part, at) for part in house)


def metrics_notes(house: Iterable[Part], admin: str) -> tuple[str, ...]:
    """Return a line for the person at the terminal that says where figures are, Envoy's own too."""
    shown = [f"{part.name} http://{part.env[_SETTING]}/metrics" for part in house if part.env.get(_SETTING)]
    return (f"Figures  {', '.join([*shown, f'envoy http://{admin}/stats/prometheus'])}",)


def _told(part: Part, at: Mapping[str, str]) -> Part:
    address = at.get(_name_of(part.name))
    if address is None or part.env.get(_SETTING) == "":
        return part
    # What the caller set would be one address for all of them.
    return replace(part, env={**part.env, _SETTING: address})


def _name_of(part: str) -> str:
    return f"metrics-{part}"
