"""A real browser for the pages that the project makes: headless Chromium, told what to do by its DevTools protocol."""

import asyncio
import base64
import itertools
import os
import re
import shutil
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from threading import Thread
from typing import IO, Any

import aiohttp
import pytest

__all__ = ["PATIENCE_S", "Tab", "shown", "started_browser"]

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
FLAGS = (
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-dev-shm-usage"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--hide-scrollbars"),
    *("--host-resolver-rules=MAP * ~NOTFOUND", "--remote-debugging-port=0", "about:blank"),
)
PATIENCE_S = 60


@contextmanager
def started_browser(folder: Path) -> Iterator[str]:
    """Start one browser for all tests; give the address of its DevTools. Each test has a profile of its own there."""
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None and (os.environ.get("CI") == "true" or os.environ.get("SPOTDX_NEED_BROWSER") == "1"):
        pytest.fail(f"none of {', '.join(BROWSERS)} is installed, and here the pages must be looked at in one")
    if found is None:
        pytest.skip(f"none of {', '.join(BROWSERS)} is installed: apt-get install chromium")
    command = [found, f"--user-data-dir={folder}", *FLAGS]
    with subprocess.Popen(  # noqa: S603 - the browser
        command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        drain = Thread(target=process.stderr.read, daemon=True)  # a full pipe would hold the browser up
        try:
            url = debugger_of(process.stderr)
            drain.start()
            yield url
        finally:
            process.terminate()
        drain.join(PATIENCE_S)


def debugger_of(stderr: IO[str]) -> str:
    lines = []
    for line in stderr:
        lines.append(line)
        if found := re.search(r"DevTools listening on (ws://\S+)", line):
            return found[1]
    pytest.fail(f"the browser did not start: {''.join(lines)}")


class Tab:
    """One page of the browser: commands out, answers in, and every event kept."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse, session_id: str) -> None:
        self._socket = socket
        self._session_id = session_id
        self._ids = itertools.count(1000)
        self.events: list[dict[str, Any]] = []

    async def call(self, method: str, **params: Any) -> dict[str, Any]:
        wanted = next(self._ids)
        await self._socket.send_json(
            {"id": wanted, "sessionId": self._session_id, "method": method, "params": params},
        )
        while (answer := await self._next()).get("id") != wanted:
            pass
        assert "error" not in answer, answer
        result: dict[str, Any] = answer["result"]
        return result

    async def see(self, event: str) -> None:
        while all(seen["method"] != event for seen in self.events):
            await self._next()

    async def look(self, expression: str) -> Any:
        answer = await self.call("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    async def complaints(self) -> list[str]:
        """Give what the console, the security policy and the network have to say: uncaught errors and all requests."""
        await self.picture()  # whatever the page has set off is told before it
        kinds = {"Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Log.entryAdded", "Audits.issueAdded"}
        told = [str(event) for event in self.events if event["method"] in kinds]
        asked = [event["params"] for event in self.events if event["method"] == "Network.requestWillBeSent"]
        urls = [params["request"]["url"] for params in asked if params["type"] != "Document"]
        return told + [url for url in urls if not url.startswith("data:")]

    async def resize(self, width: int) -> None:
        metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
        await self.call("Emulation.setDeviceMetricsOverride", **metrics)

    async def picture(self) -> bytes:
        answer = await self.call("Page.captureScreenshot", format="png", captureBeyondViewport=True)
        return base64.b64decode(answer["data"])

    async def _next(self) -> dict[str, Any]:
        message: dict[str, Any] = await asyncio.wait_for(self._socket.receive_json(), PATIENCE_S)
        if "method" in message:
            self.events.append(message)
        return message


@asynccontextmanager
async def shown(
    browser: str, page: Path, *, width: int = 1280, dark: bool = False, scripts: bool = True
) -> AsyncIterator[Tab]:
    async with aiohttp.ClientSession() as session, session.ws_connect(browser, max_msg_size=0) as socket:
        context = await tell(socket, 1, "Target.createBrowserContext", disposeOnDetach=True)
        target = await tell(socket, 2, "Target.createTarget", url="about:blank", **context)
        attached = await tell(socket, 3, "Target.attachToTarget", flatten=True, **target)
        tab = Tab(socket, attached["sessionId"])
        for domain in ("Page", "Runtime", "Log", "Network", "Audits"):
            await tab.call(f"{domain}.enable")
        nothing = {"latency": 0, "downloadThroughput": 0, "uploadThroughput": 0}
        await tab.call("Network.emulateNetworkConditions", offline=True, **nothing)
        await tab.resize(width)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        await tab.call("Emulation.setEmulatedMedia", features=[scheme])
        await tab.call("Emulation.setScriptExecutionDisabled", value=not scripts)
        await tab.call("Page.navigate", url=page.as_uri())
        await tab.see("Page.loadEventFired")
        yield tab


async def tell(socket: aiohttp.ClientWebSocketResponse, number: int, method: str, **params: Any) -> dict[str, Any]:
    """Give the browser itself a command, and return what it answers."""
    await socket.send_json({"id": number, "method": method, "params": params})
    while (answer := await asyncio.wait_for(socket.receive_json(), PATIENCE_S)).get("id") != number:
        pass
    found: dict[str, Any] = answer["result"]
    return found
