"""The charts of a run, each one SVG: counts and times in, markup out, and no text from the run.

Everything that a colour shows is also shown by a pattern, a label or a separate panel.
"""

from collections.abc import Sequence
from itertools import pairwise

from spotdx_async.report.drawing import (
    AXIS_HEIGHT,
    LINE_HEIGHT,
    Panel,
    drawing,
    joined,
    line,
    pattern,
    percent,
    placed,
    rectangle,
    steps,
    text,
    x_axis,
)
from spotdx_async.report.markup import Html, counted, duration, element, latency, rate
from spotdx_async.report.run_stats import Period, RunStory
from spotdx_async.report.scales import Scale, bins, linear, logarithmic, time_unit
from spotdx_async.report.series import Histogram, Span

_LEAST_POINTS, _MOST_POINTS, _ROWS_PER_POINT = 20, 150, 10
_WIDE_RANGE = 30
_SECONDS_FROM_S = 10
_BAR_TOP, _BAR_HEIGHT = LINE_HEIGHT + 4, 30
_MIDDLE = 0.5
_PERCENTS = (50, 95, 99)
_BEFORE = "done before"
_HATCHES: dict[str, str] = {
    "ok": "",
    _BEFORE: "M3 2H5M-1 6H1M7 6H9",
    "rejected": "M0 4H8",
    "failed": "M-1 1L1-1M0 8L8 0M7 9L9 7",
    "unknown": "M0 0L8 8M0 8L8 0",
    "superseded": "M4 0V8",
    "skipped": "M3 4H5",
}
_PAUSE_HATCH = "M-1 7L1 9M0 0L8 8M7-1L9 1"


def outcome_chart(run_stats: RunStory) -> Html | None:
    """Return one bar of all rows, divided by state, each part with its label; None without any row."""
    if not run_stats.rows:
        return None
    counts = _parts_of(run_stats)
    says = {state: f"{state}: {count:,} ({count / run_stats.rows:.2%})" for state, count in counts.items()}
    parts, ends, left = [], {}, 0.0
    for state, count in counts.items():
        right = left + count / run_stats.rows
        # Even one row in a million is visible, since the outline is drawn however narrow the part is.
        style = {"fill": f"url(#state-{_css(state)})", "class_": f"part {_css(state)}"}
        parts.append(rectangle(left, right, _BAR_TOP, _BAR_HEIGHT, says[state], **style))
        ends[state], left = (left, right), right
    labels = _state_labels(says, ends)
    height = _BAR_TOP + _BAR_HEIGHT + LINE_HEIGHT * (len(counts) - 1) + 12
    fills = (pattern(f"state-{_css(state)}", f"fill {_css(state)}", _HATCHES[state]) for state in counts)
    patterns = element("defs", *fills)
    told = f"One bar, divided into {', '.join(says.values())}."
    return drawing("outcomes", "Rows by outcome", told, height, patterns, *parts, *labels)


def _parts_of(run_stats: RunStory) -> dict[str, int]:
    """Return how many rows each part of the bar stands for: rows done before are done, and follow those of this run."""
    before = run_stats.done_before
    counts: dict[str, int] = {"ok": 0, _BEFORE: before}
    counts.update((state, count) for state, count in run_stats.counts.items())
    counts["skipped"] -= before
    return {part: count for part, count in counts.items() if count}


def _css(part: str) -> str:
    return "before" if part == _BEFORE else part


def _state_labels(says: dict[str, str], ends: dict[str, tuple[float, float]]) -> list[Html]:
    """Return labels: the largest part's above the bar, the others' below it, each on its own line with a leader."""
    largest = max(ends, key=lambda state: ends[state][1] - ends[state][0])
    left, right = ends[largest]
    is_on_left = left <= 1 - right
    anchor = {"text_anchor": "start" if is_on_left else "end", "class_": "label"}
    labels, leaders = [text(says[largest], percent(left if is_on_left else right), LINE_HEIGHT - 4, **anchor)], []
    middles = {state: sum(ends[state]) / 2 for state in ends if state != largest}
    # A label is on the roomier side of its leader. In this order no leader crosses a label in its own half; the halo of
    # the labels takes care of the rest.
    right_half = [state for state in middles if middles[state] > _MIDDLE]
    left_half = [state for state in reversed(middles) if middles[state] <= _MIDDLE]
    for at, state in enumerate((*right_half, *left_half)):
        x, y = percent(middles[state]), _BAR_TOP + _BAR_HEIGHT + 3 + LINE_HEIGHT * (at + 1)
        leaders.append(element("line", x1=x, x2=x, y1=_BAR_TOP + _BAR_HEIGHT + 1, y2=y, class_="leader"))
        side = {"dx": -6, "text_anchor": "end"} if state in right_half else {"dx": 6}
        labels.append(text(says[state], x, y, class_="label", **side))
    return leaders + labels


def throughput_chart(run_stats: RunStory) -> Html | None:
    """Return rows per second over time; below, if there were any, retries and 429s. None without any row."""
    if not run_stats.rows:
        return None
    spans = _spans(run_stats)
    across = _time_scale(run_stats)
    edges = [across.share(span.start_s) for span in spans] + [across.share(spans[-1].start_s + spans[-1].width_s)]
    each = f"per {duration(spans[0].width_s)}"
    panels: list[Panel] = []
    for heading, colour, values, height, least_step in (
        ("ok, rows per second", "ok", [span.ok / span.width_s for span in spans], 150, 0),
        ("done before, rows per second", "before", [span.before / span.width_s for span in spans], 64, 0),
        ("other outcomes, rows per second", "failed", [span.other / span.width_s for span in spans], 64, 0),
        (f"retries {each}", "load", [span.retries for span in spans], 48, 1),
        (f"429 answers {each}", "load", [span.throttled for span in spans], 48, 1),
    ):
        if any(values) or not panels:
            scale = linear(max(values), height // 32 + 1, least_step=least_step)
            panels.append(Panel(heading, scale, height, steps(edges, values, scale, height, colour)))
    fastest = max(spans[:-1] or spans, key=lambda span: span.rows / span.width_s)
    told = (
        f"{rate(run_stats.rows, run_stats.elapsed_s)} rows per second on average, at most "
        f"{rate(fastest.rows, fastest.width_s)}; {counted(run_stats.outages.count, 'pause')}, "
        f"{duration(run_stats.outages.total_s)} in all; 429 {counted(run_stats.throttled, 'time')}."
    )
    return _over_time(run_stats, ("throughput", "Throughput over time", told), panels, spans)


def latency_chart(run_stats: RunStory) -> Html | None:
    """Return the server's time over time, 50 % and 95 %; None if no request was timed."""
    spans = _spans(run_stats)
    series = {"slow": [span.p95_s for span in spans], "half": [span.p50_s for span in spans]}
    known = [time_s for times in series.values() for time_s in times if time_s is not None]
    if not known:
        return None
    unit, unit_s = _latency_unit(max(known))
    if is_log := max(known) > _WIDE_RANGE * min(known):
        scale = logarithmic(min(known) / unit_s, max(known) / unit_s, 8).times(unit_s)
    else:
        scale = linear(max(known) / unit_s, 5).times(unit_s)
    across, height = _time_scale(run_stats), 170
    middles = [across.share(span.start_s + span.width_s / 2) for span in spans]
    marks = [piece for name, times in series.items() for piece in line(middles, times, scale, height, name)]
    last = {name: next(time_s for time_s in reversed(times) if time_s is not None) for name, times in series.items()}
    slow_y, half_y = (height * (1 - scale.share(last[name])) for name in ("slow", "half"))
    apart = max(0.0, LINE_HEIGHT - (half_y - slow_y)) / 2  # labels of lines that end close to each other
    for says, y, name in (("95 %", slow_y - apart, "slow"), ("50 %", half_y + apart, "half")):
        marks.append(text(says, "100%", y, dx=6, dy="0.35em", class_=f"label {name}"))
    heading = f"server's time, {unit}{' (log scale)' if is_log else ''}"
    told = (
        "Two lines over time: the time within which half of the rows, and 95 % of them, were answered. "
        f"Over the whole run: {_percentiles(run_stats.server_times)}."
    )
    panels = [Panel(heading, scale, height, joined(marks), unit_s)]
    return _over_time(run_stats, ("latency", "Latency over time", told), panels, spans)


def latency_bins(times: Histogram) -> tuple[Scale, list[int]]:
    """Return the edges of the histogram's bins, in seconds, and the rows in each; there must be some."""
    edges = bins(times.min_s, times.max_s)
    return edges, times.bins(edges.ticks)


def latency_histogram(run_stats: RunStory) -> Html | None:
    """Return how many rows were answered in what time, with percentiles; None if no request was timed."""
    times = run_stats.server_times
    if not times.count:
        return None
    edges, counts = latency_bins(times)
    unit, unit_s = _latency_unit(edges.high)
    low, high = edges.low / unit_s, edges.high / unit_s
    across = (logarithmic(low, high, 10) if edges.is_log else linear(high, 8, low=low)).times(unit_s)
    up, height, top = linear(max(counts), 4, least_step=1), 150, LINE_HEIGHT * len(_PERCENTS)
    bars = []
    for (from_s, to_s), count in zip(pairwise(edges.ticks), counts, strict=True):
        tall = max(1.5, height * up.share(count))
        hint = f"{latency(from_s)} to {latency(to_s)}: {counted(count, 'row')}"
        if count:
            bars.append(
                rectangle(across.share(from_s), across.share(to_s), height - tall, tall, hint, class_="bar half")
            )
    panel = Panel("rows", up, height, joined(bars))
    base = top + panel.whole_height
    title = f"server's time, {unit}{' (log scale)' if edges.is_log else ''}"
    marks = _percentile_marks(times, across, base)
    told = f"Rows by the time in which the server answered: {_percentiles(times)}."
    inner = (placed(top, panel.whole_height, panel.drawn()), *marks, x_axis(across, title, base, unit_s))
    return drawing("histogram", "Latency histogram", told, base + AXIS_HEIGHT, *inner)


def _percentile_marks(times: Histogram, across: Scale, base: float) -> list[Html]:
    places = {share: across.share(times.percentile(share) or 0.0) for share in _PERCENTS}
    # In this order no mark crosses a label in its own half; the halo of the labels takes care of the rest.
    right_half = [share for share in reversed(_PERCENTS) if places[share] > _MIDDLE]
    left_half = [share for share in _PERCENTS if places[share] <= _MIDDLE]
    lines, labels = [], []
    for at, share in enumerate((*right_half, *left_half)):
        x, y = percent(places[share]), LINE_HEIGHT * (at + 1) - 4
        lines.append(element("line", x1=x, x2=x, y1=y - 10, y2=base, class_="mark"))
        side = {"dx": -5, "text_anchor": "end"} if share in right_half else {"dx": 5}
        labels.append(text(f"{share} %: {latency(times.percentile(share))}", x, y, class_="label", **side))
    return lines + labels


def _over_time(
    run_stats: RunStory, name_title_told: tuple[str, str, str], panels: list[Panel], spans: list[Span]
) -> Html:
    """Return panels above one time axis, with the pauses behind them all and a hint for each span before them."""
    name, title, told = name_title_told
    across, periods = _time_scale(run_stats), run_stats.outages.periods
    unit, unit_s = time_unit(run_stats.elapsed_s)
    top = LINE_HEIGHT + 4 if periods else 0
    base = top + sum(panel.whole_height for panel in panels)
    pieces = [
        element("defs", pattern(f"pause-{name}", "fill paused", _PAUSE_HATCH)),
        *_pauses(name, periods, across, base),
    ]
    below = top
    for panel in panels:
        pieces.append(placed(below, panel.whole_height, panel.drawn()))
        below += panel.whole_height
    for span in spans:
        left, right = across.share(span.start_s), across.share(span.start_s + span.width_s)
        pieces.append(rectangle(left, right, top, base - top, _hint(span, periods), class_="zone"))
    pieces.append(x_axis(across, f"time since the start, {unit}", base, unit_s))
    return drawing(name, title, told, base + AXIS_HEIGHT, *pieces)


def _pauses(name: str, periods: Sequence[Period], across: Scale, base: float) -> list[Html]:
    if not periods:
        return []
    shown = [(across.share(one.start_s), across.share(one.end_s), duration(one.end_s - one.start_s)) for one in periods]
    pieces = []
    for left, right, length in shown:
        style = {"fill": f"url(#pause-{name})", "class_": "pause"}
        pieces.append(rectangle(left, right, LINE_HEIGHT, base - LINE_HEIGHT, f"paused for {length}", **style))
    left, right, length = max(shown, key=lambda one: one[1] - one[0])
    middle = (left + right) / 2
    anchor = "start" if middle < 0.2 else "end" if middle > 0.8 else "middle"  # noqa: PLR2004 - near the ends
    place = percent({"start": left, "middle": middle, "end": right}[anchor])
    return [*pieces, text(f"paused for {length}", place, LINE_HEIGHT - 5, text_anchor=anchor, class_="label")]


def _hint(span: Span, periods: Sequence[Period]) -> str:
    end_s = span.start_s + span.width_s
    parts = [f"{rate(span.ok, span.width_s)} rows/s ok"]
    parts += [f"{rate(span.other, span.width_s)} rows/s other"] * bool(span.other)
    parts += [f"{counted(span.retries, 'request')} repeated"] * bool(span.retries)
    parts += [f"429 {counted(span.throttled, 'time')}"] * bool(span.throttled)
    if span.p50_s is not None:
        parts.append(f"50 % within {latency(span.p50_s)}, 95 % within {latency(span.p95_s)}")
    if any(one.start_s < end_s and one.end_s > span.start_s for one in periods):
        parts.append("paused")
    return f"{duration(span.start_s)} to {duration(end_s)}: {', '.join(parts)}"


def _percentiles(times: Histogram) -> str:
    return ", ".join(f"{share} % within {latency(times.percentile(share))}" for share in _PERCENTS)


def _spans(run_stats: RunStory) -> list[Span]:
    """Return the spans of a chart: fewer for few rows, since a rate over two or three rows is mere noise."""
    most = max(_LEAST_POINTS, min(_MOST_POINTS, run_stats.rows // _ROWS_PER_POINT))
    return run_stats.timeline.spans(run_stats.elapsed_s, most)


def _time_scale(run_stats: RunStory) -> Scale:
    _, unit_s = time_unit(run_stats.elapsed_s)
    end_s = max(run_stats.elapsed_s, run_stats.timeline.width_s)
    return linear(end_s / unit_s, 10, is_rounded=False).times(unit_s)


def _latency_unit(longest_s: float) -> tuple[str, float]:
    return ("seconds", 1.0) if longest_s >= _SECONDS_FROM_S else ("milliseconds", 0.001)
