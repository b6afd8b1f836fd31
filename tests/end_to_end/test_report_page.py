"""The report in a real browser: headless Chromium, told what to do by its DevTools protocol, with the network off."""

import asyncio
import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from spotdx_async import MetadataUpdate
from spotdx_async.bulk.records import Outcome, Progress
from spotdx_async.errors import NotFoundError, OutcomeUnknownError
from spotdx_async.report import Creates, RunStory, write_report
from spotdx_async.testing import FakeSpot, faults
from tests.browser import Tab, shown, started_browser

HOSTILE = "</script></title><script>document.title='broken'</script><img src=x onerror=\"document.title='broken'\">"


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with started_browser(tmp_path_factory.mktemp("browser")) as url:
        yield url


IN_PAGE = """
const svgs = [...document.querySelectorAll('svg.chart')];
const colour = (text) => text.match(/[\\d.]+/g).map(Number);
const luminance = (rgb) => {
  const [r, g, b] = rgb.map((part) => (part /= 255) <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4);
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const contrast = (one, other) => {
  const [low, high] = [one, other].map((text) => luminance(colour(text).slice(0, 3))).sort((a, b) => a - b);
  return (high + 0.05) / (low + 0.05);
};
const card = getComputedStyle(document.querySelector('section')).backgroundColor;
const shown = (nodes) => nodes.filter((node) => node.getClientRects().length);
const within = (selector) => shown(svgs.flatMap((svg) => [...svg.querySelectorAll(selector)]));
"""


async def ask(tab: Tab, expression: str) -> Any:
    """Evaluate an expression that may use the names above."""
    return await tab.look(f"(() => {{ {IN_PAGE} return {expression}; }})()")


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
    foreign = (
        "<script>document.title='broken'</script><style>h1 { display: none }</style>"
        "<img src='https://example.invalid/x.png'></main>"
    )
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
        count = """(selector) => [...document.querySelectorAll(selector)]
            .map((node) => node.getBoundingClientRect())
            .filter((box) => box.width > 0 || box.height > 0).length"""

        assert await tab.look(f"({count})('#chart-outcomes .part')") == 3
        assert await tab.look(f"({count})('#chart-throughput .area')") == 3
        assert await tab.look(f"({count})('#chart-throughput .pause')") == 1
        assert await tab.look(f"({count})('#chart-throughput .zone')") > 50
        assert await tab.look(f"({count})('#chart-latency .line')") == 2
        assert await tab.look(f"({count})('#chart-histogram .bar')") > 5
        assert await tab.look(f"({count})('#chart-histogram .mark')") == 3
        headings = await ask(tab, "within('.heading').map((node) => node.textContent)")
        roles = await tab.call("Accessibility.getFullAXTree")
    assert {"ok, rows per second", "time since the start, seconds", "server's time, milliseconds", "rows"} <= {
        *headings
    }
    pictures = [
        node for node in roles["nodes"] if node.get("role", {}).get("value") in {"image", "img", "graphics-document"}
    ]
    assert [node["name"]["value"] for node in pictures] == [
        "Rows by outcome",
        "Throughput over time",
        "Latency over time",
        "Latency histogram",
    ]
    assert all(node["description"]["value"] for node in pictures)


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [1440, 320])
async def test_nothing_is_fetched_or_complained_of_and_all_fits(
    browser: str, page: Path, width: int, dark: bool
) -> None:
    async with shown(browser, page, width=width, dark=dark) as tab:
        picture = await tab.picture()

        assert await tab.complaints() == []
        assert await tab.look("document.documentElement.scrollWidth") <= width
        assert await ask(tab, f"Math.max(...svgs.map((svg) => svg.clientWidth)) < {width}")
        assert await ask(tab, "svgs.length") == 4
        # No label of a chart is cut off by its figure, and none becomes small.
        cut_off = """within('text').filter((node) => {
            const [text, box] = [node, node.closest('figure')].map((one) => one.getBoundingClientRect());
            return text.left < box.left - 1 || text.right > box.right + 1;
        }).map((node) => node.textContent)"""
        assert await ask(tab, cut_off) == []
        assert (
            await ask(tab, "Math.min(...within('text').map((node) => parseFloat(getComputedStyle(node).fontSize)))")
            == 13
        )
    assert picture.startswith(b"\x89PNG")
    assert int.from_bytes(picture[16:20]) == width


@pytest.mark.parametrize("width", [1440, 320])
async def test_what_only_a_run_that_creates_has_fits_too(browser: str, tmp_path: Path, width: int) -> None:
    run_stats = RunStory({"concurrency": 8}, 0.0)
    run_stats.operation = "POST /api/v2/orders/"
    for n in range(400):
        state: Any = "unknown" if n % 100 == 99 else "skipped" if n < 90 else "ok"
        error = OutcomeUnknownError("looking has not settled it") if state == "unknown" else None
        run_stats.add(Outcome(index=n, key=f"P-{n}", state=state, error=error, request_s=0.2, elapsed_s=0.3), n / 10)
    run_stats.finish(175.0)
    batch = {"placed": 396, "in doubt, not looked for yet": 0, "in doubt, parked": 4, "failed": 0}
    pairs = (("O0000317", "O0000402"), ("O0000118", "O0000403"))
    run_stats.creates = Creates(done="placed", duplicates=pairs, batch=batch)
    write_report(tmp_path / "creates.html", run_stats)

    async with shown(browser, tmp_path / "creates.html", width=width) as tab:
        assert await tab.complaints() == []
        assert await tab.look("document.documentElement.scrollWidth") <= width
        captions = await ask(tab, "shown([...document.querySelectorAll('caption')]).map((node) => node.innerText)")
        titles = await tab.look("[...document.querySelectorAll('h2')].map((node) => node.innerText)")
        wide = "[...document.querySelectorAll('.wide')].filter((box) => box.scrollWidth > box.clientWidth)"
        labels = f"{wide}.map((box) => box.getAttribute('aria-label'))"
        assert not {"The whole batch, by its journal", "2 pairs with the same reference; none was cancelled"} & {
            *await tab.look(labels)
        }
    assert "What was placed" in titles
    assert {"The whole batch, by its journal", "2 pairs with the same reference; none was cancelled"} <= {*captions}


async def test_the_meanings_of_the_outcomes_need_no_scrolling_sideways_on_a_phone(browser: str, page: Path) -> None:
    async with shown(browser, page, width=320) as tab:
        box = "document.querySelector('[aria-label=\"Rows by outcome\"]')"
        millions = "for (const row of box.querySelectorAll('tbody tr')) row.cells[1].textContent = '5,000,000';"
        await tab.look(f"((box) => {{ {millions} }})({box})")
        assert await tab.look(f"{box}.scrollWidth") <= await tab.look(f"{box}.clientWidth")


@pytest.mark.parametrize("width", [1440, 320])
async def test_labels_of_an_axis_do_not_run_into_each_other(browser: str, page: Path, width: int) -> None:
    async with shown(browser, page, width=width) as tab:
        touching = """svgs.flatMap((svg) => [...svg.querySelectorAll('svg')]).flatMap((group) => {
            const labels = shown([...group.children].filter((node) => node.matches('text:not(.label)')));
            const boxes = labels.map((node) => node.getBoundingClientRect());
            const touch = (box, other) => box.left < other.right && other.left < box.right
                && box.top + 4 < other.bottom && other.top + 4 < box.bottom;
            return boxes.filter((box, at) => boxes.slice(at + 1).some((other) => touch(box, other)));
        }).length"""
        assert await ask(tab, touching) == 0


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
async def test_what_is_drawn_stands_out(browser: str, page: Path, dark: bool) -> None:
    async with shown(browser, page, dark=dark) as tab:
        texts = await ask(tab, "Math.min(...within('text').map((node) => contrast(getComputedStyle(node).fill, card)))")
        shapes = "within('.area, .bar, .dot').map((node) => contrast(getComputedStyle(node).fill, card))"
        lines = (
            "within('.line, .part, .pause, .axis, .mark').map((node) => contrast(getComputedStyle(node).stroke, card))"
        )
        graphics = await ask(tab, f"Math.min(...{shapes}, ...{lines})")
    assert texts >= 4.5
    assert graphics >= 3


async def test_hostile_words_are_shown_as_words(browser: str, page: Path) -> None:
    async with shown(browser, page) as tab:
        assert await tab.look("document.title") == "Bulk run report"
        assert await tab.look("document.querySelectorAll('img').length") == 0
        assert (await tab.look("document.querySelector('main').innerText")).count(HOSTILE) == 3


async def test_the_policy_keeps_out_a_script_a_style_and_a_picture_from_elsewhere(
    browser: str, page_with_foreign_parts: Path
) -> None:
    async with shown(browser, page_with_foreign_parts) as tab:
        assert await tab.look("document.title") == "Bulk run report"
        assert await tab.look("getComputedStyle(document.querySelector('h1')).display") == "block"
        complaints = await tab.complaints()
    for kind in ("script-src", "style-src", "img-src"):
        assert any(kind in complaint for complaint in complaints)


async def test_without_scripts_nothing_is_missing(browser: str, page: Path) -> None:
    async with shown(browser, page) as tab:
        with_scripts = await tab.picture()
    async with shown(browser, page, scripts=False) as tab:
        assert await tab.picture() == with_scripts
        assert await tab.complaints() == []


async def test_every_chart_has_a_table_that_says_the_same(browser: str, page: Path) -> None:
    async with shown(browser, page) as tab:
        await tab.look("document.querySelectorAll('details').forEach((node) => { node.open = true; })")
        captions = await ask(tab, "shown([...document.querySelectorAll('caption')]).map((node) => node.innerText)")
        assert await tab.look("document.documentElement.scrollWidth") <= 1280
    for caption in (
        "Rows by outcome",
        "Each ",
        "When the run was paused",
        "Latency percentiles",
        "The ok rows by",
    ):
        assert any(found.startswith(caption) for found in captions)


async def test_a_screen_reader_hears_what_a_chart_shows_and_none_of_its_pieces(browser: str, page: Path) -> None:
    async with shown(browser, page) as tab:
        nodes = (await tab.call("Accessibility.getFullAXTree"))["nodes"]

    heard = [node for node in nodes if not node["ignored"]]
    charts = [node for node in heard if node["role"]["value"] == "image"]
    assert len(charts) == 4
    assert all(node["name"]["value"] and node["description"]["value"] for node in charts)
    assert not [node["name"]["value"] for node in heard if node["role"]["value"].startswith("graphics")]
    inside = {child for node in charts for child in node.get("childIds", [])}
    assert not [node for node in heard if node["nodeId"] in inside]


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
async def test_charts_take_the_colours_that_a_reader_forces(browser: str, page: Path, dark: bool) -> None:
    async with shown(browser, page, dark=dark) as tab:
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        forced = {"name": "forced-colors", "value": "active"}
        await tab.call("Emulation.setEmulatedMedia", features=[scheme, forced])

        fills = await ask(tab, "[...new Set(within('text').map((node) => getComputedStyle(node).fill))]")
        halos = await ask(tab, "[...new Set(within('.label, .heading').map((node) => getComputedStyle(node).stroke))]")
        ink = await tab.look("getComputedStyle(document.querySelector('h1')).color")
        card = await ask(tab, "card")

    assert fills == [ink]
    assert halos == [card]


async def test_charts_follow_the_window_and_the_colour_scheme(browser: str, page: Path) -> None:
    async with shown(browser, page) as tab:
        await tab.call("Emulation.setDeviceMetricsOverride", width=500, height=900, deviceScaleFactor=1, mobile=False)
        await tab.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "dark"}])

        assert await tab.look("document.querySelector('#chart-latency').clientWidth") < 500
        assert await tab.look("getComputedStyle(document.querySelector('.heading')).fill") == "rgb(230, 234, 239)"
        assert await tab.complaints() == []


async def test_on_paper_the_charts_are_light_and_fit(browser: str, page: Path) -> None:
    async with shown(browser, page, dark=True) as tab:
        dark = {"name": "prefers-color-scheme", "value": "dark"}
        await tab.call("Emulation.setEmulatedMedia", media="print", features=[dark])
        await tab.call("Emulation.setDeviceMetricsOverride", width=660, height=900, deviceScaleFactor=1, mobile=False)

        assert await tab.look("getComputedStyle(document.querySelector('.heading')).fill") == "rgb(27, 33, 40)"
        assert await tab.look("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
        assert await tab.look("document.documentElement.scrollWidth") <= 660
        paper = await tab.call("Page.printToPDF", printBackground=False)
        assert await tab.complaints() == []
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
        assert await tab.complaints() == []
        told = await tab.look("document.querySelector('main').innerText")
    text = path.read_text(encoding="utf-8")
    # Of the five kits that do not exist, some may have met a 503 first: nobody knows what that attempt has done.
    not_found = run_stats.counts["failed"] + run_stats.counts["unknown"]
    assert (run_stats.counts["ok"], run_stats.counts["rejected"], not_found) == (195, 1, 5)
    assert "201 rows in" in told
    assert "NotFoundError (404)" in told
    assert not [word for word in ("SPOTQ", "Quisling", "surname", fake_spot.token) if word in text]
