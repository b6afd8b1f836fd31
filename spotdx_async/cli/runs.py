"""``spotdx runs``: the state of a bulk run, from its journal."""

from typing import TYPE_CHECKING, Any

from cyclopts import App

from spotdx_async.cli.exit_codes import Exit
from spotdx_async.cli.options import Json, Word
from spotdx_async.cli.output import OurScreen
from spotdx_async.cli.tables import show_fields

if TYPE_CHECKING:
    from spotdx_async import JournalState

runs: App = App(name="runs", help="Runs: their state, from their journals.\n\nExample: spotdx runs show night.journal")


@runs.command
def show(journal: Word, /, *, as_json: Json = False, streams: OurScreen) -> int:
    """Show the state of a run from its journal, even while it is under way; nothing is changed.

    Example: spotdx runs show night.journal

    Args:
        journal: The file passed to --journal.
        as_json: Write JSON.
        streams: Where to write; no argument of the command line.
    """
    from spotdx_async import read_journal

    state = read_journal(journal)
    if as_json:
        streams.write_json(_figures(state))
    else:
        show_fields(_shown(state), streams)
    return Exit.OK


def _figures(state: "JournalState") -> dict[str, Any]:
    from spotdx_async.cli.row_results import STATES

    return {
        "operation": state.operation,
        "rows": state.rows,
        **{name: state.by_state[name] for name in STATES},
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
        **{f"  {name}": f"{count:,}" for name, count in state.by_state.items() if count},
        "begun": f"{state.begun_at:%Y-%m-%d %H:%M:%S} UTC",
        "last written": f"{state.changed_at:%Y-%m-%d %H:%M:%S} UTC",
        "sessions": f"{state.sessions:,}",
    }


def _words(state: "JournalState") -> str:
    if state.in_use:
        return "under way"
    if state.ending == "complete":
        return "complete"
    ending = "it was killed" if state.ending is None else state.ending
    return f"{ending}: the same command resumes it"
