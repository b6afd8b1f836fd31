"""What is said at the end of a run: a table or one JSON object, the first troubles, and how to go on."""

from itertools import islice
from typing import Any

from rich import box
from rich.table import Table

from spotdx_async.cli.output import Streams, counted
from spotdx_async.cli.row_results import STATES, Place, RowResults, Trouble
from spotdx_async.cli.row_set import RowSet, Span
from spotdx_async.cli.run_result import RunResult

__all__ = ["tell_ending"]

_MEANING = {
    "ok": "done",
    "rejected": "a bad row, not sent",
    "failed": "the server's no, or surely not executed",
    "unknown": "perhaps carried out: no usable answer, or an error of the server (5xx)",
    "superseded": "a newer value took its place",
    "skipped": "read, but not sent",
}
_DONE_BEFORE = "done in an earlier session"
_SPANS_A_LINE = 50


def tell_ending(run_result: RunResult, streams: Streams, *, as_json: bool) -> None:
    """Say how the run ended: the figures on standard output, all else on standard error."""
    _tell_troubles(run_result, streams)
    _tell_overtaken(run_result, streams)
    _tell_failed_file(run_result, streams)
    _tell_stop(run_result, streams)
    if run_result.report is not None:
        streams.say(f"the report is in {run_result.report}")
    if as_json:
        streams.write_json(_figures(run_result))
    else:
        streams.tell(_title(run_result))
        streams.show(_table(run_result))


def _figures(run_result: RunResult) -> dict[str, Any]:
    row_results = run_result.row_results
    next_row = run_result.go_on_at if run_result.is_cut_short else None
    return {
        "rows": row_results.rows,
        **{state: row_results.counts[state] for state in STATES},
        "done_before": row_results.done_before,
        "overtaken": len(row_results.overtaken),
        "dry_run": run_result.is_dry_run,
        "elapsed_s": round(run_result.elapsed_s, 3),
        "failed_file": _failed_path(row_results),
        "not_in_failed_file": _spans(row_results.unwritten),
        "overtaken_rows": _spans(row_results.overtaken),
        "stopped": run_result.stopped,
        "next_row": next_row and {"file": next_row[0], "row": next_row[1]},
    }


def _spans(rows: RowSet) -> list[dict[str, Any]]:
    return [{"file": span.file, "first": span.first, "last": span.last} for span in rows.spans()]


def _table(run_result: RunResult) -> Table:
    counts = run_result.row_results.counts
    table = Table(box=box.SIMPLE)
    table.add_column("state")
    table.add_column("rows", justify="right")
    table.add_column("meaning")
    done_before = run_result.row_results.done_before
    if done_before:
        table.add_row("skipped", f"{done_before:,}", _DONE_BEFORE)
    for state in STATES:
        count = counts[state] - (done_before if state == "skipped" else 0)
        if count or state == "ok":
            meaning = "would be sent" if run_result.is_dry_run and state == "ok" else _MEANING[state]
            table.add_row(state, f"{count:,}", meaning)
    return table


def _title(run_result: RunResult) -> str:
    rows, elapsed_s = run_result.row_results.rows, run_result.elapsed_s
    verb = "checked" if run_result.is_dry_run else "read"
    return f"{counted(rows, 'row')} {verb} in {elapsed_s:.1f} s ({rows / max(elapsed_s, 1e-9):,.0f} rows/s)"


def _tell_troubles(run_result: RunResult, streams: Streams) -> None:
    row_results = run_result.row_results
    told = 0
    for trouble in row_results.first_troubles:
        streams.say(f"{_name(trouble.place, run_result)}: {trouble.state}: {trouble.reason}")
        if trouble.others:
            streams.say(f"… and {counted(trouble.others, 'more row')} like it{_rows_of(trouble, run_result)}")
        told += 1 + trouble.others
    if (more := row_results.troubles - told) > 0:
        streams.say(f"and {counted(more, 'more row')} that did not go through")
    if row_results.troubles and row_results.failed is None and (run_result.has_journal or not run_result.is_cut_short):
        streams.say("to get such rows into a file that can be fed in again, give --failed PATH")


def _rows_of(trouble: Trouble, run_result: RunResult) -> str:
    """Name the first of the rows that are not shown; of several files, none."""
    if run_result.has_many_files:
        return ""
    numbers = ", ".join(str(row) for _, row in sorted(trouble.positions))
    word = "row" if trouble.others == 1 else "rows"
    return f" ({word} {numbers}{', …' if trouble.others > len(trouble.positions) else ''})"


def _tell_overtaken(run_result: RunResult, streams: Streams) -> None:
    rows = run_result.row_results.overtaken
    if not rows:
        return
    spans = rows.spans()
    named = ", ".join(_span(span, run_result) for span in islice(spans, _SPANS_A_LINE))
    more = ", …" if next(spans, None) is not None else ""
    is_one = len(rows) == 1
    was = "would be" if run_result.is_dry_run else "was" if is_one else "were"
    needs = "it needs" if is_one else "they need"
    streams.say(
        f"{counted(len(rows), 'row')} that did not go through {was} overtaken by a later value of the same id, so that "
        f"{needs} nothing more: {named}{more}"
    )


def _tell_failed_file(run_result: RunResult, streams: Streams) -> None:
    row_results = run_result.row_results
    if row_results.failed is None:
        return
    path = row_results.failed.path
    if row_results.failed.count:
        written = counted(row_results.failed.count, "row")
        streams.say(f"not done: {written}, written to {path}{_what_to_do_with(run_result)}")
    if row_results.disk_error is not None:
        why = row_results.disk_error.strerror
        streams.say(f"{path} cannot be trusted to be complete: {why}")
    where = f"surely in {path}" if row_results.disk_error is not None else f"in {path}"
    spans = row_results.unwritten.spans()
    # All of them: nobody else knows which they are.
    while some := [*islice(spans, _SPANS_A_LINE)]:
        rows = ", ".join(_span(span, run_result) for span in some)
        streams.say(f"not done, and not {where}: {rows}")


def _what_to_do_with(run_result: RunResult) -> str:
    """Say how to go on with the failed-rows file; nothing where another line says how to go on without it."""
    rest = ", and the rest of the input was not read" if run_result.next_row is not None else ""
    if run_result.is_cut_short and not run_result.has_journal:
        return rest
    if not run_result.has_journal:
        return "; mend what is wrong and feed the file in again"
    again = f"{rest}; the same command tries what is not done again, so give that and not the file"
    if run_result.row_results.counts["rejected"] and not run_result.is_cut_short:
        again += "; a bad row must be mended: mend it in that file, and feed it in"
    return again


def _span(span: Span, run_result: RunResult) -> str:
    return f"{span.file} {span.text}" if run_result.has_many_files else span.text


def _tell_stop(run_result: RunResult, streams: Streams) -> None:
    if run_result.stopped is not None:
        streams.say(f"stopped early: {run_result.stopped}")
    if not run_result.is_cut_short:
        return
    if run_result.has_journal:
        tells = run_result.journal_folder or f"spotdx runs show {run_result.journal}"
        streams.say(
            f"the same command goes on where it stopped{';' if run_result.journal else ':'} {tells} tells what is done"
        )
        return
    if (start := run_result.go_on_at) is None:
        streams.say("nothing is left to do")
        return
    _tell_start(*start, run_result, streams)


def _tell_start(file: str, number: int, run_result: RunResult, streams: Streams) -> None:
    row_results = run_result.row_results
    files = f"give {file} and the files after it" if run_result.has_many_files else "give the same input"
    streams.say(f"the rows from row {number} of {file} on are left: {files} with --from-row {number} to go on")
    if row_results.left and row_results.counts["ok"]:
        streams.say("those of them that are done are set once more, each id's in the order of the input")
    if row_results.counts["unknown"] and not run_result.is_dry_run:
        wait = f"{run_result.lands_within_s:g} s"
        streams.say(f"wait {wait} before: what got no usable answer may be carried out until then, over a newer value")
    if row_results.failed is not None and row_results.failed.count:
        path = row_results.failed.path
        streams.say(f"the rows in {path} are among them, so do not feed it in; give --failed another name, or --force")


def _failed_path(row_results: RowResults) -> str | None:
    return str(row_results.failed.path) if row_results.failed is not None and row_results.failed.count else None


def _name(place: Place, run_result: RunResult) -> str:
    return f"{place.file} {place.text}" if run_result.has_many_files else place.text
