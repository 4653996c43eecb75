"""All switches by their names."""

from collections.abc import Mapping

from tests.support.model_server.answers import Answer, well
from tests.support.model_server.call_switches import CALLS
from tests.support.model_server.refusal_switches import REFUSALS
from tests.support.model_server.shape_switches import SHAPES
from tests.support.model_server.text_switches import TEXTS

SWITCHES: Mapping[str, Answer] = {"well": well(), **TEXTS, **SHAPES, **CALLS, **REFUSALS}
