"""``spotdx runs``: the state of a bulk run, from its journal or the folder of its workers' journals."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from cyclopts import App

from spotdx_async.cli.exit_codes import Exit
from spotdx_async.cli.options import Json, Word
from spotdx_async.cli.output import OurScreen, pairs_of
from spotdx_async.cli.tables import show_fields

if TYPE_CHECKING:
    from spotdx_async import JournalState
    from spotdx_async.distributed import RunFolderState

_STANDINGS = ("complete", "under way", "stopped", "killed", "unreadable")
_NAMED_FAULTS = 20
_NOUN = 3
"""Where the noun is in the path of an operation such as ``POST /api/v2/orders/``."""
_DONE = {"orders": "placed", "requisitions": "created", "patients": "created", "kits": "registered"}
"""What became of a row that is ok."""

runs: App = App(name="runs", help="Runs: their state, from their journals.\n\nExample: spotdx runs show night.journal")


@runs.command
def show(journal: Word, /, *, as_json: Json = False, streams: OurScreen) -> int:
    """Show the state of a run from its journal, even while it is under way; nothing is changed.

    Example: spotdx runs show night.journal
    Example: spotdx runs show night/ --json    # of a run with --workers or --dask

    Args:
        journal: The file, or folder, passed to --journal.
        as_json: Write JSON.
        streams: Where to write; no argument of the command line.
    """
    from spotdx_async import read_journal
    from spotdx_async.cli.places import check_places, journal_place, standard_outputs

    check_places([journal_place("the journal", journal), *standard_outputs()])
    if Path(journal).is_dir():
        return _show_folder(journal, streams, as_json=as_json)
    state = read_journal(journal)
    if as_json:
        streams.write_json(_figures(state))
    else:
        show_fields(_shown(state), streams)
    return Exit.OK


def _figures(state: "JournalState") -> dict[str, Any]:
    from spotdx_async.bulk.records import STATES

    placed, parked = state.by_state["ok"], state.parked
    of_creates = {
        "placed": placed,
        "in_doubt": _in_doubt(state),
        "parked": parked,
        "not_sent": state.not_sent,
        "duplicates": [[*pair] for pair in state.duplicates],
    }
    return {
        "operation": state.operation,
        "rows": state.rows,
        **{name: state.by_state[name] for name in STATES},
        "not_done": _not_done(state),
        **(of_creates if state.creates else {}),
        "next_index": state.next_index,
        "begun_at": state.begun_at.isoformat(),
        "changed_at": state.changed_at.isoformat(),
        "sessions": state.sessions,
        "ending": state.ending,
        "in_use": state.in_use,
        "version": state.version,
    }


def _shown(state: "JournalState") -> dict[str, str]:
    return {
        "operation": state.operation,
        "state": _words(state),
        "rows recorded": f"{state.rows:,}",
        **{f"  {name}": f"{count:,}" for name, count in _counts(state).items() if count},
        **({} if (not_done := _not_done(state)) is None else {"  not done": f"{not_done:,}"}),
        **({"created twice": pairs_of(state.duplicates)} if state.duplicates else {}),
        "begun": f"{state.begun_at:%Y-%m-%d %H:%M:%S} UTC",
        "last written": f"{state.changed_at:%Y-%m-%d %H:%M:%S} UTC",
        "sessions": f"{state.sessions:,}",
    }


def _not_done(state: "JournalState") -> int | None:
    """Return how many rows are not done, whatever the reason; None while that is not known: not all are recorded."""
    if state.in_use or state.ending != "complete":
        return None
    recorded = state.rows + state.not_sent - state.by_state["ok"] - state.by_state["superseded"]
    # Of a bad row a run that creates may know no key to record it by; of what it skipped it records nothing.
    return max(recorded, state.left or 0)


def _in_doubt(state: "JournalState") -> int:
    return state.by_state["unknown"] - state.parked


def _counts(state: "JournalState") -> dict[str, int]:
    """Return the rows by state, those of a run that creates in its own words."""
    if not state.creates:
        return {str(name): count for name, count in state.by_state.items()}
    by_state = state.by_state
    return {
        _DONE.get(state.operation.split("/")[_NOUN], "placed"): by_state["ok"],
        "in doubt": _in_doubt(state),
        "parked": state.parked,
        "failed": by_state["failed"],
        "rejected": by_state["rejected"],
        "not sent": state.not_sent,
    }


def _words(state: "JournalState") -> str:
    if state.in_use:
        return "under way"
    if state.ending == "complete":
        if not _not_done(state):
            return "complete"
        if state.creates:
            return "complete: the command that creates sends what is not done, and looks for what is in doubt"
        return "complete: the same command tries again what is not done"
    ending = "it was killed" if state.ending is None else state.ending
    return f"{ending}: the same command resumes it"


def _show_folder(folder: Word, streams: OurScreen, *, as_json: bool) -> int:
    from spotdx_async.distributed import read_run_folder

    state = read_run_folder(folder)
    for number, fault in [*state.faults.items()][:_NAMED_FAULTS]:
        streams.say(f"shard {number}: {fault}")
    if as_json:
        streams.write_json(_figures_of_folder(state))
    else:
        show_fields(_shown_of_folder(state), streams)
    return Exit.OK


def _figures_of_folder(state: "RunFolderState") -> dict[str, Any]:
    from spotdx_async.bulk.records import STATES

    shards = {standing: [] for standing in _STANDINGS}  # type: dict[str, list[int]]
    for number, standing in state.standings.items():
        shards[standing].append(number)
    return {
        "noun": state.noun,
        "rows": state.rows,
        **{name: state.by_state[name] for name in STATES},
        "not_done": state.not_done,
        "shards": state.shards,
        "shards_begun": len(state.standings),
        "shards_by_state": {name.replace(" ", "_"): numbers for name, numbers in shards.items()},
        "begun_at": None if state.begun_at is None else state.begun_at.isoformat(),
        "changed_at": None if state.changed_at is None else state.changed_at.isoformat(),
        "complete": state.is_complete,
        "in_use": state.in_use,
    }


def _shown_of_folder(state: "RunFolderState") -> dict[str, str]:
    counts = {name: [*state.standings.values()].count(name) for name in _STANDINGS}  # type: ignore[arg-type]
    total = "not known before all have been given out" if state.shards is None else f"{state.shards:,}"
    times = {"begun": state.begun_at, "last written": state.changed_at}
    return {
        "run": f"{state.noun} update, on workers",
        "state": _words_of_folder(state),
        "rows": f"{state.rows:,}",
        **{f"  {name}": f"{count:,}" for name, count in state.by_state.items() if count},
        "  not done": f"{state.not_done:,}",
        "shards": total,
        **{f"  {name}": f"{count:,}" for name, count in counts.items() if count},
        **{name: f"{at:%Y-%m-%d %H:%M:%S} UTC" for name, at in times.items() if at is not None},
    }


def _words_of_folder(state: "RunFolderState") -> str:
    if state.in_use:
        return "under way"
    again = f"spotdx {state.noun} update FILE… --workers N --journal {state.path}"
    if not state.is_complete:
        return f"not complete: the same command resumes it ({again})"
    return "complete" if not state.not_done else f"complete: the same command tries again what is not done ({again})"
