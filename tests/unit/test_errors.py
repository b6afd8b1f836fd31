"""The error tree: its shape, its texts, and what survives pickling."""

import copy
import dataclasses
import pickle
import traceback
from datetime import UTC, datetime
from typing import Any

import pytest

import spotdx_async.errors as module
from spotdx_async.errors import (
    AuthenticationError,
    BadRequestError,
    BulkStopped,
    Clue,
    ConfigError,
    DecodeError,
    InvalidInputError,
    JournalError,
    LinkExpiredError,
    NotFoundError,
    NotSentError,
    OutcomeUnknownError,
    PermissionDeniedError,
    RateLimitError,
    ServerError,
    SpotError,
    StatusError,
    WaitTimeoutError,
    WrongAnswerError,
)

OPERATION = "POST /api/v2/kits/{kit_id}/"
ABOUT: dict[str, Any] = {"operation": OPERATION, "attempts": 3, "elapsed_s": 1.234}
STATUS_ABOUT: dict[str, Any] = {
    **ABOUT,
    "status": 499,
    "type": "canary_type",
    "details": ("canary_details: Jane Doe", "another"),
    "retry_after_s": 7.5,
    "request_id": "req-1",
    "headers": {"server": "canary_header"},
}
FAULTS = (("recipient.address.state", "must be a state's two letters"), ("", "is required"))
CLUE = Clue(
    client_ref="canary_ref",
    client_ref_key="canary_key",
    began_at=datetime(2024, 2, 9, 12, tzinfo=UTC),
    may_land_until=datetime(2024, 2, 9, 12, 1, tzinfo=UTC),
    subject={"barcode": "canary_subject"},
)
KINDS_OF_STATUS = [
    StatusError,
    BadRequestError,
    AuthenticationError,
    PermissionDeniedError,
    NotFoundError,
    RateLimitError,
    ServerError,
    LinkExpiredError,
]
EXAMPLES: list[tuple[type[SpotError], dict[str, Any]]] = [
    (SpotError, ABOUT),
    (ConfigError, ABOUT),
    (InvalidInputError, {**ABOUT, "faults": FAULTS}),
    (JournalError, {**ABOUT, "reason": "another run", "faults": FAULTS}),
    (NotSentError, {**ABOUT, "reason": "dns"}),
    (OutcomeUnknownError, {**ABOUT, "reason": "redirect", "status": 302, "clue": CLUE, "request_id": "req-1"}),
    *[(kind, {**STATUS_ABOUT, "body": b"canary_body: Jane Doe"}) for kind in KINDS_OF_STATUS],
    (
        DecodeError,
        {**ABOUT, "path": "sample.reports[0]", "outcome": "done", "raw": {"canary_raw": "Jane Doe"}, "clue": CLUE},
    ),
    (WrongAnswerError, {**ABOUT, "path": "kit_id", "outcome": "unknown", "raw": None, "clue": CLUE}),
    (WaitTimeoutError, {**ABOUT, "last": {"canary_last": "Jane Doe"}}),
    (BulkStopped, {**ABOUT, "next_index": 12, "unsent": 3}),
]
WRONG_INPUT = [ConfigError, InvalidInputError, JournalError]
NAMES = [kind.__name__ for kind, _ in EXAMPLES]


each_kind = pytest.mark.parametrize(("kind", "about"), EXAMPLES, ids=NAMES)


def visible_texts(error: SpotError) -> str:
    return "\n".join([str(error), repr(error), repr(error.args), *traceback.format_exception(error)])


def test_the_examples_here_are_all_there_is() -> None:
    assert sorted([*NAMES, "Clue", "FailureCause"]) == sorted(module.__all__)


def test_the_tree_is_the_promised_one() -> None:
    parents = {kind.__name__: [base.__name__ for base in kind.__bases__] for kind, _ in EXAMPLES}

    assert parents == {
        "SpotError": ["Exception"],
        "ConfigError": ["SpotError", "ValueError"],
        "InvalidInputError": ["SpotError", "ValueError"],
        "JournalError": ["InvalidInputError"],
        "NotSentError": ["SpotError"],
        "OutcomeUnknownError": ["SpotError"],
        "StatusError": ["SpotError"],
        "BadRequestError": ["StatusError"],
        "AuthenticationError": ["StatusError"],
        "PermissionDeniedError": ["StatusError"],
        "NotFoundError": ["StatusError"],
        "RateLimitError": ["StatusError"],
        "ServerError": ["StatusError"],
        "LinkExpiredError": ["StatusError"],
        "DecodeError": ["SpotError"],
        "WrongAnswerError": ["DecodeError"],
        "WaitTimeoutError": ["SpotError", "TimeoutError"],
        "BulkStopped": ["SpotError"],
    }


@each_kind
def test_an_error_made_of_a_message_alone_has_every_attribute(kind: type[SpotError], about: dict[str, Any]) -> None:
    error = kind("what failed")

    assert (error.operation, error.attempts, error.elapsed_s) == (None, 0, 0.0)
    assert str(error) == "what failed"
    assert vars(error).keys() == vars(kind("what failed", **about)).keys()


@each_kind
def test_an_error_without_a_message_is_readable(kind: type[SpotError], about: dict[str, Any]) -> None:
    assert str(kind()) == ""
    assert kind.__name__ in repr(kind(**about))


@each_kind
@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_pickling_keeps_all_but_the_raw_answer_and_what_the_clue_is_about(
    kind: type[SpotError], about: dict[str, Any], protocol: int
) -> None:
    error = kind("what failed", **about)
    left_out = {"raw": None, "last": None, "clue": dataclasses.replace(CLUE, subject={})}

    again = pickle.loads(pickle.dumps(error, protocol))

    assert type(again) is kind
    assert (str(again), repr(again), again.args) == (str(error), repr(error), error.args)
    assert vars(again) == {name: left_out.get(name, value) for name, value in vars(error).items()}


def test_the_raw_answer_is_not_in_the_pickle() -> None:
    error = DecodeError("what failed", outcome="done", raw={"name": "canary_raw"})

    assert b"canary_raw" not in pickle.dumps(error)
    assert error.raw == {"name": "canary_raw"}


@pytest.mark.parametrize("kind", [OutcomeUnknownError, DecodeError])
def test_what_the_clue_is_about_is_not_in_the_pickle(kind: Any) -> None:
    error = kind("what failed", clue=CLUE)

    written = pickle.dumps(error)

    assert b"canary_subject" not in written
    assert pickle.loads(written).clue.client_ref == "canary_ref"
    assert error.clue.subject == {"barcode": "canary_subject"}


@pytest.mark.parametrize("kind", [OutcomeUnknownError, DecodeError])
def test_only_a_create_leaves_a_clue(kind: Any) -> None:
    assert kind("what failed").clue is None


@pytest.mark.parametrize("kind", [InvalidInputError, JournalError])
def test_an_error_that_one_message_says_lists_no_faults(kind: type[InvalidInputError]) -> None:
    assert kind("what failed").faults == ()


def test_the_faults_are_given_as_they_were_found() -> None:
    assert InvalidInputError("what failed", faults=FAULTS).faults == FAULTS


def test_the_error_that_stopped_a_bulk_run_is_pickled_with_it() -> None:
    stopped = BulkStopped("stopped", cause=AuthenticationError("no", **STATUS_ABOUT), next_index=5, unsent=2)

    again = pickle.loads(pickle.dumps(stopped))

    assert isinstance(again.cause, AuthenticationError)
    assert vars(again.cause) == STATUS_ABOUT
    assert (again.next_index, again.unsent) == (5, 2)


def test_the_raw_answer_of_the_error_that_stopped_a_bulk_run_is_not_pickled() -> None:
    stopped = BulkStopped("stopped", cause=DecodeError("no", raw="canary_raw"))

    assert b"canary_raw" not in pickle.dumps(stopped)


@each_kind
@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy])
def test_a_copy_says_the_same(kind: type[SpotError], about: dict[str, Any], duplicate: Any) -> None:
    error = kind("what failed", **about)

    again = duplicate(error)

    assert again is not error
    assert type(again) is kind
    assert (str(again), again.args, again.operation) == (str(error), error.args, OPERATION)


def test_notes_survive_pickling() -> None:
    error = NotSentError("what failed", reason="dns")
    error.add_note("while testing")

    assert pickle.loads(pickle.dumps(error)).__notes__ == ["while testing"]


@each_kind
def test_no_text_shows_what_the_server_wrote(kind: type[SpotError], about: dict[str, Any]) -> None:
    error = kind("what failed", **about)

    assert "canary" not in visible_texts(error)
    assert "Jane" not in visible_texts(error)


@each_kind
def test_attributes_that_are_set_later_show_in_the_text(kind: type[SpotError], about: dict[str, Any]) -> None:
    del about
    error = kind("what failed")

    error.operation, error.attempts, error.elapsed_s = OPERATION, 2, 0.5

    assert str(error) == f"{OPERATION}: what failed (2 attempts, 0.50 s)"


@pytest.mark.parametrize(
    ("attempts", "text"),
    [
        (0, "what failed"),
        (1, "what failed (1 attempt, 1.50 s)"),
        (2, "what failed (2 attempts, 1.50 s)"),
        (1000, "what failed (1000 attempts, 1.50 s)"),
    ],
)
def test_the_text_counts_the_attempts(attempts: int, text: str) -> None:
    assert str(SpotError("what failed", attempts=attempts, elapsed_s=1.4999)) == text


def test_the_repr_names_the_kind() -> None:
    assert (
        repr(NotFoundError("gone", operation="GET /x", attempts=1))
        == "<NotFoundError: GET /x: gone (1 attempt, 0.00 s)>"
    )


@pytest.mark.parametrize("kind", WRONG_INPUT)
def test_what_the_caller_did_wrong_is_a_value_error(kind: type[SpotError]) -> None:
    with pytest.raises(ValueError, match="what failed"):
        raise kind("what failed")


@pytest.mark.parametrize("kind", [kind for kind, _ in EXAMPLES if kind not in WRONG_INPUT])
def test_what_the_world_did_wrong_is_no_value_error(kind: type[SpotError]) -> None:
    assert not issubclass(kind, ValueError)


@each_kind
def test_an_attribute_that_does_not_exist_is_refused(kind: type[SpotError], about: dict[str, Any]) -> None:
    with pytest.raises(TypeError, match="colour"):
        kind("what failed", **about, colour="red")  # type: ignore[call-arg]  # that is the test


@pytest.mark.parametrize("kind", KINDS_OF_STATUS)
def test_a_status_error_tells_what_the_server_said(kind: type[StatusError]) -> None:
    error = kind("no", **STATUS_ABOUT)

    assert (error.status, error.type, error.retry_after_s) == (499, "canary_type", 7.5)
    assert error.details == ("canary_details: Jane Doe", "another")
    assert (error.request_id, dict(error.headers)) == ("req-1", {"server": "canary_header"})


BODY = b"canary_body: Jane Doe"


@pytest.mark.parametrize("kind", KINDS_OF_STATUS)
def test_the_body_of_a_refusal_stands_in_no_text_no_pickle_and_not_in_vars(kind: type[StatusError]) -> None:
    error = kind("no", **STATUS_ABOUT, body=BODY)

    assert error.body == BODY
    assert "Jane Doe" not in visible_texts(error)
    assert "body" not in repr(vars(error))
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        written = pickle.dumps(error, protocol)
        assert b"canary_body" not in written
        assert pickle.loads(written).body == b""


@pytest.mark.parametrize("kind", KINDS_OF_STATUS)
def test_a_refusal_that_was_unpickled_without_its_init_has_an_empty_body(kind: type[StatusError]) -> None:
    again = kind.__new__(kind, "no")  # as the pickling of exceptions that Dask installs makes it

    assert again.body == b""
    with pytest.raises(AttributeError, match="has no attribute 'other'"):
        _ = again.other  # type: ignore[attr-defined]  # that is the point


@pytest.mark.parametrize("kind", KINDS_OF_STATUS)
@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy])
def test_a_copy_of_a_refusal_keeps_the_body_and_all_else(kind: type[StatusError], duplicate: Any) -> None:
    error = kind("no", **STATUS_ABOUT, body=BODY)
    error.add_note("while testing")

    again = duplicate(error)

    assert (again.body, vars(again)) == (BODY, vars(error))
    assert (type(again), str(again)) == (kind, str(error))
    again.status = 1
    assert error.status == 499
    assert b"canary_body" not in pickle.dumps(again)


def test_a_trace_that_shows_locals_shows_no_body() -> None:
    error = StatusError("no", body=BODY, headers={"server": "canary_header"}, details=("canary_details",))

    try:
        raise error
    except StatusError as raised:
        shown = "".join(traceback.TracebackException.from_exception(raised, capture_locals=True).format())

    frames = shown.partition("error = ")[2]
    assert frames.startswith("<StatusError: no>")
    assert "canary" not in frames


def test_the_headers_are_the_error_s_own() -> None:
    headers = {"server": "one"}
    error = StatusError("no", headers=headers)

    headers["server"] = "another"

    assert error.headers == {"server": "one"}
    assert StatusError("no").headers == {}
