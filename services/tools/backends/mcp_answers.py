"""What tools of MCP servers answer: as a text for models, and part by part for people."""

import base64
import binascii
from typing import TYPE_CHECKING

from services.chassis.strict_json import JsonRefused, write_json
from services.tools.ports import CallFailed
from services.tools.rules import Answer, Content

if TYPE_CHECKING:
    from mcp.types import CallToolResult, ContentBlock


def answer_of(result: "CallToolResult", max_bytes: int) -> Answer:
    """Return an answer: the structured one as JSON if there is one, else the texts, with a line for each other part.

    Raises CallFailed when it is too large, cannot be stored, or says that the tool failed.
    """
    parts = tuple(map(_part, result.content))
    try:
        structured = None if result.structured_content is None else write_json(result.structured_content)
    except JsonRefused as refused:
        raise _invalid(f"the structured answer {refused}") from None
    text = "\n".join(map(_shown, parts)) if structured is None else structured
    kept = (
        0
        if all(part.type == "text" for part in parts)
        else sum(len(part.text.encode()) + len(part.data) for part in parts)
    )
    if max(len(text.encode()), kept) > max_bytes:
        raise CallFailed("ANSWER_TOO_LARGE", f"the answer has more than {max_bytes} bytes", done=True)
    if result.is_error:
        raise CallFailed("TOOL_ERROR", text[:2000], done=True)
    return Answer(text, parts if any(part.type != "text" for part in parts) else ())


def _part(block: "ContentBlock") -> Content:
    match block.type:
        case "text":
            return Content("text", text=storable(block.text))
        case "image" | "audio":
            return Content(block.type, data=_base64(block.data), mime_type=storable(block.mime_type))
        case "resource_link":
            return Content(
                "resource_link",
                uri=storable(block.uri),
                name=storable(block.name),
                mime_type=storable(block.mime_type or ""),
            )
        case "resource":
            resource = block.resource
            return Content(
                "resource",
                text=storable(getattr(resource, "text", "")),
                data=_base64(getattr(resource, "blob", "")),
                uri=storable(resource.uri),
                mime_type=storable(resource.mime_type or ""),
            )


def _shown(part: Content) -> str:
    """Return what a model reads of a part."""
    if part.type == "text" or part.text:
        return part.text
    size = f"{len(part.data) * 3 // 4 - part.data.count('=')} bytes" if part.data else ""
    return f"[{', '.join(filter(None, (part.type, part.name, part.uri, part.mime_type, size)))}]"


def storable(text: object) -> str:
    """Return a text of a server without what cannot be stored."""
    # PostgreSQL stores no NUL, neither in a text nor in JSON, and half a surrogate pair is no UTF-8.
    return str(text).replace("\x00", "\ufffd").encode(errors="replace").decode()


def _base64(text: str) -> str:
    try:
        return base64.b64encode(base64.b64decode(text, validate=True)).decode()
    except (binascii.Error, ValueError):
        raise _invalid("a part of the answer is not in base64") from None


def _invalid(text: str) -> CallFailed:
    return CallFailed("ANSWER_INVALID", text, done=True)
