"""What is said at the end of a run: a table or one JSON object, the first troubles, and how to go on."""

from itertools import islice
from typing import Any

from rich import box
from rich.table import Table

from spotdx_async.cli.formatting import counted
from spotdx_async.cli.row_results import STATES, Account, Place, Trouble
from spotdx_async.cli.row_set import RowSet, Span
from spotdx_async.cli.run_result import Ending
from spotdx_async.cli.streams import Screen

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


def tell_ending(ending: Ending, screen: Screen, *, as_json: bool) -> None:
    """Say how the run ended: the figures on standard output, all else on standard error."""
    _tell_troubles(ending, screen)
    _tell_overtaken(ending, screen)
    _tell_failed_file(ending, screen)
    _tell_stop(ending, screen)
    if ending.report is not None:
        screen.say(f"the report is in {ending.report}")
    if as_json:
        screen.write_json(_figures(ending))
    else:
        screen.tell(_title(ending))
        screen.show(_table(ending))


def _figures(ending: Ending) -> dict[str, Any]:
    account = ending.account
    next_row = ending.go_on_at if ending.is_cut_short else None
    return {
        "rows": account.rows,
        **{state: account.counts[state] for state in STATES},
        "done_before": account.done_before,
        "overtaken": len(account.overtaken),
        "dry_run": ending.is_dry_run,
        "elapsed_s": round(ending.elapsed_s, 3),
        "failed_file": _failed_path(account),
        "not_in_failed_file": _spans(account.unwritten),
        "overtaken_rows": _spans(account.overtaken),
        "stopped": ending.stopped,
        "next_row": next_row and {"file": next_row[0], "row": next_row[1]},
    }


def _spans(rows: RowSet) -> list[dict[str, Any]]:
    return [{"file": span.file, "first": span.first, "last": span.last} for span in rows.spans()]


def _table(ending: Ending) -> Table:
    counts = ending.account.counts
    table = Table(box=box.SIMPLE)
    table.add_column("state")
    table.add_column("rows", justify="right")
    table.add_column("meaning")
    done_before = ending.account.done_before
    if done_before:
        table.add_row("skipped", f"{done_before:,}", _DONE_BEFORE)
    for state in STATES:
        count = counts[state] - (done_before if state == "skipped" else 0)
        if count or state == "ok":
            meaning = "would be sent" if ending.is_dry_run and state == "ok" else _MEANING[state]
            table.add_row(state, f"{count:,}", meaning)
    return table


def _title(ending: Ending) -> str:
    rows, elapsed_s = ending.account.rows, ending.elapsed_s
    verb = "checked" if ending.is_dry_run else "read"
    return f"{counted(rows, 'row')} {verb} in {elapsed_s:.1f} s ({rows / max(elapsed_s, 1e-9):,.0f} rows/s)"


def _tell_troubles(ending: Ending, screen: Screen) -> None:
    account = ending.account
    told = 0
    for trouble in account.first_troubles:
        screen.say(f"{_name(trouble.place, ending)}: {trouble.state}: {trouble.reason}")
        if trouble.others:
            screen.say(f"… and {counted(trouble.others, 'more row')} like it{_rows_of(trouble, ending)}")
        told += 1 + trouble.others
    if (more := account.troubles - told) > 0:
        screen.say(f"and {counted(more, 'more row')} that did not go through")
    if account.troubles and account.failed is None and (ending.has_journal or not ending.is_cut_short):
        screen.say("to get such rows into a file that can be fed in again, give --failed PATH")


def _rows_of(trouble: Trouble, ending: Ending) -> str:
    """Name the first of the rows that are not shown; of several files, none."""
    if ending.has_many_files:
        return ""
    numbers = ", ".join(str(row) for _, row in sorted(trouble.positions))
    word = "row" if trouble.others == 1 else "rows"
    return f" ({word} {numbers}{', …' if trouble.others > len(trouble.positions) else ''})"


def _tell_overtaken(ending: Ending, screen: Screen) -> None:
    rows = ending.account.overtaken
    if not rows:
        return
    spans = rows.spans()
    named = ", ".join(_span(span, ending) for span in islice(spans, _SPANS_A_LINE))
    more = ", …" if next(spans, None) is not None else ""
    is_one = len(rows) == 1
    was = "would be" if ending.is_dry_run else "was" if is_one else "were"
    needs = "it needs" if is_one else "they need"
    screen.say(
        f"{counted(len(rows), 'row')} that did not go through {was} overtaken by a later value of the same id, so that "
        f"{needs} nothing more: {named}{more}"
    )


def _tell_failed_file(ending: Ending, screen: Screen) -> None:
    account = ending.account
    if account.failed is None:
        return
    path = account.failed.path
    if account.failed.count:
        written = counted(account.failed.count, "row")
        screen.say(f"not done: {written}, written to {path}{_what_to_do_with(ending)}")
    if account.disk_error is not None:
        why = account.disk_error.strerror
        screen.say(f"{path} cannot be trusted to be complete: {why}")
    where = f"surely in {path}" if account.disk_error is not None else f"in {path}"
    spans = account.unwritten.spans()
    # All of them: nobody else knows which they are.
    while some := [*islice(spans, _SPANS_A_LINE)]:
        rows = ", ".join(_span(span, ending) for span in some)
        screen.say(f"not done, and not {where}: {rows}")


def _what_to_do_with(ending: Ending) -> str:
    """Say how to go on with the failed-rows file; nothing where another line says how to go on without it."""
    rest = ", and the rest of the input was not read" if ending.next_row is not None else ""
    if ending.is_cut_short and not ending.has_journal:
        return rest
    if not ending.has_journal:
        return "; mend what is wrong and feed the file in again"
    again = f"{rest}; the same command tries what is not done again, so give that and not the file"
    if ending.account.counts["rejected"] and not ending.is_cut_short:
        again += "; a bad row must be mended: mend it in that file, and feed it in"
    return again


def _span(span: Span, ending: Ending) -> str:
    return f"{span.file} {span.text}" if ending.has_many_files else span.text


def _tell_stop(ending: Ending, screen: Screen) -> None:
    if ending.stopped is not None:
        screen.say(f"stopped early: {ending.stopped}")
    if not ending.is_cut_short:
        return
    if ending.has_journal:
        tells = ending.journal_folder or f"spotdx runs show {ending.journal}"
        screen.say(
            f"the same command goes on where it stopped{';' if ending.journal else ':'} {tells} tells what is done"
        )
        return
    if (start := ending.go_on_at) is None:
        screen.say("nothing is left to do")
        return
    _tell_start(*start, ending, screen)


def _tell_start(file: str, number: int, ending: Ending, screen: Screen) -> None:
    account = ending.account
    files = f"give {file} and the files after it" if ending.has_many_files else "give the same input"
    screen.say(f"the rows from row {number} of {file} on are left: {files} with --from-row {number} to go on")
    if account.left and account.counts["ok"]:
        screen.say("those of them that are done are set once more, each id's in the order of the input")
    if account.counts["unknown"] and not ending.is_dry_run:
        wait = f"{ending.lands_within_s:g} s"
        screen.say(f"wait {wait} before: what got no usable answer may be carried out until then, over a newer value")
    if account.failed is not None and account.failed.count:
        path = account.failed.path
        screen.say(f"the rows in {path} are among them, so do not feed it in; give --failed another name, or --force")


def _failed_path(account: Account) -> str | None:
    return str(account.failed.path) if account.failed is not None and account.failed.count else None


def _name(place: Place, ending: Ending) -> str:
    return f"{place.file} {place.text}" if ending.has_many_files else place.text
