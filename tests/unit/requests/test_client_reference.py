"""The client's own reference: where it is taken from, what is refused, and how it is found again."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any
from uuid import UUID

import pytest

from spotdx_async._requests.client_reference import carries, with_reference
from spotdx_async.errors import InvalidInputError

KEY = "client_ref"
OPERATION = "POST /api/v2/orders/"
CANARY = "canary-7f3a"
NO_TEXT = [5, 0, True, b"ref", ["ref"], {}, 1.5]
BLANK = ["", " ", "\t\n"]


def referred(
    metadata: Mapping[str, Any] | None, *, key: str | None = KEY, reference: Any = None
) -> tuple[dict[str, Any] | None, str | None]:
    return with_reference(metadata, key=key, reference=reference, operation=OPERATION)


def error_of(metadata: Mapping[str, Any] | None, *, key: str | None = KEY, reference: Any = None) -> InvalidInputError:
    with pytest.raises(InvalidInputError) as caught:
        referred(metadata, key=key, reference=reference)
    return caught.value


# 1. Without a key there is none


@pytest.mark.parametrize("metadata", [None, {}, {"cohort": "A"}, {KEY: "a"}])
def test_without_a_key_the_metadata_stays_as_it_is_and_there_is_no_reference(metadata: Any) -> None:
    assert referred(metadata, key=None) == (metadata, None)


def test_without_a_key_a_reference_of_the_caller_has_no_place() -> None:
    error = error_of(None, key=None, reference=CANARY)

    assert error.faults == (("client_ref", "cannot be stored: the client has client_ref_key=None"),)
    assert "canary" not in repr(error)


# 2. A reference given by the caller is taken


@pytest.mark.parametrize("metadata", [None, {}, {KEY: None}, {KEY: "mine"}])
def test_a_reference_of_the_caller_is_taken(metadata: Any) -> None:
    assert referred(metadata, reference="mine") == ({KEY: "mine"}, "mine")


# 3. One that stands in the metadata already is taken


def test_a_reference_in_the_metadata_is_taken() -> None:
    assert referred({KEY: "mine", "cohort": "A"}) == ({KEY: "mine", "cohort": "A"}, "mine")


def test_the_key_is_the_clients() -> None:
    assert referred({"client_ref": "no", "ours": "yes"}, key="ours") == ({"client_ref": "no", "ours": "yes"}, "yes")


# 4. Otherwise it is a new UUID4


@pytest.mark.parametrize("metadata", [None, {}, {"cohort": "A"}, {KEY: None}])
def test_otherwise_the_reference_is_a_new_uuid4(metadata: Any) -> None:
    values, reference = referred(metadata)

    assert values == {**(metadata or {}), KEY: reference}
    assert reference is not None
    assert str(UUID(reference)) == reference
    assert UUID(reference).version == 4


def test_two_references_are_never_the_same() -> None:
    assert referred(None)[1] != referred(None)[1]


# The metadata


@pytest.mark.parametrize("reference", [None, "mine"])
def test_the_metadata_of_the_caller_is_not_changed(reference: str | None) -> None:
    metadata = {"cohort": "A"}

    referred(metadata, reference=reference)

    assert metadata == {"cohort": "A"}


@pytest.mark.parametrize("key", [None, KEY])
def test_what_comes_back_is_another_object_than_the_callers(key: str | None) -> None:
    metadata = {KEY: "mine"}

    values, _ = referred(metadata, key=key)

    assert values is not metadata


def test_other_keys_are_kept_and_stay_in_their_order() -> None:
    values, _ = referred({"z": [1], "a": {"b": None}}, reference="mine")

    assert values is not None
    assert list(values.items()) == [("z", [1]), ("a", {"b": None}), (KEY, "mine")]


@pytest.mark.parametrize("key", [None, KEY])
def test_any_mapping_becomes_a_dict(key: str | None) -> None:
    values, _ = referred(MappingProxyType({KEY: "mine"}), key=key)

    assert type(values) is dict
    assert values == {KEY: "mine"}


# What is refused


@pytest.mark.parametrize("bad", [*NO_TEXT, *BLANK], ids=ascii)
def test_a_reference_of_the_caller_that_is_no_text_or_blank_is_refused(bad: Any) -> None:
    assert error_of({"cohort": "A"}, reference=bad).faults == (("client_ref", "must be text, and not empty"),)


@pytest.mark.parametrize("bad", [*NO_TEXT, *BLANK], ids=ascii)
def test_a_reference_in_the_metadata_that_is_no_text_or_blank_is_refused(bad: Any) -> None:
    assert error_of({"ours": bad}, key="ours").faults == (("metadata.ours", "must be text, and not empty"),)


@pytest.mark.parametrize("other", [CANARY, "", 5, [CANARY], False])
def test_two_different_references_are_refused_unseen(other: Any) -> None:
    error = error_of({KEY: other}, reference="canary-1")

    assert error.faults == (("client_ref", "differs from metadata.client_ref: pass only one of them"),)
    assert "canary" not in repr(error)


def test_the_error_says_whose_call_it_was() -> None:
    error = error_of(None, reference=5)

    assert str(error) == f"{OPERATION}: client_ref must be text, and not empty; nothing was sent"
    assert error.operation == OPERATION


# Finding it again


@pytest.mark.parametrize(
    ("metadata", "key", "reference", "is_carried"),
    [
        ({KEY: "mine", "cohort": "A"}, KEY, "mine", True),
        ({KEY: "other"}, KEY, "mine", False),
        ({KEY: "MINE"}, KEY, "mine", False),
        ({"ours": "mine"}, KEY, "mine", False),
        ({KEY: None}, KEY, None, False),
        ({KEY: ["mine"]}, KEY, "mine", False),
        ({}, KEY, "mine", False),
        ({}, KEY, None, False),
        ({KEY: "mine"}, None, "mine", False),
        ({"": "mine"}, None, "mine", False),
    ],
)
def test_metadata_that_came_back_carries_a_reference_or_does_not(
    metadata: Any, key: str | None, reference: str | None, is_carried: bool
) -> None:
    assert carries(metadata, key, reference) is is_carried


def test_what_was_sent_carries_its_reference() -> None:
    values, reference = referred({"cohort": "A"})

    assert carries(values, KEY, reference)


def test_no_metadata_is_no_answer_but_where_it_surely_is_none() -> None:
    assert carries(None, KEY, "mine") is None
    assert carries(None, KEY, "mine", is_surely_none=True) is False
