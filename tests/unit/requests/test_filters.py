"""What a list is asked for: how filters are written, which are refused, and that no text shows one."""

import enum
import pickle
from datetime import UTC, date, datetime
from typing import Any

import pytest

from spotdx_async._http.messages import Request
from spotdx_async._requests.answers import ListPage
from spotdx_async._requests.filters import list_request, page_of
from spotdx_async._requests.operation import Operation
from spotdx_async.errors import InvalidInputError
from spotdx_async.models import KitStatus, KitSummary

CANARY = "canary-7f3a"
DATES = ("created_before", "created_after", "updated_before", "updated_after")
TEXTS = ("email", "first_name", "last_name", "phone", "kit_status")
LIST = Operation(
    "GET",
    "/api/v2/kits/",
    is_replay_safe=True,
    answer=ListPage[KitSummary],
    query=("results", "offset", *TEXTS, "lab", "has_order", *DATES),
)


class Mixed(str, enum.Enum):  # noqa: UP042 - its str() is not its value, which is the point
    READY = "ready"


def asked(**filters: Any) -> Request:
    return list_request(LIST, filters)


def error_of(**filters: Any) -> InvalidInputError:
    with pytest.raises(InvalidInputError) as caught:
        asked(**filters)
    return caught.value


# What is asked for


def test_a_list_without_filters_asks_for_everything() -> None:
    assert asked() == Request(operation="GET /api/v2/kits/", method="GET", path="/api/v2/kits/", is_replay_safe=True)


def test_a_filter_that_is_none_is_left_out() -> None:
    filters = dict.fromkeys((*TEXTS, *DATES, "has_order"), None)

    assert asked(**filters).query == ""
    assert asked(**{**filters, "phone": "1"}).query == "phone=1"


def test_filters_stand_in_the_order_in_which_they_were_given() -> None:
    assert asked(phone="1", email="a", has_order=True).query == "phone=1&email=a&has_order=true"


@pytest.mark.parametrize("name", DATES)
@pytest.mark.parametrize("day", [date(2024, 2, 29), "2024-02-29"])
def test_a_date_is_written_as_the_contract_says(name: str, day: date | str) -> None:
    assert asked(**{name: day}).query == f"{name}=2024-02-29"


@pytest.mark.parametrize(("flag", "text"), [(True, "true"), (False, "false")])
def test_a_flag_is_written_as_the_contract_says(flag: bool, text: str) -> None:
    assert asked(has_order=flag).query == f"has_order={text}"


@pytest.mark.parametrize(
    ("status", "text"), [(KitStatus.IN_TRANSIT, "in_transit"), ("in_transit", "in_transit"), (Mixed.READY, "ready")]
)
def test_a_member_is_written_as_its_value(status: str, text: str) -> None:
    assert asked(kit_status=status).query == f"kit_status={text}"


def test_a_word_beyond_the_enumeration_is_left_to_the_server() -> None:
    assert asked(kit_status="kit_type_assigned").query == "kit_status=kit_type_assigned"


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("a b", "a%20b"),
        ("a&b=c", "a%26b%3Dc"),
        ("J\u00fcrgen", "J%C3%BCrgen"),
        ("alice+kit@example.com", "alice%2Bkit%40example.com"),
        ("50%", "50%25"),
        ("a/b?c#d", "a%2Fb%3Fc%23d"),
        (" a ", "%20a%20"),
        ("2024-02-29", "2024-02-29"),
    ],
)
def test_a_text_is_percent_encoded(text: str, written: str) -> None:
    assert asked(lab=text).query == f"lab={written}"


def test_the_text_of_a_request_hides_what_is_asked_for() -> None:
    request = asked(first_name=CANARY, created_after=date(1931, 3, 7))

    assert "canary" in request.query
    assert "canary" not in repr(request)
    assert "1931" not in repr(request)


# What is refused


@pytest.mark.parametrize("name", DATES)
@pytest.mark.parametrize(
    "bad",
    [
        "2023-02-29",
        "2024-2-9",
        "20240209",
        "2024-02-09T00:00:00Z",
        "2024-02-09\n",
        " 2024-02-09",
        "2024-W06-5",
        "\u0662\u0660\u0662\u0664-02-09",
        "canary",
        "",
        5,
        True,
        datetime(2024, 2, 9, tzinfo=UTC),
        b"2024-02-09",
    ],
)
def test_what_is_no_date_is_refused_unseen(name: str, bad: Any) -> None:
    error = error_of(**{name: bad})

    assert error.faults == ((name, "must be a date, or text in the form YYYY-MM-DD"),)
    assert "canary" not in repr(error)
    assert error.__context__ is None


@pytest.mark.parametrize("bad", [0, 1, "true", "", "True", [], 1.0])
def test_a_flag_is_true_or_false_and_nothing_else(bad: Any) -> None:
    assert error_of(has_order=bad).faults == (("has_order", "must be True or False"),)


@pytest.mark.parametrize("name", TEXTS)
@pytest.mark.parametrize("bad", [5, True, 0.0, b"x", ["x"], date(2024, 2, 9)])
def test_what_is_no_text_is_refused_by_its_type(name: str, bad: Any) -> None:
    assert error_of(**{name: bad}).faults == ((name, f"must be text, not {type(bad).__name__}"),)


@pytest.mark.parametrize("name", TEXTS)
@pytest.mark.parametrize("blank", ["", " ", "\t", "\u00a0"], ids=ascii)
def test_a_blank_text_is_refused_since_the_server_might_ignore_it(name: str, blank: str) -> None:
    assert error_of(**{name: blank}).faults == ((name, "must not be empty: leave it out instead"),)


@pytest.mark.parametrize("bad", [f"{CANARY}\x00", f"{CANARY}\n", f"{CANARY}\x85", f"{CANARY}\ud800"], ids=ascii)
def test_a_text_that_no_query_holds_is_refused_unseen(bad: str) -> None:
    error = error_of(email=bad)

    assert "email must be valid Unicode without control characters" in str(error)
    assert "canary" not in repr(error)
    assert (error.__cause__, error.__context__) == (None, None)


@pytest.mark.parametrize("what", ["created", "updated"])
@pytest.mark.parametrize(
    ("after", "before"),
    [
        (date(2024, 2, 10), date(2024, 2, 9)),
        ("2024-02-10", "2024-02-09"),
        (date(2024, 2, 10), "2024-02-09"),
        ("2025-01-01", date(2024, 12, 31)),
    ],
)
def test_a_range_that_ends_before_it_begins_is_refused(what: str, after: Any, before: Any) -> None:
    error = error_of(**{f"{what}_after": after, f"{what}_before": before})

    assert error.faults == ((f"{what}_after", f"must not be later than {what}_before"),)


@pytest.mark.parametrize("what", ["created", "updated"])
@pytest.mark.parametrize("before", [date(2024, 2, 9), "2024-02-09", "2024-02-10"])
def test_a_range_of_one_day_or_more_passes(what: str, before: Any) -> None:
    request = asked(**{f"{what}_after": date(2024, 2, 9), f"{what}_before": before})

    assert request.query == f"{what}_after=2024-02-09&{what}_before={before}"


def test_ranges_of_two_kinds_are_not_compared() -> None:
    request = asked(created_after="2024-02-10", updated_before="2024-02-09")

    assert request.query == "created_after=2024-02-10&updated_before=2024-02-09"


def test_a_range_whose_end_is_no_date_has_that_fault_alone() -> None:
    error = error_of(created_after="2024-02-10", created_before="yesterday")

    assert [path for path, _ in error.faults] == ["created_before"]


def test_all_faults_stand_in_one_error() -> None:
    error = error_of(
        email="",
        phone=5,
        has_order="yes",
        created_before="2024-02-09",
        created_after="2024-02-10",
        updated_before="soon",
        last_name="Smith",
    )

    assert error.faults == (
        ("email", "must not be empty: leave it out instead"),
        ("phone", "must be text, not int"),
        ("has_order", "must be True or False"),
        ("updated_before", "must be a date, or text in the form YYYY-MM-DD"),
        ("created_after", "must not be later than created_before"),
    )
    assert str(error).startswith("GET /api/v2/kits/: 5 faults: email must not be empty: leave it out instead; phone ")


@pytest.mark.parametrize(
    "filters",
    [
        {"email": [CANARY]},
        {"first_name": CANARY.encode(), "last_name": {CANARY}},
        {"has_order": CANARY, "created_after": CANARY, "phone": " "},
        {"email": CANARY, "created_after": "1931-03-08", "created_before": "1931-03-07"},
    ],
    ids=lambda filters: next(iter(filters)),
)
def test_no_text_of_the_error_shows_a_value(filters: dict[str, Any]) -> None:
    error = error_of(**filters)

    shown = [str(error), repr(error), repr(error.args), repr(error.faults), repr(pickle.dumps(error))]

    assert not [text for text in shown if "canary" in text or "1931" in text]
    assert (error.__cause__, error.__context__) == (None, None)


# Pages


def test_a_page_of_everything_has_a_query_of_its_own() -> None:
    assert page_of(asked(), 0, 100).query == "results=100&offset=0"


def test_a_page_is_appended_to_the_filters() -> None:
    assert page_of(asked(phone="1", email="a@b"), 200, 50).query == "phone=1&email=a%40b&results=50&offset=200"


def test_a_page_leaves_the_request_of_the_list_as_it_is() -> None:
    request = asked(phone="1")

    page_of(request, 0, 100)

    assert request.query == "phone=1"


def test_a_page_is_the_request_of_the_list_but_for_its_query() -> None:
    page = page_of(asked(), 0, 100)

    assert (page.operation, page.method, page.path, page.body, page.is_replay_safe) == (
        "GET /api/v2/kits/",
        "GET",
        "/api/v2/kits/",
        None,
        True,
    )
