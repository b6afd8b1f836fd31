"""A finished run as one page of HTML that needs nothing else, and its file: whole or absent, its owner's alone.

Part by part it is a heading, a chart, and a table that says the same without it.
"""

import base64
import hashlib
import os
import platform
from collections.abc import Iterable, Iterator, Mapping
from importlib import metadata, resources
from itertools import pairwise
from pathlib import Path

from spotdx_async import private_files
from spotdx_async._version import __version__
from spotdx_async.bulk.records import DONE_BEFORE, FAILURES, MEANINGS, STATES, State
from spotdx_async.errors import InvalidInputError
from spotdx_async.report.charts import (
    latency_bins,
    latency_chart,
    latency_histogram,
    outcome_chart,
    throughput_chart,
)
from spotdx_async.report.markup import (
    Column,
    Html,
    counted,
    details,
    duration,
    element,
    escaped,
    figure,
    latency,
    rate,
    table,
)
from spotdx_async.report.run_stats import Creates, Reason, RunStory, Setting
from spotdx_async.report.series import Histogram

_PAGE_START = (
    '<!doctype html>\n<html lang="en">\n<meta charset="utf-8">\n<meta name="generator" content="spotdx_async">\n'
)
_TITLE = "Bulk run report"
_PERCENTS = (50, 90, 95, 99, 99.9)
_MOST_STRETCHES = 40
_MOST_PAIRS = 50


def render(story: RunStory) -> str:
    """Return the page of a run that has finished: under 200 kB, however long the run was."""
    style = Html((resources.files("spotdx_async.report") / "page.css").read_text(encoding="utf-8"))
    return "\n".join(
        (
            _PAGE_START + _policy(style),
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            '<link rel="icon" href="data:,">',
            element("title", escaped(_TITLE)),
            element("style", style),
            element("main", *_body(story)),
            "</html>\n",
        )
    )


def check_path(path: str | os.PathLike[str], *, others: Iterable[str | os.PathLike[str]] = ()) -> None:
    """Check, before a run, that its report can be written there; nothing is created or changed.

    An existing file must be empty or an earlier report, which the new one will replace.

    Args:
        path: where the report will be.
        others: files of the run that it must not be, such as its inputs; they need not exist yet.

    Raises:
        InvalidInputError: it cannot be created, or must not be replaced.
    """
    place = Path(path)
    try:
        fault = _fault(place, others)
    except OSError as error:
        fault = f"cannot be written: {error.strerror}"
    if fault is not None:
        raise InvalidInputError(f"the report {place} {fault}")
    private_files.warn_of_folder(place)


def write_report(path: str | os.PathLike[str], story: RunStory) -> None:
    """Write the page of a finished run, readable by its owner alone (mode 0600 from the first instant).

    Raises:
        InvalidInputError: the path cannot be used.
        OSError: the page could not be written, as on a full disk; a file that was there before is untouched.
    """
    check_path(path)
    private_files.replace(path, render(story).encode())


def _body(run_stats: RunStory) -> list[Html]:
    body = [element("h1", escaped(_TITLE)), element("p", escaped(summary_of(run_stats)), class_="sum")]
    if run_stats.operation is not None:
        body.insert(1, _quiet(f"Each row: {run_stats.operation}"))
    if run_stats.stopped is not None:
        body.append(element("p", escaped(f"The run stopped early: {run_stats.stopped}"), class_="stopped"))
    sections = (_outcomes, *([_creates] if run_stats.creates else []), _throughput, _latency, _reasons, _setup)
    return [*body, *(section(run_stats) for section in sections)]


def _policy(style: Html) -> str:
    # No script runs and nothing is loaded: even markup that slipped through escaping could do nothing. The only style
    # sheet is identified by its hash.
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    rules = f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; base-uri 'none'; form-action 'none'"
    return f'<meta http-equiv="Content-Security-Policy" content="{rules}">'


def _fault(place: Path, others: Iterable[str | os.PathLike[str]]) -> str | None:
    folder = place.parent
    if not folder.is_dir():
        return "cannot be written: there is no such folder"
    if any(_is_same(place, Path(other)) for other in others):
        return "would replace a file that the run itself uses"
    try:
        about = private_files.look(place)
    except private_files.UnfitFileError as error:
        return f"{error.strerror}: name another file"
    if not os.access(folder, os.W_OK | os.X_OK):
        return "cannot be written: its folder does not allow it"
    if about is not None and private_files.is_mounted(place):
        return "is mounted by itself, so it cannot be replaced: mount its folder instead"
    if about is not None and about.st_size and not _is_report(place):
        return "exists and is not an earlier report: name another file, or remove it"
    return None


def _is_same(place: Path, other: Path) -> bool:
    if place.exists() and other.exists():
        return place.samefile(other)
    return place.resolve() == other.resolve()


def _is_report(place: Path) -> bool:
    start = _PAGE_START.encode()
    with place.open("rb") as file:
        return file.read(len(start)) == start


def summary_of(run_stats: RunStory) -> str:
    """Return the run in two or three sentences."""
    counts, elapsed_s, creates = run_stats.counts, run_stats.elapsed_s, run_stats.creates
    failures, done = sum(counts[state] for state in FAILURES), "done" if creates is None else creates.done
    pace = f" ({rate(run_stats.rows, elapsed_s)} rows/s)" if run_stats.rows else ""
    parts = [f"{counted(run_stats.rows, 'row')} in {duration(elapsed_s)}{pace}: {counts['ok']:,} {done}"]
    others = [(counts["superseded"], "superseded"), (run_stats.done_before, f"{done} before")]
    others.append((counts["skipped"] - run_stats.done_before, "not sent"))
    if creates is not None:
        others.append((counts["unknown"], "in doubt"))
        failures -= counts["unknown"]
    parts += [f"{count:,} {what}" for count, what in others if count]
    parts.append(f"{failures:,} did not go through" if failures else "none failed")
    sentences = [", ".join(parts) + "."]
    if creates is not None and creates.duplicates:
        sentences.append(
            f"Created twice: {counted(len(creates.duplicates), 'pair')} of objects with the same reference."
        )
    if run_stats.outages.count:
        times, total = counted(run_stats.outages.count, "time"), duration(run_stats.outages.total_s)
        why = "" if run_stats.trouble is None else f"; last cause: {run_stats.trouble}"
        sentences.append(f"The run was paused {times} to wait for the server, {total} in all{why}.")
    if run_stats.throttled:
        sentences.append(f"The server answered 429 (too many requests) {counted(run_stats.throttled, 'time')}.")
    return " ".join(sentences)


def _section(title: str, *inner: Html) -> Html:
    return element("section", element("h2", escaped(title)), *inner)


def _quiet(text: str) -> Html:
    return element("p", escaped(text), class_="quiet")


def _outcomes(run_stats: RunStory) -> Html:
    columns = (Column("state"), Column("rows", is_number=True), Column("share", is_number=True), Column("meaning"))
    rows, meanings, left_out = max(run_stats.rows, 1), MEANINGS, {"skipped"}
    if run_stats.creates is not None:
        meanings, left_out = _meanings_of(run_stats.creates), {"skipped", "superseded"}
    counts: list[tuple[str, int, str]] = [
        (state, run_stats.counts[state], meanings[state]) for state in STATES if state not in left_out
    ]
    counts += [
        ("skipped: done before", run_stats.done_before, DONE_BEFORE),
        ("skipped: not sent", run_stats.counts["skipped"] - run_stats.done_before, meanings["skipped"]),
    ]
    cells = [(name, f"{count:,}", f"{count / rows:.2%}", meaning) for name, count, meaning in counts]
    shown = [table("Rows by outcome", columns, cells)]
    if (chart := outcome_chart(run_stats)) is not None:
        shown.insert(0, figure("All rows, divided by outcome", chart))
    return _section("Outcomes", element("div", *shown, class_="pair"))


def _meanings_of(creates: Creates) -> Mapping[State, str]:
    done = creates.done
    return {
        **MEANINGS,
        "ok": done,
        "failed": f"refused by the server, or certainly not {done}",
        "unknown": f"in doubt: perhaps {done}, and looking has not shown it; never sent again by itself",
    }


def _creates(run_stats: RunStory) -> Html:
    """Return what only a run that creates has: the whole batch, and what was created twice."""
    creates = run_stats.creates
    assert creates is not None  # noqa: S101 - for the type checker
    shown = []
    if creates.batch:
        columns = (Column("rows of the batch"), Column("rows", is_number=True))
        cells = [(name, f"{count:,}") for name, count in creates.batch.items()]
        shown.append(table("The whole batch, by its journal", columns, cells))
    if creates.duplicates:
        columns = (Column("first object"), Column("another with its reference"))
        pairs = creates.duplicates[:_MOST_PAIRS]
        more = "" if len(pairs) == len(creates.duplicates) else f", the first {_MOST_PAIRS} of them"
        caption = f"{counted(len(creates.duplicates), 'pair')} with the same reference{more}; none was cancelled"
        shown.append(table(caption, columns, pairs))
    body = [element("div", *shown, class_="pair")] if shown else []
    if creates.audit_error is not None:
        body.append(_quiet(f"Looking for what was created twice has failed: {creates.audit_error}"))
    elif not creates.is_audited:
        body.append(_quiet("What was created twice was not looked for at the end."))
    elif not creates.duplicates:
        body.append(_quiet("Looking for two objects with the same reference has found none."))
    return _section(f"What was {creates.done}", *body)


def _throughput(run_stats: RunStory) -> Html:
    chart = throughput_chart(run_stats)
    if chart is None:
        return _section("Throughput", _quiet("No row had an outcome."))
    caption = "Rows with an outcome, over time"
    hatched = "; hatched: the run was paused, waiting for the server" if run_stats.outages.periods else ""
    shown = [figure(caption + hatched, chart)]
    if not run_stats.throttled and not run_stats.outages.count:
        shown.append(_quiet("No 429 and no pause was reported."))
    shown.append(details("The run in figures", _stretches(run_stats)))
    if run_stats.outages.periods:
        shown.append(details("The pauses in figures", _outages(run_stats)))
    return _section("Throughput", *shown)


def _stretches(run_stats: RunStory) -> Html:
    titles = ("ok", "done before", "other", "retries", "429s", "50 % within", "95 % within")
    columns = (Column("from"), *(Column(title, is_number=True) for title in titles))
    spans = run_stats.timeline.spans(run_stats.elapsed_s, _MOST_STRETCHES)
    cells = [
        (
            duration(span.start_s),
            *(f"{count:,}" for count in (span.ok, span.before, span.other, span.retries, span.throttled)),
            *(latency(time_s) for time_s in (span.p50_s, span.p95_s)),
        )
        for span in spans
    ]
    return table(f"Each {duration(spans[0].width_s)} of the run; the times are the server's", columns, cells)


def _outages(run_stats: RunStory) -> Html:
    columns = (Column("from"), Column("to"), Column("length", is_number=True))
    cells = [
        (duration(period.start_s), duration(period.end_s), duration(period.end_s - period.start_s))
        for period in run_stats.outages.periods
    ]
    return table("When the run was paused, since its start", columns, cells)


def _latency(run_stats: RunStory) -> Html:
    if not run_stats.row_times.count and not run_stats.server_times.count:
        return _section("Latency", _quiet("No request was timed."))
    columns = (
        Column("ok rows"),
        Column("server's time", is_number=True),
        Column("row's time, waits included", is_number=True),
    )
    both = run_stats.server_times, run_stats.row_times
    cells = [
        (f"{percent:g} % within", *(latency(times.percentile(percent)) for times in both)) for percent in _PERCENTS
    ]
    cells.append(("longest", *(latency(_longest(times)) for times in both)))
    percentiles = table("Latency percentiles, to 1 %", columns, cells)
    chart, histogram = latency_chart(run_stats), latency_histogram(run_stats)
    if chart is None or histogram is None:
        return _section("Latency", percentiles)
    return _section(
        "Latency",
        figure(
            "The server's time for ok rows, from connection to last byte: 50 % and 95 % of rows took no longer", chart
        ),
        element(
            "div",
            figure("The ok rows by the server's time; dashed: percentiles", histogram),
            percentiles,
            class_="pair",
        ),
        details("The histogram in figures", _bins(run_stats.server_times)),
    )


def _bins(times: Histogram) -> Html:
    edges, counts = latency_bins(times)
    columns = (Column("from"), Column("to"), Column("rows", is_number=True), Column("share", is_number=True))
    cells = [
        (latency(from_s), latency(to_s), f"{count:,}", f"{count / times.count:.2%}")
        for (from_s, to_s), count in zip(pairwise(edges.ticks), counts, strict=True)
    ]
    return table("The ok rows by the server's time, to 1 %", columns, cells)


def _longest(times: Histogram) -> float | None:
    return times.max_s if times.count else None


def _reasons(run_stats: RunStory) -> Html:
    groups = run_stats.reasons.groups()
    if not groups:
        return _section("Reasons", _quiet("No row had an error."))
    columns = (Column("rows", is_number=True), Column("state and error"), Column("message"))
    cells = [(f"{count:,}", f"{reason.state}: {_error(reason)}", reason.text) for reason, count in groups]
    return _section("Reasons", table("Rows with an error, by what they have in common", columns, cells))


def _error(reason: Reason) -> str:
    about = [str(part) for part in (reason.status, reason.word) if part is not None]
    name = reason.error or "any"
    return f"{name} ({', '.join(about)})" if about else name


def _setup(run_stats: RunStory) -> Html:
    columns = (Column("setting"), Column("value"))
    settings = table("Settings", columns, [(name, _value(value)) for name, value in run_stats.settings.items()])
    versions = table("Versions", (Column("what"), Column("version")), _versions())
    pair = (settings, versions) if run_stats.settings else (versions,)
    return _section("Settings and versions", element("div", *pair, class_="pair"))


def _value(value: Setting) -> str:
    if value is None:
        return "not set"
    return ("yes" if value else "no") if isinstance(value, bool) else str(value)


def _versions() -> Iterator[tuple[str, str]]:
    yield "spotdx_async", __version__
    yield platform.python_implementation(), platform.python_version()
    yield "aiohttp", metadata.version("aiohttp")
    yield "platform", platform.platform()
