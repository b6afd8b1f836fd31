"""The charts as plain data in the library's own form; no text of the run is in them, only numbers and our words.

A colour such as ``--ok`` is a variable of the page's style, which the page's script looks up for light, dark and paper.
"""

from typing import Any, TypeAlias

from spotdx_async.report.run_stats import STATES, RunStory
from spotdx_async.report.series import Span

__all__ = ["Figure", "latency_figure", "outcome_figure", "throughput_figure"]

Figure: TypeAlias = dict[str, Any]

_LEAST_POINTS, _MOST_POINTS, _ROWS_PER_POINT = 20, 150, 10
_WIDE_RANGE = 30
_MINUTES_FROM_S, _HOURS_FROM_S = 180, 3 * 3600


def outcome_figure(run_stats: RunStory) -> Figure | None:
    """Rows by state, a bar for each state that occurred; None without any."""
    states = [state for state in STATES if run_stats.counts[state]]
    if not states:
        return None
    counts = [run_stats.counts[state] for state in states]
    bars = {
        "type": "bar",
        "orientation": "h",
        "y": states,
        "x": counts,
        "text": [f"{count:,}" for count in counts],
        "textposition": "auto",
        "cliponaxis": False,
        "marker": {"color": [f"--{state}" for state in states]},
        "hovertemplate": "%{y}: %{x:,} rows<extra></extra>",
    }
    layout = _layout(height=80 + 40 * len(states), right=40)
    layout["xaxis"] = _axis("rows", rangemode="tozero", separatethousands=True, nticks=6)
    layout["yaxis"] = _axis(None, autorange="reversed", ticks="", fixedrange=True)
    layout["hovermode"] = "closest"
    return {"data": [bars], "layout": layout}


def throughput_figure(run_stats: RunStory) -> Figure | None:
    """Rows a second over time, outages shaded; 429s beneath, where there were any. None without any row."""
    spans = run_stats.timeline.spans(run_stats.elapsed_s, _points(run_stats))
    if not run_stats.rows:
        return None
    unit, unit_s = _unit(run_stats.elapsed_s)
    data = [
        _steps("done (ok)", "--ok", spans, [span.ok / span.width_s for span in spans], unit_s),
        _steps("any other outcome", "--failed", spans, [span.other / span.width_s for span in spans], unit_s),
    ]
    layout = _over_time(run_stats, unit, unit_s, height=340)
    layout["yaxis"] = _axis("rows per second", rangemode="tozero", nticks=6)
    if run_stats.throttled:
        data.append(_throttled(spans, unit_s))
        layout["height"] = 460
        layout["yaxis"]["domain"] = [0.4, 1]
        layout["yaxis2"] = _axis(f"429s per {spans[0].width_s:.3g} s", domain=[0, 0.25], rangemode="tozero", nticks=4)
        layout["xaxis"]["anchor"] = "y2"
    return {"data": data, "layout": layout}


def latency_figure(run_stats: RunStory) -> Figure | None:
    """The server's time over time, 50 % and 95 %, outages shaded; None where no request was measured."""
    spans = run_stats.timeline.spans(run_stats.elapsed_s, _points(run_stats))
    known = [time_s for span in spans for time_s in (span.p50_s, span.p95_s) if time_s is not None]
    if not known:
        return None
    unit, unit_s = _unit(run_stats.elapsed_s)
    layout = _over_time(run_stats, unit, unit_s, height=340)
    if max(known) > _WIDE_RANGE * min(known):
        layout["yaxis"] = _axis("milliseconds (log scale)", type="log", dtick="D2")
    else:
        layout["yaxis"] = _axis("milliseconds", rangemode="tozero", nticks=6)
    data = [
        _line("95 % of rows within", "--slow", spans, [span.p95_s for span in spans], unit_s),
        _line("half of the rows within", "--half", spans, [span.p50_s for span in spans], unit_s),
    ]
    return {"data": data, "layout": layout}


def _points(run_stats: RunStory) -> int:
    """Say how many points at most: fewer for few rows, since a rate over two or three rows is mere noise."""
    return max(_LEAST_POINTS, min(_MOST_POINTS, run_stats.rows // _ROWS_PER_POINT))


def _steps(name: str, colour: str, spans: list[Span], rates: list[float], unit_s: float) -> Figure:
    edges = [span.start_s / unit_s for span in spans]
    edges.append((spans[-1].start_s + spans[-1].width_s) / unit_s)
    return {
        "type": "scatter",
        "mode": "lines",
        "name": name,
        "stackgroup": "rows",
        "x": edges,
        "y": [*rates, rates[-1]],
        "line": {"shape": "hv", "width": 0},  # a line would show the upper area where it is empty
        "fillcolor": f"{colour}-fill",
        "hovertemplate": "%{y:,.3~r} rows/s",
    }


def _throttled(spans: list[Span], unit_s: float) -> Figure:
    return {
        "type": "bar",
        "name": "429s",
        "yaxis": "y2",
        "x": [_middle(span) / unit_s for span in spans],
        "y": [span.throttled for span in spans],
        "width": [span.width_s / unit_s for span in spans],
        "marker": {"color": "--unknown", "line": {"width": 0}},
        "hovertemplate": "%{y:,}",
    }


def _line(name: str, colour: str, spans: list[Span], times_s: list[float | None], unit_s: float) -> Figure:
    return {
        "type": "scatter",
        "mode": "lines+markers",
        "name": name,
        "x": [_middle(span) / unit_s for span in spans],
        "y": [None if time_s is None else time_s * 1000 for time_s in times_s],
        "line": {"width": 2, "color": colour},
        "marker": {"size": 4, "color": colour},
        "hovertemplate": "%{y:,.3~r} ms",
    }


def _middle(span: Span) -> float:
    return span.start_s + span.width_s / 2


def _over_time(run_stats: RunStory, unit: str, unit_s: float, *, height: int) -> Figure:
    layout = _layout(height=height)
    end = max(run_stats.elapsed_s, run_stats.timeline.width_s) / unit_s
    layout["xaxis"] = _axis(f"time since the start ({unit})", range=[0, end], nticks=10, hoverformat=".4~r")
    layout["shapes"] = [
        {
            "type": "rect",
            "xref": "x",
            "yref": "paper",
            "x0": period.start_s / unit_s,
            "x1": period.end_s / unit_s,
            "y0": 0,
            "y1": 1,
            "layer": "below",
            "fillcolor": "--outage",
            "line": {"width": 0},
            "name": "waiting for the server",
            "showlegend": at == 0,
        }
        for at, period in enumerate(run_stats.outages.periods)
    ]
    return layout


def _layout(*, height: int, right: int = 12) -> Figure:
    return {
        "height": height,
        "margin": {"l": 56, "r": right, "t": 36, "b": 48},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "font": {"family": "system-ui, sans-serif", "size": 13, "color": "--ink"},
        "hoverlabel": {"bgcolor": "--card", "bordercolor": "--rule", "font": {"color": "--ink"}},
        "hovermode": "x unified",
        "legend": {
            "orientation": "h",
            "x": 0,
            "y": 1.02,
            "xanchor": "left",
            "yanchor": "bottom",
            "traceorder": "normal",
        },
        "separators": ".,",
        "bargap": 0.35,
    }


def _axis(title: str | None, **options: Any) -> Figure:
    colours = {"gridcolor": "--rule", "linecolor": "--rule", "zerolinecolor": "--rule"}
    return {"title": {"text": title, "standoff": 10}, "automargin": True, **colours, **options}


def _unit(elapsed_s: float) -> tuple[str, float]:
    if elapsed_s < _MINUTES_FROM_S:
        return "seconds", 1.0
    return ("minutes", 60.0) if elapsed_s < _HOURS_FROM_S else ("hours", 3600.0)
