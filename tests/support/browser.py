"""Chromium without a window, driven over the Chrome DevTools Protocol."""

import asyncio
import json
import shutil
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx
from websockets.asyncio.client import ClientConnection, connect

from tests.support.polling import until

_SECONDS = 60.0


class Browser:
    """One page."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection
        self._numbers = count(1)

    async def open(self, url: str) -> None:
        """Go to a page."""
        await self._send("Page.navigate", url=url)

    async def evaluate(self, expression: str) -> Any:
        """Return what a JavaScript expression gives on the page; None while there is no page to ask."""
        answer = await self._send("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        return answer.get("result", {}).get("value")

    async def wait_for(self, condition: str) -> None:
        """Wait until a JavaScript condition holds."""
        try:
            async with asyncio.timeout(_SECONDS):
                while await self.evaluate(f"Boolean({condition})") is not True:
                    await asyncio.sleep(0.05)
        except TimeoutError:
            shown = await self.evaluate("location.href + '\\n' + document.body.innerText.slice(0, 1000)")
            raise AssertionError(f"{condition} never held on {shown}") from None

    async def _send(self, method: str, **params: object) -> dict[str, Any]:
        number = next(self._numbers)
        await self._connection.send(json.dumps({"id": number, "method": method, "params": params}))
        while True:
            answer = json.loads(await self._connection.recv())
            if answer.get("id") == number:
                result: dict[str, Any] = answer.get("result", {})
                return result


@asynccontextmanager
async def running_browser() -> AsyncIterator[Browser]:
    """Start Chromium with a profile of its own and yield its page."""
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    assert program, "Chromium is missing: install the package chromium"
    with TemporaryDirectory(prefix="parley-browser-", ignore_cleanup_errors=True) as profile:
        options = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"]
        network = ["--disable-background-networking", "--no-proxy-server", "--remote-debugging-port=0"]
        process = subprocess.Popen(  # noqa: ASYNC220 -- it starts at once, and is waited for below
            [program, *options, *network, f"--user-data-dir={profile}", "about:blank"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            place = Path(profile) / "DevToolsActivePort"
            until(lambda: place.exists() and "\n" in place.read_text(), seconds=_SECONDS, what="Chromium")
            port = place.read_text().splitlines()[0]
            async with httpx.AsyncClient() as client:
                targets = (await client.get(f"http://127.0.0.1:{port}/json")).json()
            page = next(target for target in targets if target["type"] == "page")
            async with connect(page["webSocketDebuggerUrl"], max_size=None) as connection:
                yield Browser(connection)
        finally:
            process.terminate()
            process.wait(20)
