"""A server with the OpenAI chat completions API that misbehaves on purpose: real HTTP, raw bytes, a switch a fault.

`providing(answer)` gives every request one answer. `misbehaving()` lets each request choose among the switches of
`SWITCHES`: by the model that it names, or by a line `misbehave <switch>` of its last user message. By hand:
`python -m tests.support.model_server` prints where it listens.
"""

from tests.support.model_server.answers import Answer, Request, chunk, refusing, streaming
from tests.support.model_server.server import Provider, misbehaving, providing
from tests.support.model_server.switches import SWITCHES

__all__ = [
    "SWITCHES",
    "Answer",
    "Provider",
    "Request",
    "chunk",
    "misbehaving",
    "providing",
    "refusing",
    "streaming",
]
