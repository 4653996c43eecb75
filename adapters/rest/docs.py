"""Shows the API: Swagger UI from the installed package `fastapi-swagger`, so that no page needs the internet."""

import re
from importlib.resources import files
from typing import Any

from fastapi import Request, Response
from fastapi.openapi.docs import get_swagger_ui_html
from google.protobuf.descriptor import MethodDescriptor

from adapters.rest.annotations import Binding, access_rule, http_bindings
from adapters.rest.codec import dump_json
from adapters.rest.descriptors import DescriptorSet
from adapters.rest.hosting import Page
from adapters.rest.openapi import Bindings, Wanted, openapi_document

_ROOT = "/api/docs"
_VERSION = re.compile(r"/api/(v[0-9]+(?:(?:alpha|beta)[0-9]*)?)/")
_ASSETS = {
    "swagger-ui-bundle.js": "text/javascript",
    "swagger-ui.css": "text/css",
    "favicon-32x32.png": "image/png",
}


def _of_auth(method: MethodDescriptor, _binding: Binding) -> bool:
    service = method.containing_service
    return service.file.package.startswith("parley.identity.") and service.name in ("AuthService", "UserService")


def _of_chat(_method: MethodDescriptor, binding: Binding) -> bool:
    return _VERSION.sub("/", binding.template).startswith(("/chat", "/ai"))


def _of_admin(method: MethodDescriptor, _binding: Binding) -> bool:
    rule = access_rule(method)
    return rule is not None and "admin" in rule.roles


PARTS: dict[str, Wanted] = {"auth": _of_auth, "chat": _of_chat, "admin": _of_admin}
"""The parts of the product that have a page of their own under /api/<version>/<part>/docs."""
_FIRST_VERSION = "v1"
_NUMBERS = re.compile(r"([0-9]+)")


class Docs:
    """The documents and the pages that show them, made once."""

    def __init__(
        self,
        descriptors: DescriptorSet,
        title: str,
        version: str,
        bindings: Bindings = http_bindings,
        *,
        raw_uploads: bool = False,
    ) -> None:
        """Write the whole document, that of each version that paths name, and those of its parts that have paths."""
        self._title = title
        self._documents: dict[str, bytes] = {}
        self._links: dict[str, str] = {}
        self._write(
            _ROOT, "", openapi_document(descriptors, title, version, bindings=bindings, raw_uploads=raw_uploads)
        )
        for api in versions(descriptors, bindings):
            every: dict[str, Wanted] = {"": lambda *_: True, **PARTS}
            for part, wanted in every.items():
                name = f"{title} {api}: {part}".removesuffix(": ")
                of_version = _of_version(api, wanted)
                document = openapi_document(descriptors, name, version, of_version, bindings, raw_uploads=raw_uploads)
                # The parts of the first version are named without it, as they were before there was another.
                names = (part,) if part and api == _FIRST_VERSION else (api, part)
                path = f"/api/{api}/{part}/docs".replace("//", "/")
                self._write(path, "_".join(filter(None, names)), document)

    def links(self) -> dict[str, str]:
        """Return where the pages are, by name."""
        return {
            "docs": _ROOT,
            "openapi": f"{_ROOT}/openapi.json",
            **self._links,
        }

    def pages(self) -> dict[str, Page]:
        """Return the pages, the documents and Swagger UI's files, by path."""
        pages: dict[str, Page] = {}
        for path, document in self._documents.items():
            pages[path] = _sending(self._page(path), "text/html; charset=utf-8")
            pages[f"{path}/openapi.json"] = _sending(document, "application/json")
        folder = files("fastapi_swagger") / "resources"
        for name, media_type in _ASSETS.items():
            content = (folder / name).read_bytes()
            pages[f"{_ROOT}/assets/{name}"] = _sending(content, media_type, "public, max-age=86400")
        return pages

    def _write(self, path: str, name: str, document: dict[str, Any]) -> None:
        if not name:
            self._documents[path] = dump_json(document)
        elif document["paths"]:
            self._documents[path] = dump_json(document)
            self._links[f"{name}_docs"] = path

    def _page(self, path: str) -> bytes:
        page = get_swagger_ui_html(
            openapi_url=f"{path}/openapi.json",
            title=self._title,
            swagger_js_url=f"{_ROOT}/assets/swagger-ui-bundle.js",
            swagger_css_url=f"{_ROOT}/assets/swagger-ui.css",
            swagger_favicon_url=f"{_ROOT}/assets/favicon-32x32.png",
        )
        return bytes(page.body)


def versions(descriptors: DescriptorSet, bindings: Bindings = http_bindings) -> list[str]:
    """Return the versions that stand in the paths, such as v1 and v2, in their order."""
    found = {
        match[1]
        for method in descriptors.methods()
        for binding in bindings(method)
        if (match := _VERSION.match(binding.template))
    }
    return sorted(found, key=lambda name: [int(part) if part.isdecimal() else part for part in _NUMBERS.split(name)])


def _of_version(api: str, wanted: Wanted) -> Wanted:
    beginning = f"/api/{api}/"
    return lambda method, binding: binding.template.startswith(beginning) and wanted(method, binding)


def _sending(body: bytes, media_type: str, cache: str = "no-cache") -> Page:
    async def page(_request: Request) -> Response:
        return Response(body, media_type=media_type, headers={"cache-control": cache})

    return page
