"""When a run stops by itself, and in which words: no id, no secret and no text of the server's in them."""

import asyncio
import errno
import pickle
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from spotdx_async import (
    AuthenticationError,
    DecodeError,
    JournalError,
    NotSentError,
    OutcomeUnknownError,
    PermissionDeniedError,
    RetryPolicy,
    ServerError,
    SpotError,
    WrongAnswerError,
)
from spotdx_async._http.messages import Action, AttemptResult, Verdict
from spotdx_async.bulk.options import RunOptions
from spotdx_async.bulk.records import Outcome
from spotdx_async.bulk.stop_rules import StopRules
from spotdx_async.errors import FailureCause

pytestmark = pytest.mark.virtual_time

HOST = "spot.example:8443"


def rules_of(stopped: list[SpotError], has_arrived: Callable[[], bool] = lambda: False, **options: Any) -> StopRules:
    """Build what is tested here: the only place that knows how."""

    async def sleep(_: float) -> None: ...

    usual: dict[str, Any] = {"stop_after": None, "wait_for_server": False, "outage_limit_s": 1800.0}
    whole = RunOptions(
        concurrency=4,
        ordered=False,
        coalesce=False,
        policy=RetryPolicy(),
        operation="POST /api/v2/kits/{kit_id}/",
        host=HOST,
        lands_within_s=60.0,
        sleep=sleep,
        **{**usual, **options},
    )
    return StopRules(whole, stopped.append, busy_s=lambda: float("inf"), has_arrived=has_arrived)


def tried(error: SpotError | None, attempts: int = 1) -> AttemptResult:
    return AttemptResult(Verdict(Action.ACCEPT if error is None else Action.REPEAT, error=error), attempts, 0.0, 0.0)


TLS = FailureCause("SSLCertVerificationError", None, "certificate has expired", None)
PROXY = FailureCause(None, None, None, 407)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (NotSentError("x", reason="refused"), "connection refused"),
        (NotSentError("x", reason="dns"), "name not found"),
        (NotSentError("x", reason="limit"), "limit"),
        (NotSentError("x", reason="tls", cause=TLS), "TLS: certificate has expired"),
        (NotSentError("x", reason="connect", cause=PROXY), "the proxy answered 407"),
        (OutcomeUnknownError("x", reason="dropped"), "connection broken"),
        (OutcomeUnknownError("x", reason="redirect", status=302), "status 302"),
        (ServerError("canary", status=503), "status 503"),
        (WrongAnswerError("canary"), "the answer is for another object"),
        (DecodeError("canary.key", outcome="done"), "the answer has another shape"),
        (DecodeError("POST: the answer: kit_id is missing"), "unusable answer: kit_id is missing"),
        (DecodeError(), "unusable answer: "),
        (SpotError("canary"), "SpotError"),
    ],
)
async def test_a_trouble_is_told_by_the_server_s_name_and_a_reason(error: SpotError, words: str) -> None:
    rules = rules_of([])
    assert rules.trouble() == HOST

    rules.note_try(tried(error))
    rules.note_try(tried(None))

    assert rules.trouble() == f"{HOST}: {words}"
    rules.close()


def noted(error: SpotError | None, *, attempts: int = 1) -> tuple[Outcome[Any], SpotError | None]:
    return Outcome(index=0, key="K", state="failed" if error else "ok", error=error, attempts=attempts), error


FORBIDDEN = PermissionDeniedError("403", status=403)
REDIRECTED = OutcomeUnknownError("redirected", reason="redirect")
NO_CERTIFICATE = OutcomeUnknownError("a certificate is asked for", cause=TLS)
DROPPED = OutcomeUnknownError("dropped")
WRONG = WrongAnswerError("another")


@pytest.mark.parametrize(
    ("errors", "stops_at"),
    [
        ([FORBIDDEN] * 3, 3),
        ([REDIRECTED] * 3, 3),
        ([NO_CERTIFICATE] * 3, 3),
        ([FORBIDDEN, REDIRECTED, NO_CERTIFICATE], 3),
        ([NotSentError("407", reason="connect", cause=PROXY)] * 3, 3),
        ([NotSentError("502", reason="connect", cause=replace(PROXY, proxy_status=502))] * 50, None),
        ([WRONG] * 3, 3),
        ([FORBIDDEN, FORBIDDEN, WRONG, WRONG], None),
        ([FORBIDDEN, FORBIDDEN, None, FORBIDDEN, FORBIDDEN], None),
        ([DROPPED] * 50, None),
        ([AuthenticationError("401", status=401)], 1),
    ],
)
def test_refusals_one_after_another_stop_the_run(errors: list[SpotError | None], stops_at: int | None) -> None:
    stopped: list[SpotError] = []
    rules = rules_of(stopped)

    at = None
    for count, error in enumerate(errors, 1):
        rules.note_outcome(*noted(error))
        at = count if stopped and at is None else at

    assert at == stops_at


def test_rows_that_were_not_sent_neither_add_to_refusals_nor_end_their_row() -> None:
    stopped: list[SpotError] = []
    rules = rules_of(stopped)

    for error, attempts in ((FORBIDDEN, 1), (DROPPED, 0), (FORBIDDEN, 1)):
        rules.note_outcome(*noted(error, attempts=attempts))
    assert stopped == []
    rules.note_outcome(*noted(FORBIDDEN))

    assert stopped == [FORBIDDEN]


async def test_a_process_that_may_open_no_file_gives_up_like_a_server_that_is_not_there() -> None:
    stopped: list[SpotError] = []
    rules = rules_of(stopped)
    cause = FailureCause("OSError", errno.EMFILE)

    rules.note_try(tried(NotSentError("no connection", reason="connect", cause=cause)))
    await asyncio.sleep(31)

    assert str(stopped[0]) == (
        f"no request has reached the server in 30 s: {HOST}: this process may open no more files: "
        "raise the limit (ulimit -n)"
    )


async def test_a_proxy_that_is_not_there_is_named_in_place_of_the_server() -> None:
    stopped: list[SpotError] = []
    rules = rules_of(stopped)
    cause = FailureCause("ConnectionRefusedError", errno.ECONNREFUSED, proxy="proxy.example:3128")

    rules.note_try(tried(NotSentError("the proxy refused the connection", reason="refused", cause=cause)))
    await asyncio.sleep(31)

    (stop,) = stopped
    assert str(stop) == (
        f"no request has reached the server in 30 s: {HOST}: the proxy proxy.example:3128: connection refused: "
        "check proxy, or pass wait_for_server=True to wait for it"
    )
    assert isinstance(stop, NotSentError)
    assert (stop.proxy, stop.errno) == ("proxy.example:3128", errno.ECONNREFUSED)


def test_only_failures_count_towards_the_caller_s_limit() -> None:
    stopped: list[SpotError] = []
    rules = rules_of(stopped, stop_after=3)

    for error in (DROPPED, None, DROPPED, None):
        rules.note_outcome(*noted(error))
    assert stopped == []
    rules.note_outcome(*noted(DROPPED))

    assert stopped == [DROPPED]


def test_the_error_at_the_end_says_that_the_caller_s_limit_was_reached() -> None:
    rules = rules_of([], stop_after=2)

    for _ in range(2):
        rules.note_outcome(*noted(DROPPED))
    stopped = rules.stopped(DROPPED, read=2, unsent=0, has_journal=False)

    assert stopped.stop_after == 2
    assert "as stop_after=2 says, the last OutcomeUnknownError" in str(stopped)
    assert pickle.loads(pickle.dumps(stopped)).stop_after == 2


def test_what_every_row_would_meet_goes_before_the_caller_s_limit() -> None:
    rules = rules_of([], stop_after=1)
    refused = AuthenticationError("no", status=401)

    rules.note_outcome(*noted(refused))

    assert rules.stopped(refused, read=1, unsent=0, has_journal=False).stop_after is None


@pytest.mark.parametrize(
    ("read", "unsent", "text"),
    [
        (0, 0, "stopped before any row was read, by"),
        (1, 0, "after 1 row was read, by"),
        (1, 1, "after 1 row was read and not sent, by"),
        (9, 0, "after 9 rows were read, by"),
        (9, 4, "after 9 rows were read, 4 of them not sent, by"),
    ],
)
@pytest.mark.parametrize("has_journal", [False, True])
async def test_the_error_at_the_end_says_how_far_the_run_came(
    read: int, unsent: int, text: str, has_journal: bool
) -> None:
    cause = NotSentError("no token", reason="token")

    error = rules_of([]).stopped(cause, read=read, unsent=unsent, has_journal=has_journal)

    assert text in str(error)
    assert HOST in str(error)
    assert ("the same journal continues" in str(error)) == has_journal
    assert (error.cause, error.next_index, error.unsent) == (cause, read, unsent)


@pytest.mark.parametrize(("reason", "goes_on"), [("disk", True), ("path", False)])
async def test_a_journal_that_is_gone_is_not_said_to_go_on(reason: str, goes_on: bool) -> None:
    error = rules_of([]).stopped(JournalError("no", reason=reason), read=1, unsent=0, has_journal=True)

    assert ("the same journal continues" in str(error)) == goes_on


async def test_a_cause_without_a_text_is_told_by_its_class() -> None:
    cause = SpotError()
    cause.args = ()

    error = rules_of([]).stopped(cause, read=1, unsent=0, has_journal=False)

    assert "by SpotError" in str(error)
