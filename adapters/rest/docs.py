"""Shows the API: Swagger UI from the installed package `fastapi-swagger`, so that no page needs the internet."""

from importlib.resources import files

from fastapi import Request, Response
from fastapi.openapi.docs import get_swagger_ui_html
from google.protobuf.descriptor import MethodDescriptor

from adapters.rest.annotations import Binding, access_rule, http_bindings
from adapters.rest.codec import dump_json
from adapters.rest.descriptors import DescriptorSet
from adapters.rest.hosting import Page
from adapters.rest.openapi import Bindings, Wanted, openapi_document

_ROOT = "/api/docs"
_ASSETS = {
    "swagger-ui-bundle.js": "text/javascript",
    "swagger-ui.css": "text/css",
    "favicon-32x32.png": "image/png",
}


def _of_auth(method: MethodDescriptor, _binding: Binding) -> bool:
    return method.containing_service.full_name in ("parley.identity.v1.AuthService", "parley.identity.v1.UserService")


def _of_chat(_method: MethodDescriptor, binding: Binding) -> bool:
    return binding.template.startswith(("/api/v1/chat", "/api/v1/ai"))


def _of_admin(method: MethodDescriptor, _binding: Binding) -> bool:
    rule = access_rule(method)
    return rule is not None and "admin" in rule.roles


PARTS: dict[str, Wanted] = {"auth": _of_auth, "chat": _of_chat, "admin": _of_admin}
"""The parts of the product that have a page of their own under /api/v1/<part>/docs."""


class Docs:
    """The documents and the pages that show them, made once."""

    def __init__(
        self, descriptors: DescriptorSet, title: str, version: str, bindings: Bindings = http_bindings
    ) -> None:
        """Write the whole document and those of the parts that have at least one path."""
        self._title = title
        self._documents = {_ROOT: dump_json(openapi_document(descriptors, title, version, bindings=bindings))}
        self._parts: dict[str, str] = {}
        for part, wanted in PARTS.items():
            document = openapi_document(descriptors, f"{title}: {part}", version, wanted, bindings)
            if document["paths"]:
                self._parts[part] = f"/api/v1/{part}/docs"
                self._documents[self._parts[part]] = dump_json(document)

    def links(self) -> dict[str, str]:
        """Return where the pages are, by name."""
        return {
            "docs": _ROOT,
            "openapi": f"{_ROOT}/openapi.json",
            **{f"{part}_docs": path for part, path in self._parts.items()},
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

    def _page(self, path: str) -> bytes:
        page = get_swagger_ui_html(
            openapi_url=f"{path}/openapi.json",
            title=self._title,
            swagger_js_url=f"{_ROOT}/assets/swagger-ui-bundle.js",
            swagger_css_url=f"{_ROOT}/assets/swagger-ui.css",
            swagger_favicon_url=f"{_ROOT}/assets/favicon-32x32.png",
        )
        return bytes(page.body)


def _sending(body: bytes, media_type: str, cache: str = "no-cache") -> Page:
    async def page(_request: Request) -> Response:
        return Response(body, media_type=media_type, headers={"cache-control": cache})

    return page
