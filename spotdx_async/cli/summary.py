"""What is said at the end of a run: a table or one JSON object, the first troubles, and how to go on."""

from itertools import islice
from typing import Any

from rich import box
from rich.table import Table

from spotdx_async.cli.account import STATES, Account, Place, Trouble
from spotdx_async.cli.ending import Ending
from spotdx_async.cli.screen import Screen
from spotdx_async.cli.words import counted

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
    _tell_failed_file(ending.account, screen, has_many_files=ending.has_many_files)
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
    next_row = _go_on_at(ending)
    return {
        "rows": account.rows,
        **{state: account.counts[state] for state in STATES},
        "done_before": account.done_before,
        "dry_run": ending.is_dry_run,
        "elapsed_s": round(ending.elapsed_s, 3),
        "failed_file": _failed_path(account),
        "not_in_failed_file": [
            {"file": span.file, "first": span.first, "last": span.last} for span in account.unwritten.spans()
        ],
        "stopped": ending.stopped,
        "next_row": next_row and {"file": next_row[0], "row": next_row[1]},
    }


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
    if account.troubles and account.failed is None:
        screen.say("to get such rows into a file that can be fed in again, give --failed PATH")


def _rows_of(trouble: Trouble, ending: Ending) -> str:
    """Name the first of the rows that are not shown; of several files, none."""
    if ending.has_many_files:
        return ""
    numbers = ", ".join(str(row) for _, row in sorted(trouble.positions))
    word = "row" if trouble.others == 1 else "rows"
    return f" ({word} {numbers}{', …' if trouble.others > len(trouble.positions) else ''})"


def _tell_failed_file(account: Account, screen: Screen, *, has_many_files: bool) -> None:
    if account.failed is None:
        return
    path = account.failed.path
    if account.failed.count:
        written = counted(account.failed.count, "row")
        screen.say(f"not done: {written}, written to {path}; mend what is wrong and feed the file in again")
    if account.disk_error is not None:
        screen.say(f"{path} cannot be trusted to be complete: {account.disk_error.strerror}")
    where = f"surely in {path}" if account.disk_error is not None else f"in {path}"
    spans = account.unwritten.spans()
    # All of them: nobody else knows which they are.
    while some := [*islice(spans, _SPANS_A_LINE)]:
        rows = ", ".join(f"{span.file} {span.text}" if has_many_files else span.text for span in some)
        screen.say(f"not done, and not {where}: {rows}")


def _tell_stop(ending: Ending, screen: Screen) -> None:
    if ending.stopped is not None:
        screen.say(f"stopped early: {ending.stopped}")
    elif ending.account.first_lost is None:
        return
    if ending.journal is not None:
        screen.say(f"the same command goes on where it stopped; spotdx runs show {ending.journal} tells what is done")
        return
    if ending.journal_folder is not None:
        screen.say(f"the same command goes on where it stopped: {ending.journal_folder} tells what is done")
        return
    if (start := _go_on_at(ending)) is not None:
        file, number = start
        files = f"give {file} and the files after it" if ending.has_many_files else "give the same input"
        screen.say(f"the rows from row {number} of {file} on are left: {files} with --from-row {number} to go on")
        if ending.account.first_lost is not None:
            screen.say("those of them that are done are set once more, which does no harm")
        if ending.account.failed is not None and ending.account.failed.count:
            screen.say(f"give --failed another name then, so that {ending.account.failed.path} stays as it is")
    elif ending.account.failed is None:
        screen.say("the same command may be given again: to set the same values twice does no harm")


def _go_on_at(ending: Ending) -> tuple[str, int] | None:
    """Find the row to go on with: the first that was read, is not done and is in no file, else the first unread."""
    account = ending.account
    left = account.first_skipped if account.failed is None else account.first_lost
    return ending.next_row if left is None else (left.file, left.row.number)


def _failed_path(account: Account) -> str | None:
    return str(account.failed.path) if account.failed is not None and account.failed.count else None


def _name(place: Place, ending: Ending) -> str:
    return f"{place.file} {place.text}" if ending.has_many_files else place.text
