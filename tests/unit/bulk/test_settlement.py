"""Settlement: when it looks, for whom, what follows from what it sees, and the audit at the end."""

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import SimpleNamespace

import pytest

from spotdx_async._http import clock
from spotdx_async.bulk.settlement import LIST_LAG_S, Absent, Doubt, Finding, Found, Settlement, Unaudited, Unsettled
from spotdx_async.errors import AuthenticationError, DecodeError, JournalError, ServerError, SpotError, StatusError

pytestmark = pytest.mark.virtual_time

LANDS_WITHIN_S = 60.0
AUTHENTICATION = AuthenticationError("the token", status=401)
TOO_LARGE = StatusError("the request line is too long", status=414)
DOWN = ServerError("down", status=503)
UNREADABLE = JournalError("the journal cannot be read", reason="disk")

Answer = Callable[[Doubt], Finding] | SpotError


class ScriptedLook:
    """Answers each look, and each audit, in turn; the last answer again and again."""

    def __init__(self, *answers: Answer, audits: Sequence[int | SpotError] = (0,)) -> None:
        self.duplicates: list[tuple[str, str]] = []
        self.twins: list[tuple[str, str]] = []
        """What an audit finds, each one pair."""
        self.looks: list[tuple[float, list[bytes]]] = []
        self.audits: list[tuple[float, float]] = []
        self._answers, self._audits = [*answers], [*audits]

    async def settle(self, doubts: Sequence[Doubt]) -> Mapping[Doubt, Finding]:
        self.looks.append((clock.now(), [each.key for each in doubts]))
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if isinstance(answer, SpotError):
            raise answer
        return {each: answer(each) for each in doubts}

    async def look_first(self, since: float) -> None:
        raise NotImplementedError

    async def audit(self, since: float) -> int:
        self.audits.append((clock.now(), since))
        if self.twins:
            self.duplicates.append(self.twins.pop(0))
        answer = self._audits.pop(0) if len(self._audits) > 1 else self._audits[0]
        if isinstance(answer, SpotError):
            raise answer
        return answer


class ScriptedHost:
    """A run that is at rest, and ends once all its doubts are settled, unless a test says otherwise."""

    def __init__(self, unaudited: Unaudited | None = None) -> None:
        self.findings: dict[bytes, tuple[float, Finding]] = {}
        self.is_busy = False
        self.was_audited = self.is_idle = False
        self.audited_s = clock.NEVER_S
        self._unaudited = unaudited

    def is_at_rest(self) -> bool:
        return not self.is_busy

    def may_read_more(self) -> bool:
        return self.is_busy or self.is_idle

    def has_ended(self) -> bool:
        return not self.is_busy and not self.is_idle

    def settled(self, doubt: Doubt, finding: Finding) -> None:
        self.findings[doubt.key] = clock.now(), finding

    async def unaudited(self) -> Unaudited | None:
        return self._unaudited

    def audited(self, began_s: float) -> None:
        self.was_audited, self.audited_s = True, began_s


def a_settlement(look: ScriptedLook, host: ScriptedHost, outage_limit_s: float = 1800.0, **more: bool) -> Settlement:
    return Settlement(look, host, lands_within_s=LANDS_WITHIN_S, outage_limit_s=outage_limit_s, **more)


def a_doubt(key: bytes, lands_until_s: float) -> Doubt:
    return Doubt(key, b"reference", None, 0.0, lands_until_s)


@contextmanager
def running(settlement: Settlement) -> Iterator["asyncio.Task[None]"]:
    task = asyncio.create_task(settlement.run())
    try:
        yield task
    finally:
        task.cancel()


async def run_out(settlement: Settlement, *doubts: Doubt) -> None:
    for doubt in doubts:
        settlement.add(doubt)
    await asyncio.wait_for(settlement.run(), 10_000)


def absent(_: Doubt) -> Finding:
    return Absent()


def unsettled(_: Doubt) -> Finding:
    return Unsettled(DOWN)


# --- When it looks ----------------------------------------------------------------------------------------------------


async def test_it_looks_once_for_all_rows_when_the_last_can_be_seen() -> None:
    look, host = ScriptedLook(absent), ScriptedHost()

    await run_out(a_settlement(look, host), a_doubt(b"a", 60.0), a_doubt(b"b", 75.0))

    assert look.looks == [(75.0 + LIST_LAG_S, [b"a", b"b"])]


async def test_the_first_row_waits_at_most_half_the_landing_window_for_others() -> None:
    look, host = ScriptedLook(absent), ScriptedHost()

    await run_out(a_settlement(look, host), a_doubt(b"a", 60.0), a_doubt(b"b", 100.0))

    assert look.looks == [(100.0, [b"a"]), (110.0, [b"b"])]


async def test_a_row_is_never_looked_for_before_it_may_have_landed_and_be_listed() -> None:
    look, host = ScriptedLook(lambda _: Found("o-1")), ScriptedHost()

    await run_out(a_settlement(look, host), a_doubt(b"a", 60.0))

    assert host.findings[b"a"] == (60.0 + LIST_LAG_S, Found("o-1"))


# --- What follows -----------------------------------------------------------------------------------------------------


async def test_what_is_not_certain_is_looked_at_four_times_and_parked() -> None:
    look, host = ScriptedLook(unsettled), ScriptedHost()

    await run_out(a_settlement(look, host), a_doubt(b"a", 0.0))

    assert [at_s for at_s, _ in look.looks] == [10.0, 20.0, 40.0, 80.0]
    assert host.findings[b"a"] == (80.0, Unsettled(DOWN))


async def test_what_no_later_look_can_change_is_parked_at_once() -> None:
    final = Unsettled(DOWN, may_change=False)
    look, host = ScriptedLook(lambda _: final), ScriptedHost()

    await run_out(a_settlement(look, host), a_doubt(b"a", 0.0))

    assert host.findings[b"a"] == (10.0, final)


async def test_nothing_is_parked_while_the_run_still_creates() -> None:
    look, host = ScriptedLook(lambda _: Unsettled(DOWN, may_change=False)), ScriptedHost()
    host.is_busy = True
    settlement = a_settlement(look, host)
    settlement.add(a_doubt(b"a", 0.0))

    with running(settlement) as task:
        await asyncio.sleep(1000)
        parked_while_busy = dict(host.findings)
        host.is_busy = False
        settlement.note_end()
        await asyncio.wait_for(task, 1000)

    assert not parked_while_busy
    assert [at_s for at_s, _ in look.looks][:3] == [10.0, 40.0, 70.0]
    assert b"a" in host.findings


async def test_while_the_input_pauses_only_rows_that_were_read_are_parked() -> None:
    look, host = ScriptedLook(lambda _: Unsettled(DOWN, may_change=False)), ScriptedHost()
    host.is_idle = True
    settlement = a_settlement(look, host)
    read, not_read = a_doubt(b"a", 0.0), a_doubt(b"b", 0.0)
    read.row = SimpleNamespace()  # type: ignore[assignment]
    settlement.add(read)
    settlement.add(not_read)

    with running(settlement) as task:
        await asyncio.sleep(1000)
        parked_meanwhile = [*host.findings]
        host.is_idle = False
        settlement.note_end()
        await asyncio.wait_for(task, 1000)

    assert parked_meanwhile == [b"a"]
    assert [*host.findings] == [b"a", b"b"]


async def test_a_look_that_fails_is_repeated_until_the_outage_limit_and_then_parks() -> None:
    look, host = ScriptedLook(DOWN), ScriptedHost()

    await run_out(a_settlement(look, host, outage_limit_s=100.0), a_doubt(b"a", 0.0))

    at_s, finding = host.findings[b"a"]
    assert 110.0 <= at_s <= 150.0
    assert isinstance(finding, Unsettled)


async def test_a_look_that_would_fail_again_parks_at_once() -> None:
    look, host = ScriptedLook(AUTHENTICATION), ScriptedHost()

    await run_out(a_settlement(look, host), a_doubt(b"a", 0.0))

    assert len(look.looks) == 1
    assert host.findings[b"a"] == (10.0, Unsettled(AUTHENTICATION, may_change=False))


async def test_a_look_that_something_in_between_refuses_is_repeated() -> None:
    look, host = ScriptedLook(TOO_LARGE, TOO_LARGE, DOWN, TOO_LARGE, absent), ScriptedHost()

    await run_out(a_settlement(look, host), a_doubt(b"a", 0.0))

    assert [at_s for at_s, _ in look.looks] == [10.0, 11.0, 13.0, 17.0, 25.0]
    assert host.findings[b"a"] == (25.0, Absent())


async def test_a_look_that_is_refused_again_and_again_parks() -> None:
    look, host = ScriptedLook(TOO_LARGE), ScriptedHost()

    await run_out(a_settlement(look, host), a_doubt(b"a", 0.0))

    assert [at_s for at_s, _ in look.looks] == [10.0, 11.0, 13.0, 17.0]
    assert host.findings[b"a"] == (17.0, Unsettled(TOO_LARGE, may_change=False))


@pytest.mark.parametrize(("refusals", "is_audited"), [(3, True), (4, False)])
async def test_an_audit_that_something_in_between_refuses_is_tried_again(refusals: int, *, is_audited: bool) -> None:
    look, host = ScriptedLook(absent, audits=[*[TOO_LARGE] * refusals, 0]), ScriptedHost(Unaudited(7.0, clock.NEVER_S))

    await run_out(a_settlement(look, host))

    assert (host.was_audited, len(look.audits)) == (is_audited, 4)


async def test_a_row_of_an_earlier_session_is_remembered_for_when_it_is_read() -> None:
    look, host = ScriptedLook(absent), ScriptedHost()
    settlement = a_settlement(look, host)

    await run_out(settlement, a_doubt(b"a", 0.0))

    assert settlement.resolved == {b"a": Absent()}
    assert settlement.doubt_of(b"a") is None


async def test_a_run_without_doubts_ends_when_the_host_does() -> None:
    look, host = ScriptedLook(absent), ScriptedHost()
    host.is_busy = True
    settlement = a_settlement(look, host)

    with running(settlement) as task:
        await asyncio.sleep(5)
        was_done = task.done()
        host.is_busy = False
        settlement.note_end()
        await asyncio.wait_for(task, 1)

    assert not was_done
    assert look.audits == []


# --- The audit --------------------------------------------------------------------------------------------------------


async def test_the_audit_waits_until_what_was_sent_again_cannot_be_carried_out_twice() -> None:
    look, host = ScriptedLook(absent), ScriptedHost(Unaudited(7.0, clock.NEVER_S))

    await run_out(a_settlement(look, host), a_doubt(b"a", 60.0))

    assert look.audits == [(60.0 + LANDS_WITHIN_S + LIST_LAG_S, 7.0)]
    assert host.was_audited


async def test_the_audit_waits_for_the_last_request_of_a_row_that_its_first_one_has_settled() -> None:
    look = ScriptedLook(lambda _: Found("o-1"))
    host = ScriptedHost(Unaudited(7.0, clock.NEVER_S))
    again = a_doubt(b"a", 60.0)
    again.was_sent_before = True

    await run_out(a_settlement(look, host), again, a_doubt(b"b", 90.0))

    assert look.audits == [(60.0 + LANDS_WITHIN_S + LIST_LAG_S, 7.0)]


async def test_an_audit_that_finds_something_looks_again_when_the_list_is_sure_to_show_all() -> None:
    look, host = ScriptedLook(absent), ScriptedHost(Unaudited(7.0, clock.NEVER_S))
    look.twins = [("o-1", "o-2"), ("o-3", "o-4")]

    await run_out(a_settlement(look, host))

    assert [at_s for at_s, _ in look.audits] == [0.0, LIST_LAG_S, 2 * LIST_LAG_S]
    assert (host.was_audited, host.audited_s) == (True, 2 * LIST_LAG_S)


async def test_a_run_that_sends_nothing_audits_at_once_and_leaves_the_rest_to_the_next() -> None:
    look, host = ScriptedLook(absent), ScriptedHost(Unaudited(7.0, clock.NEVER_S))

    await run_out(a_settlement(look, host, only_settles=True), a_doubt(b"a", 60.0))

    assert look.audits == [(60.0 + LIST_LAG_S, 7.0)]
    assert not host.was_audited


async def test_the_audit_waits_for_what_an_earlier_session_has_sent_again() -> None:
    look, host = ScriptedLook(absent), ScriptedHost(Unaudited(7.0, 33.0))

    await run_out(a_settlement(look, host))

    assert look.audits == [(33.0, 7.0)]


async def test_an_audit_that_fails_is_tried_again_and_its_error_is_gone_then() -> None:
    look, host = ScriptedLook(absent, audits=[DOWN, DOWN, 0]), ScriptedHost(Unaudited(7.0, clock.NEVER_S))
    settlement = a_settlement(look, host)

    await run_out(settlement)

    assert [at_s for at_s, _ in look.audits] == [0.0, 1.0, 3.0]
    assert (settlement.audit_error, host.was_audited) == (None, True)


async def test_an_audit_that_is_cut_off_says_so() -> None:
    look, host = ScriptedLook(absent), ScriptedHost(Unaudited(7.0, 33.0))
    settlement = a_settlement(look, host)

    with running(settlement) as task:
        await asyncio.sleep(5)
        before = settlement.audit_error
    await asyncio.wait([task])

    assert (before, task.cancelled(), look.audits) == (None, True, [])
    assert "the run was stopped first" in str(settlement.audit_error)


async def test_an_audit_that_goes_on_failing_says_why() -> None:
    look, host = ScriptedLook(absent, audits=[DOWN]), ScriptedHost(Unaudited(7.0, clock.NEVER_S))
    settlement = a_settlement(look, host)

    await run_out(settlement)

    assert (settlement.audit_error, host.was_audited) == (DOWN, False)
    assert 300.0 <= clock.now() <= 400.0


async def test_an_audit_goes_on_as_long_as_fewer_objects_are_left() -> None:
    look = ScriptedLook(absent, audits=[9, 8, 7, 6, 5, 4, 3, 2, 1, 0])
    host = ScriptedHost(Unaudited(7.0, clock.NEVER_S))
    settlement = a_settlement(look, host)

    await run_out(settlement)

    assert (settlement.audit_error, host.was_audited) == (None, True)


async def test_an_object_that_stays_unreadable_ends_the_audit_soon() -> None:
    look, host = ScriptedLook(absent, audits=[1]), ScriptedHost(Unaudited(7.0, clock.NEVER_S))
    settlement = a_settlement(look, host)

    await run_out(settlement)

    assert isinstance(settlement.audit_error, DecodeError)
    assert "objects that may be duplicates (1) cannot be read" in str(settlement.audit_error)
    assert clock.now() < 60.0
    assert not host.was_audited


async def test_a_journal_that_cannot_tell_what_to_audit_is_why_nothing_is() -> None:
    class Unreadable(ScriptedHost):
        async def unaudited(self) -> Unaudited | None:
            raise UNREADABLE

    look = ScriptedLook(absent)
    settlement = a_settlement(look, Unreadable())

    await run_out(settlement)

    assert (settlement.audit_error, look.audits) == (UNREADABLE, [])
