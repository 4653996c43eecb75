"""The figures that Prometheus is told of the dispatcher."""

from services.chassis import metrics
from services.tools.rules import GrpcSource, HttpSource, McpSource, Source, Tool

_KINDS: dict[type[Source], str] = {GrpcSource: "grpc", HttpSource: "http", McpSource: "mcp"}

CALLS = metrics.histogram(
    "parley_tool_call_duration_seconds",
    "Calls of tools that a worker has ended, from taking one up to its end, by kind of tool and state.",
    ("kind", "state"),
    metrics.WORK_BUCKETS,
)
TRIES = metrics.counter(
    "parley_tool_tries",
    "Tries of calls of tools, by kind of tool and outcome; those beyond the calls are retries.",
    ("kind", "outcome"),
)


def kind_of(tool: Tool | None) -> str:
    """Return how a tool is called: `http`, `grpc`, `mcp`; `none` when there is none (any more)."""
    return "none" if tool is None else _KINDS[type(tool.source)]
