"""Each chart is one well-formed SVG that shows its numbers, for whatever run, and no text of a row."""

import re
import xml.etree.ElementTree as ET
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from spotdx_async.bulk.records import STATES, Outcome, Progress
from spotdx_async.errors import InvalidInputError, NotFoundError
from spotdx_async.report import RunStory, render
from spotdx_async.report.charts import (
    latency_bins,
    latency_chart,
    latency_histogram,
    outcome_chart,
    throughput_chart,
)

CHARTS = (outcome_chart, throughput_chart, latency_chart, latency_histogram)
CANARY = "Quisling-7f3a"
seconds = st.floats(min_value=0, max_value=1e9)
rows = st.lists(
    st.tuples(st.sampled_from(STATES), seconds, st.one_of(st.just(0.0), seconds), st.integers(0, 5)), max_size=30
)
pauses = st.lists(st.tuples(seconds, st.booleans(), st.integers(0, 10**12)), max_size=10)


def note(run_stats: RunStory, now_s: float, *, throttled: int = 0, is_paused: bool = False) -> None:
    progress = Progress(
        done=0,
        by_state={},
        rate=0,
        eta_s=None,
        throttled=throttled,
        is_paused=is_paused,
        elapsed_s=now_s,
        total=None,
    )
    run_stats.note(progress, now_s)


def ok_rows(*request_times_s: float, each_s: float = 1.0) -> RunStory:
    run_stats = RunStory({}, 0.0)
    for n, request_s in enumerate(request_times_s):
        run_stats.add(Outcome(index=n, key=None, state="ok", attempts=1, request_s=request_s), n * each_s)
    run_stats.finish(len(request_times_s) * each_s)
    return run_stats


def drawn(chart: str | None) -> ET.Element:
    assert chart is not None
    return ET.fromstring(chart)  # noqa: S314 - our own


def words(picture: ET.Element, class_: str | None = None) -> list[str]:
    texts = picture.iter("text")
    return [node.text or "" for node in texts if class_ is None or class_ in node.get("class", "").split()]


def hints(picture: ET.Element, class_: str) -> list[str]:
    shapes = [node for node in picture.iter("rect") if class_ in node.get("class", "").split()]
    return [node.findtext("title") or "" for node in shapes]


@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(rows=rows, pauses=pauses, end_s=seconds)
def test_whatever_the_run_was_its_charts_are_well_formed_and_show_nothing_of_a_row(
    rows: list[tuple[Any, float, float, int]], pauses: list[tuple[float, bool, int]], end_s: float
) -> None:
    run_stats = RunStory({"token": CANARY}, 0.0)
    for n, (state, now_s, request_s, attempts) in enumerate(rows):
        error = None if state == "ok" else NotFoundError(CANARY, status=404, details=(CANARY,))
        about: dict[str, Any] = {"attempts": attempts, "request_s": request_s, "elapsed_s": request_s, "error": error}
        run_stats.add(Outcome(index=n, key=CANARY, state=state, **about), now_s)
    for now_s, is_paused, throttled in pauses:
        note(run_stats, now_s, throttled=throttled, is_paused=is_paused)
    run_stats.finish(end_s, CANARY)

    for chart in CHARTS:
        picture = chart(run_stats)
        if picture is None:
            continue
        root = drawn(picture)
        assert (root.tag, root.get("role")) == ("svg", "img")
        assert root.findtext("title")
        assert root.findtext("desc")
        assert not re.search(r"(?i)\bnan\b|\binf\b", picture)
        assert CANARY not in picture
        assert "style=" not in picture
        for node in root.iter():
            for name in ("width", "height"):
                assert not node.get(name, "").startswith("-")


@pytest.mark.parametrize("chart", CHARTS)
def test_without_rows_there_is_no_chart(chart: Any) -> None:
    run_stats = RunStory({}, 0.0)
    run_stats.finish(0.0)

    assert chart(run_stats) is None


# --- Outcomes ---------------------------------------------------------------------------------------------------------


def rows_by_state(**counts: int) -> RunStory:
    run_stats = RunStory({}, 0.0)
    for state, count in counts.items():
        run_stats.counts[state] = count  # type: ignore[index]  # a state
    run_stats.finish(1.0)
    return run_stats


def test_each_state_is_a_part_of_the_bar_as_long_as_its_share() -> None:
    picture = drawn(outcome_chart(rows_by_state(ok=960, failed=30, unknown=10)))

    parts = [node for node in picture.iter("rect") if "part" in node.get("class", "").split()]
    assert [(node.get("x"), node.get("width")) for node in parts] == [("0%", "96%"), ("96%", "3%"), ("99%", "1%")]
    assert hints(picture, "part") == words(picture, "label")[:1] + words(picture, "label")[1:]
    assert words(picture) == ["ok: 960 (96.00%)", "failed: 30 (3.00%)", "unknown: 10 (1.00%)"]


def test_each_state_has_a_pattern_of_its_own() -> None:
    picture = drawn(outcome_chart(rows_by_state(**dict.fromkeys(STATES, 5))))

    hatches = [node.find("path") for node in picture.iter("pattern")]
    assert len({None if hatch is None else hatch.get("d") for hatch in hatches}) == len(STATES)


@given(st.lists(st.integers(0, 10**7), min_size=len(STATES), max_size=len(STATES)).filter(any))
def test_every_label_of_the_bar_has_a_line_of_its_own(counts: list[int]) -> None:
    picture = drawn(outcome_chart(rows_by_state(**dict(zip(STATES, counts, strict=True)))))

    tops = [node.get("y") for node in picture.iter("text")]
    assert len(tops) == len({*tops}) == sum(count > 0 for count in counts)


# --- Over time --------------------------------------------------------------------------------------------------------


def test_what_did_not_occur_has_no_panel() -> None:
    assert words(drawn(throughput_chart(ok_rows(0.1, 0.1))), "heading") == [
        "ok, rows per second",
        "time since the start, seconds",
    ]


def test_other_outcomes_retries_and_429s_have_a_panel_each() -> None:
    run_stats = RunStory({}, 0.0)
    for n in range(100):
        run_stats.add(Outcome(index=n, key=None, state="ok", attempts=1 + (n == 40), request_s=0.1), float(n))
    run_stats.add(Outcome(index=100, key=None, state="rejected", error=InvalidInputError("no")), 50.0)
    note(run_stats, 60.0, throttled=7)
    run_stats.finish(100.0)

    picture = drawn(throughput_chart(run_stats))

    assert words(picture, "heading") == [
        "ok, rows per second",
        "other outcomes, rows per second",
        "retries per 8 s",
        "429 answers per 8 s",
        "time since the start, seconds",
    ]
    zones = hints(picture, "zone")
    assert zones[5] == "40 s to 48 s: 1 rows/s ok, 1 request repeated, 50 % within 102 ms, 95 % within 102 ms"
    assert zones[6].startswith("48 s to 56 s: 1 rows/s ok, 0.125 rows/s other, ")
    assert "429 7 times" in zones[7]


def test_the_steps_are_as_high_as_the_rate() -> None:
    run_stats = RunStory({}, 0.0)
    for n in range(60):
        run_stats.add(Outcome(index=n, key=None, state="ok"), 0.0 if n < 40 else 1.5)
    run_stats.finish(2.0)

    picture = drawn(throughput_chart(run_stats))

    area = next(node for node in picture.iter("path") if node.get("class") == "area ok")
    # 40 rows in the first eighth of a second are 320 a second, and the axis ends at 400; 20 rows are half as many.
    assert area.get("d") == (
        "M0 150V30H62.5V150H125V150H187.5V150H250V150H312.5V150H375V150H437.5V150H500V150H562.5V150H625V150H687.5V150"
        "H750V90H812.5V150H875V150H937.5V150H1000V150H1000V150Z"
    )


def test_pauses_are_hatched_and_the_longest_is_named() -> None:
    run_stats = ok_rows(*[0.1] * 100)
    for since_s, until_s in ((20.0, 22.0), (60.0, 70.0)):
        run_stats.outages.note(since_s, is_paused=True)
        run_stats.outages.note(until_s, is_paused=False)

    for chart in (throughput_chart, latency_chart):
        picture = drawn(chart(run_stats))

        places = [
            (node.get("x"), node.get("width"), node.findtext("title"))
            for node in picture.iter("rect")
            if node.get("class") == "pause"
        ]
        assert places == [("20%", "2%", "paused for 2 s"), ("60%", "10%", "paused for 10 s")]
        assert "paused for 10 s" in words(picture, "label")
        assert sum(hint.endswith(", paused") for hint in hints(picture, "zone")) >= 2


def test_a_wide_range_of_latencies_has_a_log_scale() -> None:
    assert "server's time, milliseconds (log scale)" in words(drawn(latency_chart(ok_rows(0.01, 0.02, 9.0))))
    assert "server's time, milliseconds" in words(drawn(latency_chart(ok_rows(0.01, 0.02))))
    assert "server's time, seconds" in words(drawn(latency_chart(ok_rows(10.0, 20.0))))


def test_a_latency_alone_is_a_dot_and_the_labels_of_equal_ones_stand_apart() -> None:
    picture = drawn(latency_chart(ok_rows(0.1)))

    assert [node.get("class") for node in picture.iter("circle")] == ["dot slow", "dot half"]
    assert [node.get("class") for node in picture.iter("path")] == ["hatch"]
    slow, half = (float(node.get("y", "")) for node in picture.iter("text") if node.text in {"95 %", "50 %"})
    assert half - slow == pytest.approx(18)


def test_a_line_is_interrupted_where_nothing_was_timed() -> None:
    picture = drawn(latency_chart(ok_rows(*[0.1] * 5, *[0.0] * 5, *[0.1] * 5)))

    paths = [node.get("d", "") for node in picture.iter("path") if "line" in node.get("class", "")]
    assert [path.count("M") for path in paths] == [2, 2]


# --- The histogram ----------------------------------------------------------------------------------------------------


def test_the_bins_are_round_and_hold_every_row() -> None:
    run_stats = ok_rows(*(0.05 + n / 1000 for n in range(100)))

    edges, counts = latency_bins(run_stats.server_times)
    picture = drawn(latency_histogram(run_stats))

    assert edges.ticks == pytest.approx([0.045 + 0.005 * n for n in range(22)])
    assert sum(counts) == 100
    bars = hints(picture, "bar")
    assert [bar.partition(":")[0] for bar in bars[:3]] == ["50 ms to 55 ms", "55 ms to 60 ms", "60 ms to 65 ms"]
    assert len(bars) == sum(count > 0 for count in counts)


def test_percentiles_are_marked_each_on_a_line_of_its_own() -> None:
    picture = drawn(latency_histogram(ok_rows(*(0.01 * 1.05**n for n in range(100)))))

    labels = [node for node in picture.iter("text") if node.get("class") == "label"]
    assert sorted(node.text.partition(":")[0] for node in labels if node.text) == ["50 %", "95 %", "99 %"]
    assert len({node.get("y") for node in labels}) == 3
    assert sum(node.get("class") == "mark" for node in picture.iter("line")) == 3


def test_the_page_of_a_very_long_run_is_small() -> None:
    run_stats = RunStory({}, 0.0)
    for n in range(20_000):
        state = STATES[n % len(STATES)]
        error = NotFoundError(f"reason {n} {'x' * 300}", status=404) if n % 5 else None
        run_stats.add(
            Outcome(index=n, key=None, state=state, attempts=2, request_s=0.001 * 1.001 ** (n % 9000), error=error),
            n * 40.0,
        )
        note(run_stats, n * 40.0, throttled=n, is_paused=n % 2 == 0)
    run_stats.finish(800_000.0)

    assert len(render(run_stats).encode()) < 200_000
