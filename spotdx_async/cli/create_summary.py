"""What is said at the end of a run that creates, beside what is said of every run."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from attrs import frozen

import spotdx_async
from spotdx_async import report
from spotdx_async.bulk.records import State
from spotdx_async.cli.new_objects import CreateKind
from spotdx_async.cli.options import Word
from spotdx_async.cli.output import Streams, counted, pairs_of
from spotdx_async.cli.row_results import bare_message
from spotdx_async.errors import JournalError
from spotdx_async.files.created_file import CreatedFile

__all__ = ["CreatesEnd", "figures_of", "meanings_of", "pairs_before", "show_duplicates", "show_end", "told_in_report"]


@frozen(kw_only=True)
class CreatesEnd:
    """What only a run that creates has at its end."""

    kind: CreateKind
    only_settles: bool = False
    duplicates: tuple[tuple[str, str], ...] = ()
    """The ids of objects that carry the same reference, in pairs."""
    duplicates_before: tuple[tuple[str, str], ...] = ()
    """Those that only earlier sessions have found; one that was killed may not have told of them."""
    audit_error: str | None = None
    """Why those could not be looked for."""
    created: CreatedFile | None = None
    has_failed_file: bool = False
    """Whether a file holds the rows that are not done, which says what to do with them."""
    doubts_elsewhere: int = 0
    """Rows in doubt that the journal knows, and that are not among the input's."""
    lacking: int = 0
    """Rows that the journal knows to be done, and that ``created`` does not have: the input has them not."""

    @property
    def is_clean(self) -> bool:
        """Whether nothing is wrong beside what the rows themselves say."""
        return not (self.duplicates or self.doubts_elsewhere or (self.created and self.created.error))


def figures_of(end: CreatesEnd) -> dict[str, Any]:
    """Return what a program is told."""
    created = end.created
    return {
        "created_file": None if created is None or created.error is not None else str(created.place),
        "duplicates": [[*pair] for pair in end.duplicates],
        "duplicates_before": [[*pair] for pair in end.duplicates_before],
        "audit_error": end.audit_error,
        "in_doubt_elsewhere": end.doubts_elsewhere,
        "not_in_created_file": end.lacking,
    }


def told_in_report(
    kind: CreateKind, run: spotdx_async.BulkRun[Any], journal: Word | None, *, is_whole: bool
) -> report.Creates:
    """Return what the page about the run tells of it; ``is_whole``: nothing has stopped it."""
    batch: dict[str, int] = {}
    with suppress(JournalError):
        state = None if journal is None else spotdx_async.read_journal(journal)
        if state is not None:
            counts, parked = state.by_state, state.parked
            in_doubt = {"in doubt, not looked for yet": counts["unknown"] - parked, "in doubt, parked": parked}
            batch = {kind.done: counts["ok"], **in_doubt, "failed": counts["failed"], "rejected": counts["rejected"]}
    return report.Creates(
        done=kind.done,
        duplicates=run.duplicates,
        is_audited=kind.has_reference and is_whole,
        audit_error=None if run.audit_error is None else bare_message(run.audit_error),
        batch=batch,
    )


def meanings_of(end: CreatesEnd) -> dict[State, str]:
    """Return what the states of rows mean, where that is something else than in other runs."""
    sent = "not in doubt, or not executed; nothing was sent" if end.only_settles else "read, but not sent"
    return {
        "ok": f"{end.kind.done}, as looking has shown" if end.only_settles else end.kind.done,
        "failed": f"refused by the server, or certainly not {end.kind.done}",
        "unknown": f"in doubt: perhaps {end.kind.done}; not sent again before that is known",
        "skipped": sent,
    }


def show_duplicates(duplicates: Sequence[tuple[str, str]], streams: Streams) -> None:
    """Say which objects carry the same reference, if there are any; once the journal says so, nobody looks again."""
    if duplicates:
        pairs, count = pairs_of(duplicates), len(duplicates)
        pair = "1 pair carries" if count == 1 else f"{count:,} pairs carry"
        streams.say(f"CREATED TWICE: {pair} the same reference: {pairs}; none was cancelled, so ask the vendor to")


def pairs_before(journal: Word | None, duplicates: Iterable[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    """Return the pairs that a journal knows, and that this session has not found."""
    found = {frozenset(pair) for pair in duplicates}
    with suppress(JournalError):
        known = () if journal is None else spotdx_async.read_journal(journal).duplicates
        return tuple(pair for pair in known if frozenset(pair) not in found)
    return ()


def show_end(end: CreatesEnd, counts: Mapping[str, int], streams: Streams) -> None:
    """Say what a person must know of what was created.

    Args:
        end: of the run.
        counts: rows by state.
        streams: where to say it.
    """
    unknown = counts["unknown"]
    if end.duplicates_before:
        pairs = pairs_of(end.duplicates_before)
        streams.say(f"created twice, as an earlier session has found: {pairs}; none was cancelled by this command")
    if end.audit_error is not None:
        streams.say(
            f"whether something was created twice could not be looked up at the end: {end.audit_error}; "
            "the same command looks again"
        )
    if unknown:
        _show_doubt(end, unknown, streams)
    if end.doubts_elsewhere:
        rows = counted(end.doubts_elsewhere, "row")
        streams.say(
            f"{rows} of the journal, not in this input, may have been {end.kind.done}: pass the input with them"
        )
    if counts["failed"] and not end.only_settles and not end.has_failed_file:
        streams.say("run the same command again for the rows that failed: it sends nothing twice")
    if (created := end.created) is None:
        return
    if created.error is not None:
        streams.say(f"{created.place} is incomplete: {created.error.strerror}; the same command writes it anew")
    else:
        why = "" if created.fault is None else f"{created.fault}: "
        streams.say(f"{why}keys, ids and states of {counted(created.count, 'row')} are in {created.place}")
    if end.lacking:
        rows = f"{counted(end.lacking, 'row')} that {'was' if end.lacking == 1 else 'were'} {end.kind.done} before"
        streams.say(f"{created.place} lacks {rows}, which this input does not hold: pass the input with them")


def _show_doubt(end: CreatesEnd, unknown: int, streams: Streams) -> None:
    rows = f"{counted(unknown, 'row')} {'is' if unknown == 1 else 'are'} in doubt"
    if not end.kind.can_look:
        it, was = ("it", "was") if unknown == 1 else ("they", "were")
        never = "is not sent again" if unknown == 1 else "are not sent again"
        streams.say(f"{rows}: only the vendor can tell whether {it} {was} {end.kind.done}, and {it} {never}")
        return
    settle = " (or spotdx orders settle, which sends nothing)" if end.kind.noun == "orders" else ""
    again = "nothing is sent again before that is known: the same command looks again"
    streams.say(f"{rows}, and may have been {end.kind.done}; {again}{settle}")
