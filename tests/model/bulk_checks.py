"""What holds of every bulk run, whatever happened to it."""

import asyncio
from typing import Any

import attrs

from spotdx_async import BulkStopped, JournalError, NotSentError, SpotError
from tests.model.bulk_session import BulkSession, Server
from tests.model.bulk_story import BulkStory
from tests.model.server import FINAL, NOT_EXECUTED, Arrival

_OK, _SUPERSEDED = 1, 5
_NOT_DONE = (2, 3)
_SETTLED = frozenset({"ok", *NOT_EXECUTED, *FINAL})
"""Plays after which nothing can land."""


def check_session(story: BulkStory, session: BulkSession) -> list[str]:
    """What is wrong with a session, once nothing can land any more."""
    found = list(session.faults)
    if session.is_killed:
        return found + _wrong_given(session)
    found += wrong_numbers(story, session)
    found += _wrong_given(session)
    found += [fault for outcome in session.outcomes for fault in _wrong_outcome(session, outcome)]
    found += wrong_end(session)
    found += sent_too_late(story, session)
    window = max(8, 2 * story.options["concurrency"]) + (64 if story.options["coalesce"] else 0)
    sent = [n for n in session.sent_while_lingering if not _was_held(story, session, n)]
    if story.options["ordered"]:
        sent = [n for n in sent if not _was_behind_a_slow_one(session, n)]
    if len(sent) > window:
        found.append(f"{len(sent)} rows were sent after the loop was left")
    return found


def _was_held(story: BulkStory, session: BulkSession, n: int) -> bool:
    """Whether a row may have been read past: an earlier value of its kit may have been about to land."""
    return any(
        arrival.n < n and arrival.key == _key(story.rows[n]) and (session.number or arrival.play not in _SETTLED)
        for arrival in session.arrivals
    )


def _was_behind_a_slow_one(session: BulkSession, n: int) -> bool:
    """Whether rows may have been done before an earlier one that stands before this: their outcomes wait for it."""
    return any(
        slow.n < n
        and (slow.play != "ok" or any(quick.n > slow.n and quick.at_s < slow.at_s for quick in session.arrivals))
        for slow in session.arrivals
    )


def wrong_numbers(story: BulkStory, session: BulkSession) -> list[str]:
    """Outcomes given = rows read: none lost, none twice."""
    given = sorted(outcome.index for outcome in session.outcomes)
    if len(given) != len(set(given)):
        return [f"rows came out twice: {given}"]
    if story.options["ordered"] and given != [outcome.index for outcome in session.outcomes]:
        return ["rows came out of their order"]
    if session.is_left:
        return []
    error = session.error
    if given != list(range(len(given))):
        return [f"rows were lost: {given} came out, {session.input.given} were read, {error!r}"]
    unread = 0 if session.story.form == "list" else session.input.given - len(given)
    # A run that ends while it looks an item up in the journal has not read it: next_index, below, says the same.
    may_be_unread = story.has_journal and (error is not None or session.stopped_at_s is not None)
    if unread and not (unread == 1 and may_be_unread) and not isinstance(error, JournalError):
        return [f"{len(given)} rows came out, and {session.input.given} were read, {error!r}"]
    if isinstance(error, BulkStopped) and error.next_index != len(given):
        return [f"next_index is {error.next_index} after {len(given)} rows"]
    return []


def _wrong_given(session: BulkSession) -> list[str]:
    """An ok was executed when it was said."""
    pairs = zip(session.outcomes, session.executed_when_given, strict=True)
    return [f"row {outcome.index} is ok and was not executed" for outcome, was in pairs if outcome.ok and not was]


def _wrong_outcome(session: BulkSession, outcome: Any) -> list[str]:
    """Never failed, rejected, skipped or not sent where the server has executed it."""
    sent = [arrival for arrival in session.arrivals if arrival.n == outcome.index]
    executed = [arrival for arrival in sent if arrival.executed_at_s]
    is_not_done = outcome.state in {"failed", "rejected"} or (outcome.state == "skipped" and outcome.error is not None)
    plays = [arrival.play for arrival in sent]
    found = []
    if executed and is_not_done:
        found.append(f"row {outcome.index} is {outcome.state} ({outcome.error!r}) and was executed: {plays}")
    if executed and isinstance(outcome.error, NotSentError):
        found.append(f"row {outcome.index} has a NotSentError and was executed: {plays}")
    if (
        executed
        and isinstance(outcome.error, SpotError)
        and outcome.state != "ok"
        and not outcome.error.may_be_executed
    ):
        found.append(f"row {outcome.index}: its {outcome.error!r} does not say that it may be executed: {plays}")
    # A try that was cut off is not counted, one that had renewed its token makes two.
    cut_off = 2 if outcome.state in {"unknown", "skipped"} else 0
    if len(sent) > outcome.attempts + cut_off:
        found.append(f"row {outcome.index} says {outcome.attempts} attempts, and {len(sent)} arrived: {plays}")
    if outcome.state in {"rejected", "superseded"} and sent:
        found.append(f"row {outcome.index} is {outcome.state} and was sent: {plays}")
    return found


def wrong_end(session: BulkSession) -> list[str]:
    """What came from outside gets out."""
    error, foreign = session.error, list(session.raised)
    if session.input.raised is not None and not isinstance(session.input.raised, asyncio.CancelledError):
        foreign.append(session.input.raised)
    if session.input.raised_in_close is not None and (error is None or error is session.input.raised_in_close):
        foreign.append(session.input.raised_in_close)  # behind another error, it is that one that is told
    # A cancellation that comes while the block is left takes its place.
    if session.raised_by_consumer is not None and not session.is_cancelled:
        foreign.append(session.raised_by_consumer)
    found = []
    if isinstance(error, JournalError) and not session.story.disk_fails:
        found.append(f"the journal was refused: {error!r}")
    is_of_token = session.story.token.startswith("fails")
    is_left = session.is_left and session.raised_by_consumer is None
    if foreign and not is_left and error not in foreign and not (is_of_token and isinstance(error, SpotError)):
        found.append(f"{foreign!r} was raised outside the SDK, and the run ended with {error!r}")
    if error is not None and error not in foreign and not isinstance(error, SpotError):
        found.append(f"the run ended with {error!r}, which nobody raised")
    if session.input.raised is not None and not session.is_left and error is None:
        found.append(f"the input raised {session.input.raised!r}, and the run ended as if it were complete")
    return found


def sent_too_late(story: BulkStory, session: BulkSession) -> list[str]:
    """After a stop nothing new is sent, and it ends soon."""
    found = []
    arrivals, ended_at_s = session.arrivals, session.ended_at_s
    if session.left_at_s is not None:
        ended_at_s = session.left_at_s
    if session.stopped_at_s is not None and session.arrived_before_stop is not None:
        late = _after(arrivals, session.arrived_before_stop, session.stopped_at_s)
        if late:
            found.append(f"{len(late)} requests after stop()")
        under_way = [arrival for arrival in arrivals if arrival.at_s > session.stopped_at_s - _longest_s(story)]
        most_s = (_longest_s(story) if under_way else 0.0) + 1.0
        took_s = ended_at_s - session.stopped_at_s
        if took_s > most_s + 30 * session.story.consumer_s:
            found.append(f"stop() took {took_s:g} s, more than {most_s:g}")
    if session.closed_at_s is not None and session.arrived_before_close is not None:
        late = _after(arrivals, session.arrived_before_close, session.closed_at_s)
        if late:
            found.append(f"{len(late)} requests after close()")
        took_s = ended_at_s - session.closed_at_s
        if took_s > 6 + 30 * session.story.consumer_s:
            found.append(f"the run went on for {took_s:g} s after close()")
    return found


def _after(arrivals: list[Arrival], number: int, at_s: float) -> list[Arrival]:
    # Over loopback, what was handed to a connection arrives some steps, and no time, later.
    return [arrival for arrival in arrivals if arrival.number >= number and (arrival.is_exact or arrival.at_s > at_s)]


def _longest_s(story: BulkStory) -> float:
    timeout_s: float = story.client_options["timeout_s"]
    return timeout_s


@attrs.frozen
class WholeRun:
    """A run with all its sessions, at the end of everything."""

    story: BulkStory
    server: Server
    sessions: list[BulkSession]


def check_whole(run: WholeRun) -> list[str]:
    """What is wrong with the whole, once nothing can land any more."""
    found = [fault for arrival in run.server.arrivals if arrival.is_write for fault in _wrong_body(run.story, arrival)]
    found += _wrong_journal(run)
    found += _wrong_resumes(run)
    found += _older_values(run)
    last = run.sessions[-1]
    if run.story.has_journal and last.story.weather.share == 0 and not last.is_killed:
        bad = [(outcome.index, outcome.state, outcome.error) for outcome in last.outcomes if not outcome.is_done]
        bad = [each for each in bad if each[1] != "rejected"]
        if bad or last.error is not None:
            found.append(f"the last session, with nothing in its way, ended with {last.error!r}: {bad}")
    return found


def _wrong_body(story: BulkStory, arrival: Arrival) -> list[str]:
    """What the server got for a row is what the input said when it gave it."""
    row = story.rows[arrival.n] if isinstance(arrival.n, int) and arrival.n < len(story.rows) else None
    key, metadata = (
        (row[0], row[1]) if isinstance(row, tuple) else (getattr(row, "key", None), getattr(row, "metadata", None))
    )
    if (arrival.key, arrival.body) != (key, {"metadata": metadata}):
        return [f"the server got {arrival.key} {arrival.body}, and the input said {key} {metadata}"]
    return []


def _wrong_journal(run: WholeRun) -> list[str]:
    """A journal never says more than what was executed by then: neither ok nor superseded, nor failed of what was."""
    found = []
    known: set[Any] = set()
    for session in run.sessions:
        if not session.is_killed and not session.story.disk_fails:
            known |= {arrival.n for arrival in session.arrivals if arrival.executed_at_s}
        said = f"after session {session.number} the journal says"
        for index, state in session.recorded.items():
            if state == _OK and index not in session.executed:
                found.append(f"{said} ok of row {index}, which was not executed")
            if state == _SUPERSEDED and not _is_overtaken(run.story, index, session.executed):
                found.append(f"{said} superseded of row {index}, and no newer value was executed")
            if state in _NOT_DONE and index in known:
                found.append(f"{said} rejected or failed of row {index}, which was executed")
    return found


def _is_overtaken(story: BulkStory, index: int, executed: set[Any]) -> bool:
    key = _key(story.rows[index])
    return any(n > index and _key(story.rows[n]) == key for n in executed)


def _wrong_resumes(run: WholeRun) -> list[str]:
    """What an earlier session left in doubt, and was executed, is never failed in a later one."""
    found = []
    doubtful: set[int] = set()
    for session in run.sessions:
        for outcome in session.outcomes:
            is_no = outcome.state == "failed" or (outcome.state == "skipped" and outcome.error is not None)
            if outcome.index in doubtful and is_no and not session.is_killed:
                found.append(
                    f"row {outcome.index} is {outcome.state} in session {session.number}, and was executed before"
                )
        if not session.is_killed and not session.story.disk_fails:  # else nobody could write it down
            doubtful |= {arrival.n for arrival in session.arrivals if arrival.executed_at_s}
    return found


def _older_values(run: WholeRun) -> list[str]:
    """No kit ends with an older value than its last row that was reported done."""
    found = []
    final: dict[str, int] = {}
    for _, arrival in run.server.executions():
        if arrival.is_write and arrival.key is not None:
            final[arrival.key] = arrival.n
    done: dict[str, int] = {}
    for session in run.sessions:
        for outcome in session.outcomes:
            if outcome.key is not None and (outcome.ok or (outcome.state == "skipped" and outcome.error is None)):
                done[outcome.key] = max(done.get(outcome.key, -1), outcome.index)
    for key, index in done.items():
        if final.get(key, -1) < index:
            history = [(round(at_s, 3), each.n, each.play) for at_s, each in run.server.executions() if each.key == key]
            found.append(f"{key} ends with row {final.get(key)}, and row {index} was done: {history}")
    return found


def _key(row: Any) -> Any:
    return row[0] if isinstance(row, tuple) else getattr(row, "key", None)
