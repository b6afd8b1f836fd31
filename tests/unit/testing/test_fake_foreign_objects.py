"""What other callers create meanwhile, what is not shown of metadata, and who carries which reference."""

import json
import time
from datetime import UTC, datetime
from typing import Any, cast

import pytest

from spotdx_async.testing import Creation, Creations
from spotdx_async.testing.listed_store import MetadataGap
from spotdx_async.testing.state import SpotState
from tests.unit.testing.test_fake_creations import ORDER, REQUISITION

NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)
NOUNS = ("orders", "requisitions")
each_noun = pytest.mark.parametrize("noun", NOUNS)
TARGETS = {"orders": "/api/v2/orders/{}/", "requisitions": "/api/v2/requisitions/{}"}


@pytest.fixture
def state() -> SpotState:
    return SpotState(orders=[], requisitions=[], wall=lambda: NOON)


def got(state: SpotState, noun: str, an_id: str) -> dict[str, Any]:
    return cast("dict[str, Any]", call(state, "GET", TARGETS[noun].format(an_id)))


def call(state: SpotState, method: str, target: str, body: Any = None, index: int = 0) -> Any:
    sent = b"" if body is None else json.dumps(body).encode()
    return json.loads(state.execute(state.read(method, target, sent, index=index), "Token test-token").body)


# --- What others create -----------------------------------------------------------------------------------------------


@each_noun
def test_foreign_objects_are_listed_and_got_and_in_no_ledger(state: SpotState, noun: str) -> None:
    ids = getattr(state, noun).add_foreign(3)

    rows = call(state, "GET", f"/api/v2/{noun}/")

    assert {row[f"{noun[:-1]}_id"] for row in rows} == {*ids}
    assert [row["created"] for row in rows] == ["2030-01-01T12:00:00.000Z"] * 3
    assert [got(state, noun, an_id)["metadata"] for an_id in ids] == [None] * 3
    assert state.creations == []


@each_noun
def test_foreign_objects_have_the_metadata_of_their_makers(state: SpotState, noun: str) -> None:
    store, shared = getattr(state, noun), {"cohort": "theirs"}

    (first, second) = store.add_foreign(2, metadata=lambda number: {"client_ref": f"r{number}"} if number else None)
    (third,) = store.add_foreign(metadata=shared)
    store[third].metadata["cohort"] = "changed"

    assert [store[one].metadata for one in (first, second)] == [None, {"client_ref": "r1"}]
    assert shared == {"cohort": "theirs"}


@each_noun
def test_thousands_of_foreign_objects_are_cheap(state: SpotState, noun: str) -> None:
    began = time.process_time()
    ids = getattr(state, noun).add_foreign(5_000)

    assert len({*ids}) == 5_000
    assert time.process_time() - began < 2


# --- What is not shown of metadata ------------------------------------------------------------------------------------


@each_noun
@pytest.mark.parametrize(
    ("gap", "shown"),
    [("missing", {}), ("null", {"metadata": None}), ("reference", {"metadata": {"cohort": "A"}})],
)
def test_metadata_come_back_incomplete_and_are_stored_whole(
    state: SpotState, noun: str, gap: MetadataGap, shown: dict[str, Any]
) -> None:
    store, metadata = getattr(state, noun), {"client_ref": "r1", "cohort": "A"}
    (an_id,) = store.add_foreign(metadata=metadata)
    whole = got(state, noun, an_id)

    store.strip_metadata(gap)

    rest = {name: value for name, value in whole.items() if name != "metadata"}
    assert got(state, noun, an_id) == {**rest, **shown}
    assert store.ids_by_reference() == {"r1": (an_id,)}
    store.show_metadata()
    assert got(state, noun, an_id) == whole


def test_the_answers_to_a_create_and_an_update_show_as_little(state: SpotState) -> None:
    state.orders.strip_metadata("missing")
    state.requisitions.strip_metadata("reference", key="key")

    placed = call(state, "POST", "/api/v2/orders/", ORDER)
    updated = call(state, "POST", f"/api/v2/orders/{placed['order_id']}/", {"metadata": {"cohort": "A"}})

    assert "metadata" not in {*placed, *updated}
    assert call(state, "POST", "/api/v2/requisitions/", REQUISITION)["metadata"] == {}
    assert state.orders[placed["order_id"]].metadata == {"cohort": "A"}


def test_a_predicate_chooses_whose_metadata_are_incomplete(state: SpotState) -> None:
    first, second = state.orders.add_foreign(2, metadata={"client_ref": "r"})
    state.orders.strip_metadata("null", only=lambda order: order.order_id == second)

    assert [got(state, "orders", an_id)["metadata"] for an_id in (first, second)] == [{"client_ref": "r"}, None]


def test_metadata_that_are_null_stay_null(state: SpotState) -> None:
    (an_id,) = state.orders.add_foreign()
    state.orders.strip_metadata("reference")

    assert got(state, "orders", an_id)["metadata"] is None


def test_another_gap_is_refused(state: SpotState) -> None:
    with pytest.raises(ValueError, match="gap must be one of missing, null, reference"):
        state.orders.strip_metadata(cast("MetadataGap", "empty"))


# --- Who carries which reference --------------------------------------------------------------------------------------


@each_noun
def test_what_is_there_is_found_by_its_reference(state: SpotState, noun: str) -> None:
    store = getattr(state, noun)
    a, _, b, c = store.add_foreign(
        4, metadata=lambda number: [{"client_ref": "r"}, {"client_ref": 7}, {"client_ref": "r"}, {"ours": "s"}][number]
    )

    assert store.ids_by_reference() == {"r": (a, b)}
    assert store.ids_by_reference(key="ours") == {"s": (c,)}


def test_the_ledger_knows_what_was_deleted_and_which_request_created_what(state: SpotState) -> None:
    state.elapsed_s = lambda: 7.0
    order = {**ORDER, "metadata": {"client_ref": "r"}}
    placed = [call(state, "POST", "/api/v2/orders/", order, index)["order_id"] for index in (3, 3, 4)]
    call(state, "POST", "/api/v2/requisitions/", {**REQUISITION, "metadata": {"client_ref": "r2"}}, index=5)
    del state.orders[placed[0]]

    by_request = state.creations.by_request()

    assert [[creation.an_id for creation in by_request[index]] for index in (3, 4)] == [placed[:2], placed[2:]]
    assert state.creations.duplicates() == {"r": tuple(placed)}
    assert {*state.creations.ids_by_reference()} == {"r", "r2"}
    assert {*state.creations.ids_by_reference("requisition")} == {"r2"}
    assert {creation.at_s for creation in state.creations} == {7.0}
    assert state.orders.ids_by_reference() == {"r": tuple(placed[1:])}


@pytest.mark.parametrize("body", [{}, {"metadata": None}, {"metadata": {"client_ref": 1}}, {"metadata": {"x": "r"}}])
def test_a_create_without_a_reference_is_under_none(body: dict[str, Any]) -> None:
    creation = Creation("order", "O1", body, 0)

    assert creation.reference() is None
    assert Creations([creation]).ids_by_reference() == {}
