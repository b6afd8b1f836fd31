"""The report in a real browser: headless Chromium, told what to do by its DevTools protocol, with the network off."""

import asyncio
import base64
import itertools
import os
import re
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from spotdx_async import MetadataUpdate
from spotdx_async.bulk.records import Outcome, Progress
from spotdx_async.errors import NotFoundError, OutcomeUnknownError
from spotdx_async.report import RunStory, write_report
from spotdx_async.testing import FakeSpot, faults

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
FLAGS = (
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-dev-shm-usage"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--hide-scrollbars"),
    *("--host-resolver-rules=MAP * ~NOTFOUND", "--remote-debugging-port=0", "about:blank"),
)
PATIENCE_S = 60
HOSTILE = "</script></title><script>document.title='broken'</script><img src=x onerror=\"document.title='broken'\">"


@pytest.fixture
def browser() -> str:
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None and (os.environ.get("CI") == "true" or os.environ.get("SPOTDX_NEED_BROWSER") == "1"):
        pytest.fail(f"none of {', '.join(BROWSERS)} is installed, and here the report must be looked at in one")
    if found is None:
        pytest.skip(f"none of {', '.join(BROWSERS)} is installed: apt-get install chromium")
    return found


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
    async with running(browser, page.parent / "profile") as socket:
        await socket.send_json({"id": 1, "method": "Target.createTarget", "params": {"url": "about:blank"}})
        target = (await result(socket, 1))["targetId"]
        params = {"targetId": target, "flatten": True}
        await socket.send_json({"id": 2, "method": "Target.attachToTarget", "params": params})
        tab = Tab(socket, (await result(socket, 2))["sessionId"])
        for domain in ("Page", "Runtime", "Log", "Network", "Audits"):
            await tab.call(f"{domain}.enable")
        nothing = {"latency": 0, "downloadThroughput": 0, "uploadThroughput": 0}
        await tab.call("Network.emulateNetworkConditions", offline=True, **nothing)
        metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
        await tab.call("Emulation.setDeviceMetricsOverride", **metrics)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        await tab.call("Emulation.setEmulatedMedia", features=[scheme])
        await tab.call("Emulation.setScriptExecutionDisabled", value=not scripts)
        await tab.call("Page.navigate", url=page.as_uri())
        await tab.see("Page.loadEventFired")
        yield tab
        await socket.send_json({"id": 3, "method": "Browser.close"})


@asynccontextmanager
async def running(browser: str, profile: Path) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
    process = await asyncio.create_subprocess_exec(
        *(browser, f"--user-data-dir={profile}", *FLAGS),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stderr is not None
    drain = None
    try:
        url = await asyncio.wait_for(debugger_of(process.stderr), PATIENCE_S)
        drain = asyncio.create_task(process.stderr.read())
        async with aiohttp.ClientSession() as session, session.ws_connect(url, max_msg_size=0) as socket:
            yield socket
        await asyncio.wait_for(process.wait(), PATIENCE_S)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        if drain is not None:
            await drain


async def debugger_of(stderr: asyncio.StreamReader) -> str:
    lines = []
    while line := (await stderr.readline()).decode():
        lines.append(line)
        if found := re.search(r"DevTools listening on (ws://\S+)", line):
            return found[1]
    pytest.fail(f"the browser did not start: {''.join(lines)}")


async def result(socket: aiohttp.ClientWebSocketResponse, wanted: int) -> dict[str, Any]:
    while (answer := await asyncio.wait_for(socket.receive_json(), PATIENCE_S)).get("id") != wanted:
        pass
    found: dict[str, Any] = answer["result"]
    return found


async def until(tab: Tab, claim: str) -> None:
    """Wait until something is true of the page; the browser is asked again every 20 ms."""
    seen = f"new Promise((done) => {{ const look = () => {claim} ? done() : setTimeout(look, 20); look(); }})"
    await asyncio.wait_for(tab.look(seen), PATIENCE_S)


async def drawn(tab: Tab) -> None:
    await until(tab, "document.documentElement.dataset.charts === 'drawn'")


def note(run_stats: RunStory, now_s: float, *, throttled: int = 0, is_paused: bool = False) -> None:
    run_stats.note(
        Progress(
            done=run_stats.rows,
            by_state=dict(run_stats.counts),
            rate=0,
            eta_s=None,
            throttled=throttled,
            is_paused=is_paused,
            elapsed_s=now_s,
            total=None,
        ),
        now_s,
    )


@pytest.fixture
def page_with_foreign_parts(page: Path) -> Path:
    foreign = "<script>document.title='broken'</script><img src='https://example.invalid/x.png'></main>"
    page.write_text(page.read_text(encoding="utf-8").replace("</main>", foreign, 1), encoding="utf-8")
    return page


@pytest.fixture
def page(tmp_path: Path) -> Path:
    """Write the report of a run with everything in it: all charts, an outage, 429s, errors, and hostile words."""
    run_stats = RunStory({"rate": 25.0, "journal": None, "note": HOSTILE}, 0.0)
    for n in range(2000):
        row_s, server_s = 0.3 + n % 7 / 50, 0.05 + n % 11 / 100
        run_stats.add(Outcome(index=n, key=f"SPOT{n}", state="ok", elapsed_s=row_s, request_s=server_s), (n / 200) ** 2)
    run_stats.add(Outcome(index=2000, key="S", state="failed", error=NotFoundError(HOSTILE, status=404)), 50.0)
    run_stats.add(Outcome(index=2001, key="S", state="unknown", error=OutcomeUnknownError("x" * 400)), 51.0)
    note(run_stats, 30.0, throttled=12)
    note(run_stats, 60.0, throttled=12, is_paused=True)
    note(run_stats, 70.0, throttled=15)
    run_stats.finish(100.0, f"the server does not accept the token {HOSTILE}")
    path = tmp_path / "run.html"
    write_report(path, run_stats)
    return path


async def test_every_chart_is_drawn_with_its_data(browser: str, page: Path) -> None:
    async with shown(browser, page) as tab:
        await drawn(tab)
        count = """(selector) => [...document.querySelectorAll(selector)]
            .map((node) => node.getBoundingClientRect())
            .filter((box) => box.width > 0 && box.height > 0).length"""

        assert await tab.look(f"({count})('#chart-outcomes .bars .point path')") == 3
        assert await tab.look(f"({count})('#chart-throughput .scatterlayer .js-fill')") == 2
        assert await tab.look(f"({count})('#chart-throughput .bars .point path')") == 2
        assert await tab.look(f"({count})('#chart-throughput .shapelayer path')") == 1
        assert await tab.look(f"({count})('#chart-latency .scatterlayer .js-line')") == 2
        assert await tab.look(f"({count})('#chart-latency .scatterlayer .point')") > 100
        titles = await tab.look("[...document.querySelectorAll('.xtitle, .ytitle, .y2title')].map(t => t.textContent)")
    assert {"rows", "time since the start (seconds)", "rows per second", "milliseconds"} <= set(titles)


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [1280, 400])
async def test_nothing_is_fetched_or_complained_of_and_all_fits(
    browser: str, page: Path, width: int, dark: bool
) -> None:
    async with shown(browser, page, width=width, dark=dark) as tab:
        await drawn(tab)
        picture = await tab.picture()

        assert await tab.complaints() == []
        assert await tab.look("document.documentElement.scrollWidth") <= width
        assert (
            await tab.look("Math.max(...[...document.querySelectorAll('.chart svg')].map(s => s.clientWidth))") < width
        )
    assert picture.startswith(b"\x89PNG")
    assert int.from_bytes(picture[16:20]) == width


async def test_hostile_words_are_shown_as_words(browser: str, page: Path) -> None:
    async with shown(browser, page) as tab:
        await drawn(tab)

        assert await tab.look("document.title") == "Bulk run report"
        assert await tab.look("document.querySelectorAll('img').length") == 0
        assert (await tab.look("document.querySelector('main').innerText")).count(HOSTILE) == 3


async def test_the_policy_keeps_out_a_script_and_a_picture_from_elsewhere(
    browser: str, page_with_foreign_parts: Path
) -> None:
    async with shown(browser, page_with_foreign_parts) as tab:
        await drawn(tab)

        assert await tab.look("document.title") == "Bulk run report"
        complaints = await tab.complaints()
    assert any("script-src" in complaint for complaint in complaints)
    assert any("img-src" in complaint for complaint in complaints)


async def test_without_scripts_the_tables_tell_it_all(browser: str, page: Path) -> None:
    async with shown(browser, page, scripts=False) as tab:
        root = (await tab.call("DOM.getDocument", depth=-1))["root"]["nodeId"]
        await tab.call("DOM.enable")
        body = (await tab.call("DOM.querySelector", nodeId=root, selector="main"))["nodeId"]
        told = (await tab.call("DOM.getOuterHTML", nodeId=body))["outerHTML"]
        box = await tab.call("DOM.querySelector", nodeId=root, selector="noscript p")

        assert box["nodeId"]
        assert await tab.complaints() == []
    for fact in ("2,000", "Latency percentiles", "NotFoundError (404)", "The charts need JavaScript"):
        assert fact in told


async def test_charts_follow_the_window_and_the_colour_scheme(browser: str, page: Path) -> None:
    async with shown(browser, page) as tab:
        await drawn(tab)

        await tab.call("Emulation.setDeviceMetricsOverride", width=500, height=900, deviceScaleFactor=1, mobile=False)
        await tab.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "dark"}])

        await until(tab, "document.querySelector('#chart-latency svg').clientWidth < 500")
        await until(tab, "getComputedStyle(document.querySelector('.xtitle')).fill === 'rgb(230, 234, 239)'")
        assert await tab.complaints() == []


async def test_on_paper_the_charts_are_light_and_fit(browser: str, page: Path) -> None:
    async with shown(browser, page, dark=True) as tab:
        await drawn(tab)

        await tab.look("dispatchEvent(new Event('beforeprint'))")
        on_paper = await tab.look("getComputedStyle(document.querySelector('.xtitle')).fill")
        widths = await tab.look("[...document.querySelectorAll('.main-svg')].map(s => s.clientWidth)")
        await tab.look("dispatchEvent(new Event('afterprint'))")
        paper = await tab.call("Page.printToPDF", printBackground=True)
        fits = "(chart) => chart.clientWidth === chart.querySelector('svg').clientWidth"
        await until(tab, f"[...document.querySelectorAll('.chart')].every({fits})")
        await until(tab, "getComputedStyle(document.querySelector('.xtitle')).fill === 'rgb(230, 234, 239)'")

        assert await tab.complaints() == []
    assert on_paper == "rgb(27, 33, 40)"
    assert set(widths) == {660}
    assert base64.b64decode(paper["data"]).startswith(b"%PDF")


async def test_a_real_run_is_told_without_a_word_of_its_rows(browser: str, fake_spot: FakeSpot, tmp_path: Path) -> None:
    kit_ids = [f"SPOTQ{n}" for n in range(200)]
    fake_spot.kits.add_many(kit_ids[:-5])
    fake_spot.faults.random(0.1, seed=3, kinds=["429", "503", faults.slow_answer(0.01)])
    loop = asyncio.get_running_loop()
    run_stats = RunStory({"concurrency": 16}, loop.time())
    async with fake_spot.client() as spot:
        rows = [MetadataUpdate(kit_id, {"surname": "Quisling"}) for kit_id in [*kit_ids, ""]]
        outcomes = spot.kits.update_metadata_many(
            rows, concurrency=16, progress=lambda progress: run_stats.note(progress, loop.time())
        )
        async for outcome in outcomes:
            run_stats.add(outcome, loop.time())
    run_stats.finish(loop.time())
    path = tmp_path / "run.html"
    write_report(path, run_stats)

    async with shown(browser, path) as tab:
        await drawn(tab)

        assert await tab.complaints() == []
        told = await tab.look("document.querySelector('main').innerText")
    text = path.read_text(encoding="utf-8")
    # Of the five kits that do not exist, some may have met a 503 first: nobody knows what that attempt has done.
    not_found = run_stats.counts["failed"] + run_stats.counts["unknown"]
    assert (run_stats.counts["ok"], run_stats.counts["rejected"], not_found) == (195, 1, 5)
    assert "201 rows in" in told
    assert "NotFoundError (404)" in told
    assert not [word for word in ("SPOTQ", "Quisling", "surname", fake_spot.token) if word in text]
