"""Calls of tools that a model writes as its answer, by a grammar that leaves it nothing else.

llama.cpp's server takes `tool_choice: required` and does not hold models to it whose chat template knows no tools; a
schema for the whole answer it does hold them to, however small they are.
"""

import json
from collections.abc import AsyncIterator, Sequence
from typing import Any
from uuid import uuid4

from services.inference.rules import Part, Summary, TakenBack, Tool, ToolCall


def described(tool: Tool) -> dict[str, Any]:
    """Return a tool as the OpenAI API describes it."""
    parameters = json.loads(tool.arguments_schema or '{"type": "object"}')
    return {"name": tool.name, "description": tool.description, "parameters": parameters}


def forced(tools: Sequence[Tool], messages: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return what of a request makes the model write a call of one of the tools, and nothing else."""
    descriptions = [described(tool) for tool in tools]
    choices = [
        {
            "type": "object",
            "properties": {"name": {"const": one["name"]}, "arguments": one["parameters"]},
            "required": ["name", "arguments"],
            "additionalProperties": False,
        }
        for one in descriptions
    ]
    told = f"Call one of these tools with the right arguments: {json.dumps(descriptions, ensure_ascii=False)}"
    first, *rest = messages
    if first["role"] == "system":
        messages = [{**first, "content": f"{first['content']}\n{told}"}, *rest]
    else:
        messages = [{"role": "system", "content": told}, *messages]
    schema = {"name": "call", "schema": {"anyOf": choices}}
    return {"messages": messages, "response_format": {"type": "json_schema", "json_schema": schema}}


async def written_calls(parts: AsyncIterator[Part]) -> AsyncIterator[Part]:
    """Yield the call that an answer is, then the summary. Raises ValueError when it was cut short."""
    written: list[str] = []
    async for part in parts:
        if isinstance(part, str):
            written.append(part)
        elif isinstance(part, TakenBack):
            written.clear()
        elif isinstance(part, Summary):
            call = json.loads("".join(written))
            arguments = json.dumps(call["arguments"], ensure_ascii=False)
            yield ToolCall(f"call_{uuid4().hex}", call["name"], arguments)
            yield Summary(part.model_id, "tool_calls", part.input_tokens, part.output_tokens)
