"""Reads the operations of an OpenAPI 3 document. Runs in the sandbox."""

import json
import re
import unicodedata
from collections.abc import Iterator
from urllib.parse import quote

from services.chassis.sandbox.child import Refused
from services.tools.backends.foreign.costs import cost_of
from services.tools.backends.foreign.documents import read_document
from services.tools.backends.foreign.openapi_arguments import arguments_of
from services.tools.backends.foreign.openapi_schemas import Budget, CannotExpress, Json, free_name, resolved
from services.tools.backends.foreign.schemas import validator_of

_METHODS = ("get", "put", "delete", "post", "patch")
_MOST_OPERATIONS = 500
_MOST_SKIPPED = 200
_MOST_SCHEMA = 100_000
_MOST_PARTS = 100_000
_MOST_URL = 2_000
_MOST_TEXT = 3_000_000
_NAME = 64
_VARIABLE = re.compile(r"\{([^{}]*)\}")


def operations(payload: bytes) -> bytes:
    """Return the wanted operations of a document, and which could not be taken and why.

    The input is an object of `document`, `operation_ids` and `server_url`. An operation that was asked for by its name
    and cannot be taken is refused; when all are wanted it is skipped. Raises Refused.
    """
    wanted = json.loads(payload)
    document = read_document(wanted["document"])
    if not isinstance(document, dict) or not str(document.get("openapi", "")).startswith("3."):
        raise Refused("it is not an OpenAPI 3 document")
    found = list(_named(document))
    for name in wanted["operation_ids"]:
        if not any(name == one for one, *_ in found):
            raise Refused(f"there is no operation {name}")
    chosen = [one for one in found if not wanted["operation_ids"] or one[0] in wanted["operation_ids"]]
    if not chosen:
        raise Refused("there is no operation in it")
    if len(chosen) > _MOST_OPERATIONS:
        raise Refused(f"it has {len(chosen)} operations, more than {_MOST_OPERATIONS}: name those that you want")
    taken, skipped = _taken(document, chosen, wanted["server_url"])
    if skipped and (wanted["operation_ids"] or not taken):
        raise Refused("; ".join(f"{one['operation']}: {one['reason']}" for one in skipped[:3]))
    return json.dumps({"operations": taken, "skipped": skipped[:_MOST_SKIPPED]}).encode()


def _named(document: Json) -> Iterator[tuple[str, str, str, Json, Json]]:
    """Yield name, method, path, path item and operation of each operation."""
    paths = document.get("paths") or {}
    if not isinstance(paths, dict):
        raise Refused("its paths are not as OpenAPI wants them")
    for path, given in paths.items():
        try:
            item = resolved(document, given)
        except CannotExpress:
            continue
        for method in _METHODS:
            operation = item.get(method)
            if isinstance(operation, dict):
                called = operation.get("operationId")
                yield str(called) if called else f"{method}{path}", method, path, item, operation


def _taken(
    document: Json, chosen: list[tuple[str, str, str, Json, Json]], server_url: str
) -> tuple[list[Json], list[Json]]:
    taken: list[Json] = []
    skipped: list[Json] = []
    names: set[str] = set()
    budget = Budget()
    length = 0
    for name, method, path, item, operation in chosen:
        try:
            one = _operation(document, method, path, item, operation, server_url, budget)
            length += len(one["schema"])
            if length > _MOST_TEXT:
                raise CannotExpress(
                    f"the tools before it take more than {_MOST_TEXT} characters: import it by its name"
                )
        except CannotExpress as cannot:
            skipped.append({"operation": name[:200], "reason": str(cannot)})
            continue
        except (AttributeError, KeyError, TypeError, ValueError, RecursionError):
            skipped.append({"operation": name[:200], "reason": "it is not as OpenAPI wants it"})
            continue
        one["name"] = _for_models(name, method, path, names)
        names.add(one["name"])
        taken.append(one)
    return taken, skipped


def _operation(
    document: Json, method: str, path: str, item: Json, operation: Json, server_url: str, budget: Budget
) -> Json:
    arguments = arguments_of(document, method, item, operation, budget)
    schema = json.dumps(arguments.schema, ensure_ascii=False)
    if len(schema) > _MOST_SCHEMA:
        raise CannotExpress(f"its arguments take more than {_MOST_SCHEMA} characters to describe")
    if cost_of(arguments.schema).parts > _MOST_PARTS:
        raise CannotExpress(f"its arguments have more than {_MOST_PARTS} parts when references are written out")
    try:
        validator_of(schema)
    except Refused as refused:
        raise CannotExpress(f"its arguments cannot be checked: {refused}") from None
    described = operation.get("description") or operation.get("summary") or item.get("summary") or ""
    return {
        "method": method.upper(),
        "url": _url(document, path, item, operation, server_url, arguments.in_path),
        "description": str(described)[:4000],
        "schema": schema,
        "query": arguments.in_query,
        "header_arguments": arguments.in_headers,
        "body_argument": arguments.whole_body,
        "form": arguments.is_form,
    }


def _url(document: Json, path: str, item: Json, operation: Json, server_url: str, in_path: list[str]) -> str:
    base = server_url or _server(operation) or _server(item) or _server(document)
    if not base.startswith(("http://", "https://")):
        raise CannotExpress("it names no server with an absolute URL: give server_url")
    if not path.startswith("/") or "?" in path or "#" in path:
        raise CannotExpress("its path does not begin with / or has a query")
    missing = [name for name in _VARIABLE.findall(path) if name not in in_path]
    if missing:
        raise CannotExpress(f"its path names {missing[0][:100]}, which is no parameter")
    parts = re.split(r"(\{[^{}]*\})", path)
    # Every second part is a parameter, and keeps its name.
    written = [part if n % 2 else quote(part, safe="/%:@!$&'()*+,;=~") for n, part in enumerate(parts)]
    url = base.rstrip("/") + "".join(written)
    if len(url) > _MOST_URL:
        raise CannotExpress(f"its URL has more than {_MOST_URL} characters")
    return url


def _server(holder: Json) -> str:
    """Return the URL of the first server, with the defaults of its variables."""
    servers = holder.get("servers")
    if not isinstance(servers, list) or not servers or not isinstance(servers[0], dict):
        return ""
    variables = servers[0].get("variables") or {}
    return _VARIABLE.sub(lambda match: str(variables[match[1]]["default"]), str(servers[0].get("url", "")))


def _for_models(name: str, method: str, path: str, taken: set[str]) -> str:
    """Return a name of letters, digits, `_` and `-`: what is left of the operation's, else of its method and path."""
    plain = _plain(name)
    if not any(one.isalpha() for one in plain) or len(plain) < len(name) / 2:
        plain = _plain(f"{method}{path}")
    plain = (plain if re.match(r"[A-Za-z_]", plain) else f"_{plain}")[:_NAME]
    return plain if plain not in taken else free_name(plain[: _NAME - 4], taken)


def _plain(text: str) -> str:
    letters = unicodedata.normalize("NFKD", text.replace("đ", "d").replace("Đ", "D"))
    letters = "".join(one for one in letters if not unicodedata.combining(one))
    return re.sub(r"[^A-Za-z0-9_-]+", "_", letters).strip("_")[:_NAME]
