"""The result of a run and what is said at its end: figures, the first failures, and how to resume."""

import sys
from itertools import islice
from pathlib import Path
from typing import Any, Literal, TypeAlias

from attrs import frozen
from rich import box
from rich.table import Table

from spotdx_async.bulk.records import DONE_BEFORE, MEANINGS, STATES
from spotdx_async.cli.console import show
from spotdx_async.cli.create_summary import CreatesEnd, figures_of, meanings_of, show_end
from spotdx_async.cli.exit_codes import Exit
from spotdx_async.cli.output import Streams, counted, pace
from spotdx_async.cli.row_results import FailureGroup, RowResults, RowSet, Span
from spotdx_async.files.outcome_file import OutcomeFile

_SPANS_A_LINE = 50
_ACCEPTING = "--accept-changed-input, which sends only what is not done"
InputFault: TypeAlias = Literal["damaged", "changed", "another"]
"""What can be wrong with an input from some row on, so that the same command would not go on from there."""


@frozen(kw_only=True)
class RunResult:
    """How a run ended."""

    row_results: RowResults
    is_dry_run: bool
    elapsed_s: float
    stopped: str | None
    """Why it stopped early; None if it did not."""
    next_row: tuple[str, int] | None
    """The file and row at which reading stopped; None if all was read."""
    has_many_files: bool
    wants_failed: bool = False
    """Whether a file of failed rows was asked for, even if a dry run leaves the one that exists."""
    input_fault: InputFault | None = None
    """Whether it stopped because an input is damaged there, was changed while it was read, or is not the journal's."""
    outcomes: OutcomeFile | None = None
    """The file of all rows' outcomes, for programs."""
    journal: str | Path | None = None
    """The journal from which the same command resumes."""
    journal_folder: str | Path | None = None
    """The same for a run on a cluster."""
    report: str | Path | None = None
    """Where the page about the run is."""
    lands_within_s: float = 60.0
    """How long a request that got no answer may still be executed."""
    creates: CreatesEnd | None = None
    """What only a run that creates has."""

    @property
    def is_cut_short(self) -> bool:
        """Whether rows are left that no file holds for certain: it stopped early, or the disk did not take them."""
        return self.stopped is not None or self.row_results.disk_error is not None

    @property
    def has_journal(self) -> bool:
        """Whether what is done was recorded."""
        return self.journal is not None or self.journal_folder is not None

    @property
    def resumes(self) -> bool:
        """Whether the same command resumes with what is left; one that creates knows rows by their keys."""
        return self.has_journal and (self.input_fault is None or self.creates is not None)

    @property
    def has_sent(self) -> bool:
        """Whether any row was sent, or may have been."""
        counts = self.row_results.counts
        return not self.is_dry_run and counts.total() > counts["rejected"] + counts["skipped"]

    @property
    def resume_at(self) -> tuple[str, int] | None:
        """The file and row from which all that is left can be sent again in input order.

        None: nothing is left, or the input is another by now, whose rows have other numbers. Every row above it is
        done, or overtaken. Those below it that are done are set again: to skip a row that is not would leave it to be
        set later, over a newer value of its kit or order.
        """
        return None if self.input_fault in {"changed", "another"} else self.row_results.left.first or self.next_row

    @property
    def exit(self) -> Exit:
        """The exit code."""
        if self.stopped is not None:
            return Exit.USAGE if self.input_fault in {"damaged", "another"} and not self.has_sent else Exit.STOPPED
        if self.row_results.faults:
            return Exit.STOPPED
        only_looks = self.creates is not None and self.creates.only_settles
        left = self.row_results.counts["unknown"] if only_looks else self.row_results.failures
        if left or self.row_results.unwritten or self.row_results.disk_error:
            return Exit.FAILED
        is_clean = self.creates is None or self.creates.is_clean
        return Exit.OK if is_clean and (self.outcomes is None or self.outcomes.error is None) else Exit.FAILED


def show_summary(run_result: RunResult, streams: Streams, *, as_json: bool) -> None:
    """Show how the run ended: the figures on standard output, everything else on standard error."""
    if run_result.creates is None or not run_result.is_dry_run:
        _show_failures(run_result, streams)
    _show_overtaken(run_result, streams)
    _show_failed_file(run_result, streams)
    _show_outcomes_file(run_result.outcomes, streams)
    if not run_result.row_results.rows and run_result.stopped is None:
        streams.say("the input holds no rows")
    _show_stop(run_result, streams)
    if run_result.creates is not None:
        show_end(run_result.creates, run_result.row_results.counts, streams)
    if run_result.report is not None:
        streams.say(f"the report is in {run_result.report}")
    if as_json:
        streams.write_json(_figures(run_result))
    else:
        streams.tell(_title(run_result))
        show(_table(run_result), streams)
    if getattr(sys.stdout, "error", None) is not None:  # a person may still see the figures here
        counts = run_result.row_results.counts
        streams.say(f"{_title(run_result)}: {', '.join(f'{counts[state]:,} {state}' for state in STATES)}")


def tell_end(run_result: RunResult, streams: Streams) -> None:
    """Tell the program at standard error that the run is over, and how it ended."""
    row_results = run_result.row_results
    streams.tell_event(
        "end",
        elapsed_s=round(run_result.elapsed_s, 3),
        rows=row_results.rows,
        failures=row_results.failures,
        states={state: row_results.counts[state] for state in STATES},
        done_before=row_results.done_before,
        stopped=run_result.stopped,
        exit_code=int(run_result.exit),
    )


def _figures(run_result: RunResult) -> dict[str, Any]:
    row_results = run_result.row_results
    failed, unreadable = row_results.failed, row_results.unreadable
    next_row = run_result.resume_at if run_result.is_cut_short else None
    return {
        "rows": row_results.rows,
        **{state: row_results.counts[state] for state in STATES},
        "done_before": row_results.done_before,
        "not_sent": row_results.unsent,
        "overtaken": len(row_results.overtaken),
        "dry_run": run_result.is_dry_run,
        "elapsed_s": round(run_result.elapsed_s, 3),
        "failed_file": str(failed.place) if failed is not None and failed.count else None,
        "unreadable_file": str(unreadable.place) if unreadable is not None and unreadable.count else None,
        "outcomes_file": _outcomes_place(run_result.outcomes),
        "not_in_failed_file": _spans(row_results.unwritten),
        "overtaken_rows": _spans(row_results.overtaken),
        "stopped": run_result.stopped,
        "next_row": next_row and {"file": next_row[0], "row": next_row[1]},
        **({} if run_result.creates is None else figures_of(run_result.creates)),
    }


def _spans(rows: RowSet) -> list[dict[str, Any]]:
    return [{"file": span.file, "first": span.first, "last": span.last} for span in rows.spans()]


def _table(run_result: RunResult) -> Table:
    counts = run_result.row_results.counts
    table = Table(box=box.SIMPLE)
    table.add_column("state")
    table.add_column("rows", justify="right")
    table.add_column("meaning")
    meanings = MEANINGS if run_result.creates is None else {**MEANINGS, **meanings_of(run_result.creates)}
    if done_before := run_result.row_results.done_before:
        table.add_row("done before", f"{done_before:,}", DONE_BEFORE)
    for state in STATES:
        is_skipped = state == "skipped"
        count = run_result.row_results.unsent if is_skipped else counts[state]
        if count or state == "ok":
            meaning = "would be sent" if run_result.is_dry_run and state == "ok" else meanings[state]
            table.add_row("not sent" if is_skipped else state, f"{count:,}", meaning)
    return table


def _title(run_result: RunResult) -> str:
    rows, elapsed_s = run_result.row_results.rows, run_result.elapsed_s
    verb = "checked" if run_result.is_dry_run else "read"
    return f"{counted(rows, 'row')} {verb} in {elapsed_s:.1f} s ({pace(rows / max(elapsed_s, 1e-9))})"


def _show_failures(run_result: RunResult, streams: Streams) -> None:
    row_results = run_result.row_results
    if run_result.creates is not None and run_result.creates.only_settles:
        return  # of bad rows, the command that sends tells
    shown = 0
    for group in row_results.first_failures:
        place = f"{group.row.file} {group.row.text}" if run_result.has_many_files else group.row.text
        streams.say(f"{place}: {group.state}: {group.reason}")
        if group.others:
            streams.say(f"… and {counted(group.others, 'more row')} like it{_rows_of(group, run_result)}")
        shown += 1 + group.others
    if (more := row_results.failures - shown) > 0:
        streams.say(f"and {counted(more, 'more row')} that failed or ended unknown")
    is_over = run_result.has_journal or not run_result.is_cut_short
    helps = row_results.failures if run_result.creates is None else row_results.counts["rejected"]  # not rows in doubt
    if helps and not run_result.wants_failed and is_over:
        streams.say("pass --failed PATH to get such rows into a file that can be used as input again")


def _rows_of(group: FailureGroup, run_result: RunResult) -> str:
    """Name the first of the rows that are not shown; none if there are several files."""
    if run_result.has_many_files:
        return ""
    numbers = ", ".join(str(row) for _, row in sorted(group.positions))
    word = "row" if group.others == 1 else "rows"
    return f" ({word} {numbers}{', …' if group.others > len(group.positions) else ''})"


def _show_overtaken(run_result: RunResult, streams: Streams) -> None:
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
        f"{counted(len(rows), 'row')} that failed {was} overtaken by a later value of the same id, so {needs} nothing "
        f"more: {named}{more}"
    )


def _show_failed_file(run_result: RunResult, streams: Streams) -> None:
    row_results = run_result.row_results
    if row_results.failed is None:
        return
    for fault in row_results.faults:
        streams.say(fault)
    path = row_results.failed.place
    if row_results.failed.count:
        written = counted(row_results.failed.count, "row")
        streams.say(f"not done: {written}, written to {path}{_what_to_do_with(run_result)}")
    unreadable = row_results.unreadable
    if unreadable is not None and unreadable.count:
        text = f"the text of {counted(unreadable.count, 'row')} that cannot be read is in {unreadable.place}"
        what_to_do = "correct it, put the header above it if it is CSV, and use it as input"
        streams.say(f"{text} with its line numbers; {what_to_do}")
    if row_results.disk_error is not None:
        streams.say(f"{path} may be incomplete: {row_results.disk_error.strerror}")
    where = f"certainly in {path}" if row_results.disk_error is not None else f"in {path}"
    spans = row_results.unwritten.spans()
    # All of them: they are recorded nowhere else.
    while some := [*islice(spans, _SPANS_A_LINE)]:
        rows = ", ".join(_span(span, run_result) for span in some)
        streams.say(f"not done, and not {where}: {rows}")


def _outcomes_place(outcomes: OutcomeFile | None) -> str | None:
    return None if outcomes is None or outcomes.error is not None else str(outcomes.place)


def _show_outcomes_file(outcomes: OutcomeFile | None, streams: Streams) -> None:
    if outcomes is None:
        return
    if outcomes.error is not None:
        reason = outcomes.error.strerror
        streams.say(f"the outcomes are incomplete, {outcomes.place} has those written before: {reason}; no row is lost")
    elif outcomes.fault is not None:
        streams.say(f"{outcomes.fault}: the outcomes are in {outcomes.place}")


def _what_to_do_with(run_result: RunResult) -> str:
    """Return how to continue with the failed-rows file; nothing if another line says how to resume without it."""
    rest = ", and the rest of the input was not read" if run_result.next_row is not None else ""
    if run_result.is_cut_short and not run_result.resumes:
        return rest if run_result.creates is None else f"{rest}; rows in doubt are among them: do not use it as input"
    if not run_result.resumes:
        return "; correct what is wrong and use the file as input"
    counts = run_result.row_results.counts
    bad = counts["rejected"] and not run_result.is_cut_short
    if run_result.creates is not None:
        again = "run the same command again, which sends nothing twice" if counts["failed"] + counts["unknown"] else ""
        same = (
            "with the same --batch and --journal"
            if run_result.creates.kind.noun != "kits"
            else "with the same --journal"
        )
        correct = f"correct the bad rows in that file, and pass it in place of the input, {same}" if bad else ""
        return rest + "".join(f"; {step}" for step in (again, correct) if step)
    again = f"{rest}; the same command retries what is not done, so run that instead of using the file"
    return f"{again}; bad rows need correcting: correct them in that file, and use it as input" if bad else again


def _span(span: Span, run_result: RunResult) -> str:
    return f"{span.file} {span.text}" if run_result.has_many_files else span.text


def _show_stop(run_result: RunResult, streams: Streams) -> None:
    if run_result.stopped is not None:
        by_whom = run_result.stopped.removeprefix("stopped ")
        streams.say(f"stopped early{' ' if by_whom != run_result.stopped else ': '}{by_whom}")
    if not run_result.is_cut_short:
        return
    if run_result.input_fault == "another":
        return  # the reason says what to do
    if run_result.input_fault == "changed" and run_result.creates is None:
        _show_change(run_result, streams)
        return
    if run_result.input_fault == "damaged":
        done = "the rows before that are done, or named above" if run_result.has_sent else "nothing was sent"
        streams.say(f"{done}; the same command would stop there again, so repair the input")
    if run_result.resumes:
        where = run_result.journal_folder or f"spotdx runs show {run_result.journal}"
        streams.say(f"run the same command again to resume; {where} shows what is done")
    elif run_result.creates is not None:
        streams.say(
            "the journal is not where it was: put it back, and run the same command again; if it is lost, --look-first "
            "DAY with a new --journal finds out first what was created since that day"
        )
    elif (start := run_result.resume_at) is None:
        streams.say("nothing is left to do")
    else:
        _show_start(*start, run_result, streams)


def _show_change(run_result: RunResult, streams: Streams) -> None:
    again = "nothing more was sent; once nothing writes to the input any more, run the same command again"
    anew = "rows that are done are set again, in input order for each id"
    if run_result.has_journal:
        accepting = "" if run_result.journal is None else f" with {_ACCEPTING}; or"
        streams.say(f"{again}{accepting} with a new --journal: {anew}")
    else:
        streams.say(f"{again}: {anew}")
    failed = run_result.row_results.failed
    if failed is not None and failed.count:
        streams.say(f"do not use {failed.path} as input: it holds rows of the input as it was")


def _show_start(file: str, number: int, run_result: RunResult, streams: Streams) -> None:
    row_results = run_result.row_results
    whole = "the repaired input" if run_result.input_fault == "damaged" else "the same input"
    files = f"{file} and the files after it" if run_result.has_many_files else whole
    options = f"--from-row {number}{' and a new --journal' if run_result.has_journal else ''}"
    streams.say(f"row {number} of {file} is the first that is left: to resume, pass {files} with {options}")
    if run_result.input_fault == "damaged" and run_result.journal is not None:
        streams.say(f"or pass all of the repaired input with the same --journal and {_ACCEPTING}")
    if row_results.left and row_results.counts["ok"]:
        streams.say("rows below it that are already done are set again, in input order for each id")
    if row_results.counts["unknown"] and not run_result.is_dry_run:
        wait = f"{run_result.lands_within_s:g} s"
        streams.say(
            f"wait {wait} first: until then, a request without a usable answer may still overwrite a newer value"
        )
    if row_results.failed is not None and row_results.failed.count:
        path = row_results.failed.place
        advice = "do not use it as input; name another file with --failed, or pass --force"
        streams.say(f"what is left includes the rows in {path}: {advice}")
