"""What anybody may look at: health, the landing page, the documentation, the models."""

import re

import pytest

from tests.mesh import contract
from tests.support.callers import Edge

SERVICES = {method.containing_service.full_name for method in contract.methods()}
IDENTITY = "parley.identity.v1"
HEALTH = {
    "/health": SERVICES,
    "/auth/health": {f"{IDENTITY}.AuthService"},
    "/chat/health": {name for name in SERVICES if name.startswith("parley.conversations.")},
    "/admin/health": {f"{IDENTITY}.AuditService", f"{IDENTITY}.UserAdminService"}
    | {name for name in SERVICES if name.startswith("parley.operations.")},
    "/api/v1/ai/health": {name for name in SERVICES if name.startswith("parley.inference.")},
}


@pytest.mark.parametrize("path", HEALTH)
async def test_health(edge: Edge, path: str) -> None:
    response = await edge.http.get(path)
    assert response.status_code == 200
    assert response.json() == {"status": "ok", "services": dict.fromkeys(HEALTH[path], "SERVING")}


async def test_every_link_of_the_landing_page_leads_somewhere(edge: Edge) -> None:
    page = (await edge.http.get("/")).json()
    assert (page["name"], set(page)) == ("Parley", {"name", "version", "links"})
    assert page["version"]
    assert {"docs", "health"} <= set(page["links"])
    for link in page["links"].values():
        assert (await edge.http.get(link)).status_code == 200, link


@pytest.mark.parametrize("path", ["/api/docs", "/api/v1/auth/docs", "/api/v1/chat/docs", "/api/v1/admin/docs"])
async def test_the_documentation_needs_no_internet(edge: Edge, path: str) -> None:
    page = await edge.http.get(path)
    assert page.headers["content-type"].startswith("text/html")
    assert "http://" not in page.text
    assert "https://" not in page.text
    assert f"{path}/openapi.json" in page.text
    for asset in ("swagger-ui-bundle.js", "swagger-ui.css", "favicon-32x32.png"):
        assert f"/api/docs/assets/{asset}" in page.text
        assert (await edge.http.get(f"/api/docs/assets/{asset}")).status_code == 200
    assert (await edge.http.get(f"{path}/openapi.json")).json()["openapi"].startswith("3.1")


async def test_the_document_has_the_annotated_rpcs_and_no_others(edge: Edge) -> None:
    document = (await edge.http.get("/api/docs/openapi.json")).json()
    shown = {(verb.upper(), path) for path, item in document["paths"].items() for verb in item if verb != "parameters"}
    routes = [route for method in contract.methods() for route in contract.routes(method)]
    # A path parameter has its JSON name there.
    assert {(verb, _snake(path)) for verb, path in shown} == {(route.method, route.template) for route in routes}
    assert len(shown) == len(routes) > 20


async def test_the_models_are_shown_to_everybody(edge: Edge) -> None:
    status = (await edge.http.get("/api/v1/ai/models/status")).json()
    assert set(status) == {"models"}
    first, *others = status["models"]
    assert set(first) == {"id", "provider", "state", "detail", "contextTokens", "isDefault"}
    assert (first["id"], first["provider"], first["state"]) == ("scripted", "scripted", "MODEL_STATE_READY")
    assert [model["isDefault"] for model in status["models"]] == [True, *[False] * len(others)]
    assert {"smollm2-135m-instruct"} <= {model["id"] for model in others if model["provider"] == "local"}


def _snake(path: str) -> str:
    return re.sub(r"\{\w+\}", lambda match: re.sub("[A-Z]", lambda big: f"_{big[0].lower()}", match[0]), path)
