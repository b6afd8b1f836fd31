"""JSON that is not what the contract says: where the error points, and that it shows nothing of the value."""

import json
import pickle
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from spotdx_async import DecodeError, InvalidInputError, SpotError, dumps, loads
from spotdx_async._codec.codec import decode
from spotdx_async.models import Kit, KitEvent, KitSummary, QuantityResult, Registrant, Report, Sample

CANARY = "canary-7f3a"
SAMPLE = json.loads((Path(__file__).parents[2] / "samples" / "kit.json").read_bytes())
TIMES = {"created", "time_collected", "date_collected", "date_received", "date_resulted"}
Steps = tuple[str | int, ...]


def places(value: Any, steps: Steps = ()) -> Iterator[tuple[Steps, Any]]:
    yield steps, value
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in children:
        yield from places(child, (*steps, key))


def with_value_at(steps: Steps, value: Any) -> Any:
    if not steps:
        return value
    tree = json.loads(json.dumps(SAMPLE))
    holder = tree
    for step in steps[:-1]:
        holder = holder[step]
    holder[steps[-1]] = value
    return tree


def path_of(steps: Steps) -> str:
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in steps).removeprefix(".")


def wrong_values(steps: Steps, value: Any) -> list[Any]:
    """List values of JSON types that the place cannot hold; each holds the canary where it can."""
    text, number, truth, items, fields = CANARY, 817_263, True, [CANARY], {CANARY: CANARY}
    if isinstance(value, dict):
        return [text, number, truth, items]
    if isinstance(value, list):
        return [text, number, truth, fields]
    if isinstance(value, bool):
        return [text, number, items, fields]
    if steps[-1] in {"range_minimum", "range_maximum"} or (steps[-1] == "result" and value in (123, "<10")):
        return [truth, items, fields]
    unreadable = [text] if steps[-1] in {*TIMES, "date_of_birth"} else []
    return [number, truth, items, fields, *unreadable]


FAULTS = [(steps, wrong) for steps, value in places(SAMPLE) for wrong in wrong_values(steps, value)]


def fault_of(text: bytes | str, type_: Any = Kit) -> DecodeError:
    with pytest.raises(DecodeError) as caught:
        loads(text, type_)
    return caught.value


def assert_shows_nothing(error: SpotError) -> None:
    frames = traceback.TracebackException.from_exception(error, capture_locals=True)
    sdk = [frame for frame in frames.stack if "spotdx_async" in frame.filename]
    shown = [str(error), repr(error), repr(error.args), repr(pickle.dumps(error))]
    shown += [repr(frame.locals) for frame in sdk]
    assert not [text for text in shown if CANARY in text or "817263" in text]
    assert error.__cause__ is None
    assert error.__context__ is None


@pytest.mark.parametrize(("steps", "wrong"), FAULTS, ids=[f"{path_of(s)}={type(w).__name__}" for s, w in FAULTS])
def test_a_value_of_another_json_type_is_a_decode_error_that_names_its_place(steps: Steps, wrong: Any) -> None:
    tree = with_value_at(steps, wrong)

    error = fault_of(json.dumps(tree))

    assert (error.path, error.outcome) == (path_of(steps), "done")
    assert error.raw == tree
    assert (error.path or "the answer") in str(error)
    assert_shows_nothing(error)


@pytest.mark.parametrize(
    "raw",
    [
        *("", "yesterday", "2023-13-01T00:00:00Z", "2023-02-30T00:00:00Z", "2023-01-01T25:00:00Z", "1672547411"),
        *("2023-01-01x04:30:11Z", "2023-01-01T04:30:11.222X", "0000-01-01T00:00:00Z", "10000-01-01T00:00:00Z"),
        *("0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-05:00", "٢٠٢٣-٠١-٠١T٠٤:٣٠:١١Z", "2023-01-01T04:30:11Z\0"),
    ],
)
def test_a_time_that_cannot_be_read_is_a_decode_error(raw: str) -> None:
    error = fault_of(json.dumps({"events": [{}, {"created": raw}]}))

    assert error.path == "events[1].created"
    assert "a date and time" in str(error)


@pytest.mark.parametrize(
    "raw", ["", "1990-1-1", "1990-02-30", "19900101", "1990-W01-1", "1990-01-01T00:00:00Z", "01/02/1990", "١٩٩٠-٠١-٠١"]
)
def test_a_date_that_cannot_be_read_is_a_decode_error(raw: str) -> None:
    error = fault_of(json.dumps({"date_of_birth": raw}), Registrant)

    assert error.path == "date_of_birth"
    assert "a date (YYYY-MM-DD)" in str(error)


@pytest.mark.parametrize("items", [[None], ["a", None], [1], [["a"]]])
def test_a_panel_that_is_no_text_is_a_decode_error(items: list[Any]) -> None:
    assert fault_of(json.dumps({"panels": items}), Sample).path == f"panels[{len(items) - 1}]"


def test_null_in_a_list_of_objects_is_a_decode_error_but_for_reports() -> None:
    assert fault_of(b'{"events": [null]}').path == "events[0]"
    assert fault_of(b'{"results": [null]}', Report).path == "results[0]"
    assert loads(b'{"reports": [null]}', Sample).reports == (None,)


@pytest.mark.parametrize("tag", [5, True, ["quantity"], {"a": 1}])
def test_a_tag_that_is_no_text_is_a_decode_error(tag: Any) -> None:
    assert fault_of(json.dumps({"results": [{"result_type": tag}]}), Report).path == "results[0].result_type"


def test_a_kind_of_result_that_is_asked_for_alone_refuses_the_tag_of_another() -> None:
    error = fault_of(b'{"result_type": "genotype"}', QuantityResult)

    assert error.path == "result_type"
    assert str(error) == 'result_type should be "quantity" and is text'


def test_where_any_object_will_do_nothing_else_does() -> None:
    with pytest.raises(DecodeError, match="the answer should be an object and is a list"):
        decode(b"[]", dict[str, Any])


def test_a_list_of_objects_is_named_by_its_index_at_the_top() -> None:
    error = fault_of(b'[{"kit_id": "1"}, {"kit_id": 2}]', tuple[KitSummary, ...])

    assert error.path == "[1].kit_id"


@pytest.mark.parametrize("text", ["[]", "null", '"x"', "5", "true"])
def test_an_answer_of_another_kind_has_an_empty_path(text: str) -> None:
    error = fault_of(text)

    assert (error.path, error.outcome) == ("", "done")
    assert str(error).startswith("the answer should be an object")


def test_the_raw_answer_is_exact_and_is_not_pickled() -> None:
    error = fault_of(b'{"kit_id": 5, "x": 123456789012345678901234567890}')

    assert error.raw["x"] == 123456789012345678901234567890
    assert pickle.loads(pickle.dumps(error)).raw is None
    assert pickle.loads(pickle.dumps(error)).path == "kit_id"


def test_a_model_that_cannot_be_written_shows_nothing() -> None:
    with pytest.raises(InvalidInputError) as caught:
        dumps(Registrant(first_name=CANARY, extra={"ratio": float("nan")}))

    assert str(caught.value) == "the model has no JSON form: .ratio is NaN or infinite, which JSON does not have"
    assert_shows_nothing(caught.value)


NOT_JSON: list[bytes | str] = [
    b"",
    b"<html>canary-7f3a</html>",
    b'{"kit_id": "canary-7f3a"',
    b'{"kit_id": NaN, "x": "canary-7f3a"}',
    b'{"kit_id": "canary-7f3a \xff"}',
    '{"kit_id": "canary-7f3a \ud800"}',
    b"[" * 200_000,
    b'{"a":' * 2_000 + b"1" + b"}" * 2_000,
]


@pytest.mark.parametrize("text", NOT_JSON, ids=range(len(NOT_JSON)))
def test_text_that_is_no_json_is_a_decode_error_of_unknown_outcome(text: bytes | str) -> None:
    error = fault_of(text)

    assert (error.path, error.outcome, error.raw) == ("", "unknown", None)
    assert_shows_nothing(error)


def test_the_operation_is_told() -> None:
    with pytest.raises(DecodeError, match=r"GET /api/v2/kits/\{kit_id\}/: status should be text") as caught:
        decode(b'{"status": 5}', Kit, operation="GET /api/v2/kits/{kit_id}/")

    assert caught.value.operation == "GET /api/v2/kits/{kit_id}/"


# Longer numbers at more than 400 levels meet the recursion limit of the exact parser: they are read, and rounded.
DEEP = [(150, 2**70), (250, 5), (400, 2**70), (600, 5), (1000, 5)]


@pytest.mark.parametrize(("depth", "number"), DEEP)
def test_unknown_fields_are_read_and_written_however_deep_they_are(depth: int, number: int) -> None:
    text = b'{"kit_id":"SPOT1","a":' + b'[{"b":' * (depth // 2) + b"%d" % number + b"}]" * (depth // 2) + b"}"

    kit = loads(text, Kit)

    assert repr(kit) == "Kit(kit_id='SPOT1', <hidden>)"
    assert hash(kit) == hash(loads(text, Kit))
    assert dumps(kit) == text


@pytest.mark.parametrize(("depth", "number"), DEEP)
def test_an_unknown_result_is_read_and_written_however_deep_it_is(depth: int, number: int) -> None:
    inner = b'{"result_type":"new","result":' + b"[" * depth + b'"x",{},[],%d' % number + b"]" * depth + b"}"
    text = b'{"results":[' + inner + b"]}"

    assert dumps(loads(text, Report)) == text


def test_a_fault_beside_a_rounded_number_is_found() -> None:
    assert fault_of(b'{"x": 123456789012345678901, "created": 5}', KitEvent).path == "created"


def test_a_number_that_needs_exact_reading_changes_nothing_else() -> None:
    report = loads(
        b'{"is_amendment": true, "date_received": "2023-01-01T00:00:00Z", "x": 123456789012345678901}', Report
    )

    assert report.is_amendment is True
    assert report.extra == {"x": 123456789012345678901}
