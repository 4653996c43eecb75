"""A single-page application signs somebody in: authorization code with PKCE, in a real browser."""

import json
import subprocess
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import jwt
import pytest

from tests.stack.conftest import Stack
from tests.support.browser import running_browser
from tests.support.callers import PASSWORD, Person

_FOLDER = Path(__file__).with_name("browser")


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def page(stack: Stack) -> Iterator[str]:
    """The application's URL; its library comes from npm, pinned by the lock."""
    if not (_FOLDER / "node_modules" / "oidc-client-ts").exists():
        subprocess.run(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"], cwd=_FOLDER, check=True)
    server = ThreadingHTTPServer(("127.0.0.1", stack.page), partial(_Quiet, directory=str(_FOLDER)))
    server.daemon_threads = True
    thread = threading.Thread(target=lambda: server.serve_forever(poll_interval=0.02))
    thread.start()
    yield f"http://127.0.0.1:{stack.page}/index.html"
    server.shutdown()
    server.server_close()
    thread.join()


async def test_somebody_signs_in_with_a_browser_and_calls_the_api(stack: Stack, ada: Person, page: str) -> None:
    async with running_browser() as browser:
        await browser.open(f"{page}?edge={stack.url}")
        for field, value in (("username", ada.user["email"]), ("password", PASSWORD)):
            # With organisations on, Keycloak asks for the name first and for the password on the next page.
            await browser.wait_for(f"document.querySelector('input[name={field}]')?.offsetParent")
            await browser.evaluate(f"document.querySelector('input[name={field}]').value = {json.dumps(value)}")
            asked_both = await browser.evaluate("Boolean(document.querySelector('input[name=password]')?.offsetParent)")
            if field == "password" or not asked_both:
                await browser.evaluate("document.querySelector('form').requestSubmit()")
        await browser.wait_for("window.result?.renewed")
        result = await browser.evaluate("window.result")
    assert (result["status"], result["me"]["id"]) == (200, ada.id)
    claims = jwt.decode(result["token"], options={"verify_signature": False})
    assert (claims["iss"], claims["azp"], claims["typ"]) == (stack.issuer, "parley-web", "Bearer")
    assert "parley" in claims["aud"]
    assert result["renewed"] != result["token"]
    # What tells the page who it is opens nothing.
    answer = await ada.edge.http.get("/api/v1/auth/me", headers={"authorization": f"Bearer {result['id']}"})
    assert answer.status_code == 401
