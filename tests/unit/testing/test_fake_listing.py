import pytest

from spotdx_async.testing import listing


def test_a_page_is_ten_from_the_start_where_nothing_is_asked() -> None:
    assert listing.page({}) == slice(0, 10)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"results": "1"}, slice(0, 1)),
        ({"results": "100", "offset": "200"}, slice(200, 300)),
        ({"offset": "0"}, slice(0, 10)),
    ],
)
def test_a_page_follows_results_and_offset(query: dict[str, str], expected: slice) -> None:
    assert listing.page(query) == expected


@pytest.mark.parametrize("results", ["0", "101", "-1", "1.5", "ten", "", "٣", " 5", "9" * 5000])
def test_results_outside_1_to_100_are_refused(results: str) -> None:
    with pytest.raises(listing.BadQueryError, match=r"^results: Must be a whole number from 1 to 100$"):
        listing.page({"results": results})


@pytest.mark.parametrize("offset", ["-1", "x", "", "9" * 19])
def test_an_offset_below_0_is_refused(offset: str) -> None:
    with pytest.raises(listing.BadQueryError, match=r"^offset: Must be a whole number from 0$"):
        listing.page({"offset": offset})


@pytest.mark.parametrize(("text", "expected"), [("true", True), ("True", True), ("false", False), ("False", False)])
def test_a_boolean_is_true_or_false(text: str, *, expected: bool) -> None:
    assert listing.boolean({"has_order": text}, "has_order") is expected


@pytest.mark.parametrize("text", ["", "1", "yes", "TRUE"])
def test_another_boolean_is_refused(text: str) -> None:
    with pytest.raises(listing.BadQueryError, match="has_order"):
        listing.boolean({"has_order": text}, "has_order")


def test_a_day_is_given_back_as_it_came() -> None:
    assert listing.day({"created_before": "2023-01-31"}, "created_before") == "2023-01-31"


@pytest.mark.parametrize("text", ["", "2023-02-30", "20230131", "2023-W05-2", "2023-01-31T00:00:00Z", "31.01.2023"])
def test_another_date_is_refused(text: str) -> None:
    with pytest.raises(listing.BadQueryError, match="created_before: Must be a date, YYYY-MM-DD"):
        listing.day({"created_before": text}, "created_before")


def test_a_choice_must_be_listed() -> None:
    assert listing.choice({"kit_status": "b"}, "kit_status", ("a", "b")) == "b"
    with pytest.raises(listing.BadQueryError, match="kit_status: Not a valid choice"):
        listing.choice({"kit_status": "c"}, "kit_status", ("a", "b"))


def test_absent_parameters_are_none() -> None:
    assert listing.boolean({}, "x") is None
    assert listing.day({}, "x") is None
    assert listing.choice({}, "x", ()) is None


def test_an_unknown_parameter_is_refused_by_name() -> None:
    listing.refuse_unknown({"offset": "1"}, ("offset",))
    with pytest.raises(listing.BadQueryError, match=r"^ofset: Unknown parameter$"):
        listing.refuse_unknown({"ofset": "1"}, ("offset",))
