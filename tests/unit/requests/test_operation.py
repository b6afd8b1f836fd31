"""Operation rows and how they become requests: paths, queries, bodies, and what is refused before sending."""

import enum
import math
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime
from pathlib import PurePosixPath
from types import MappingProxyType
from typing import Any
from urllib.parse import parse_qsl, unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spotdx_async._http.messages import Request
from spotdx_async._requests.answers import ListPage
from spotdx_async._requests.operation import (
    Operation,
    check_id,
    check_metadata,
    metadata_body,
    metadata_json,
    unlisted_request,
)
from spotdx_async.errors import InvalidInputError
from spotdx_async.models import Kit, KitSummary, Order, Requisition

UPDATE = Operation("POST", "/api/v2/kits/{kit_id}/", is_replay_safe=True, answer=Kit)
GET_REQUISITION = Operation("GET", "/api/v2/requisitions/{uuid}", is_replay_safe=True, answer=Requisition)
TYPES = Operation("GET", "/api/v2/kit_types", is_replay_safe=True, answer=list[str])
CREATE = Operation("POST", "/api/v2/orders/", is_replay_safe=False, answer=Order)
LIST = Operation(
    "GET",
    "/api/v2/kits/",
    is_replay_safe=True,
    answer=ListPage[KitSummary],
    query=("results", "has_order", "email", "created_after"),
)
CONTROLS = [chr(code) for code in (*range(0x20), *range(0x7F, 0xA0))]
PRINTABLE = st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1)


class Mixed(str, enum.Enum):  # noqa: UP042 - its str() is not its value, which is the point
    YES = "yes"


def unlisted(method: Any = "GET", path: Any = "/api/v9/x", **arguments: Any) -> Request:
    return unlisted_request(method, path, **{"json": None, "query": None, "replay_safe": False, **arguments})


# Rows


@pytest.mark.parametrize(
    ("row", "an_id", "path"),
    [
        (UPDATE, "SPOT123456", "/api/v2/kits/SPOT123456/"),
        (GET_REQUISITION, "6c9f", "/api/v2/requisitions/6c9f"),
        (TYPES, None, "/api/v2/kit_types"),
        (CREATE, None, "/api/v2/orders/"),
    ],
)
def test_a_row_keeps_the_slashes_of_the_contract(row: Operation[Any], an_id: str | None, path: str) -> None:
    assert row.request(an_id).path == path


def test_a_request_carries_what_its_row_says() -> None:
    request = UPDATE.request("SPOT1", json={"metadata": {"a": 1}})

    assert request == Request(
        operation="POST /api/v2/kits/{kit_id}/",
        method="POST",
        path="/api/v2/kits/SPOT1/",
        query="",
        body=b'{"metadata":{"a":1}}',
        is_replay_safe=True,
        an_id="SPOT1",
    )
    assert CREATE.request(json={}).is_replay_safe is False
    assert TYPES.request().body is None


def test_an_empty_object_is_a_body() -> None:
    assert CREATE.request(json={}).body == b"{}"
    assert CREATE.request(json=[]).body == b"[]"


@pytest.mark.parametrize(
    ("an_id", "segment"),
    [
        ("a/b", "a%2Fb"),
        ("../x", "..%2Fx"),
        ("a?b=c#d", "a%3Fb%3Dc%23d"),
        ("100%", "100%25"),
        ("%2e%2e", "%252e%252e"),
        ("%2F", "%252F"),
        ("a b+c", "a%20b%2Bc"),
        ("a;b,c:d@e&f", "a%3Bb%2Cc%3Ad%40e%26f"),
        ("J\u00fcrgen", "J%C3%BCrgen"),
        ("\u0661\u0662", "%D9%A1%D9%A2"),
        ("\U0001f9ea", "%F0%9F%A7%AA"),
        ("...", "..."),
        ("\u2028", "%E2%80%A8"),
        (" ", "%20"),
        ("{kit_id}", "%7Bkit_id%7D"),
        ("a\\b", "a%5Cb"),
    ],
)
def test_an_id_is_encoded_into_one_segment(an_id: str, segment: str) -> None:
    assert UPDATE.request(an_id, allow_any_id=True).path == f"/api/v2/kits/{segment}/"


@given(PRINTABLE.filter(lambda text: text not in {".", ".."}))
def test_any_id_is_one_segment_that_decodes_to_itself(an_id: str) -> None:
    path = UPDATE.request(an_id, allow_any_id=True).path

    assert path.isascii()
    assert path.count("/") == 5
    assert not set(path) & set("?# \\")
    assert unquote(path.split("/")[4]) == an_id


@pytest.mark.parametrize("bad", ["", ".", "..", None, 5, 5.0, True, b"SPOT1", ["SPOT1"], Mixed])
def test_an_id_that_is_no_segment_is_refused(bad: Any) -> None:
    with pytest.raises(InvalidInputError, match=r"kit_id must .*nothing was sent") as caught:
        UPDATE.request(bad)

    assert caught.value.operation == "POST /api/v2/kits/{kit_id}/"


LEADING_ELSEWHERE = [
    *("a/b", "/", "a\\b", "x/../../orders/O1", "...", "%2e", "%2E%2e", ".%2e", "%252e%252e"),
    *("a%2fb", "a%2Fb", "a%5cb", "a%5Cb", "a%252fb", "a%25252Fb", "a%255cb", "%25%32%66", "%2%66"),
    *("..;", ".;", ";", "..;x=1", "SPOT1;x", "SPOT1;/..", "..%3b", "..%3B", "SPOT1%3bx", "%2e%2e;", "..%253b", "%3b"),
    "%" + "25" * 40 + "41",
]


@pytest.mark.parametrize("an_id", LEADING_ELSEWHERE)
def test_an_id_that_could_lead_to_another_path_is_refused_unseen(an_id: str) -> None:
    with pytest.raises(InvalidInputError, match=r"kit_id must not hold '/'.*allow_any_id.*nothing was sent") as caught:
        UPDATE.request(f"{an_id}")

    assert an_id not in caught.value.args
    assert unquote(UPDATE.request(an_id, allow_any_id=True).path.split("/")[4]) == an_id


@pytest.mark.parametrize(
    "an_id", ["SPOT1", "a.b", "a..b", ".a", "50%", "%41", "a%2eb", "%zz", "\u00fc%c3%bc", "a b", "%"]
)
def test_other_ids_are_taken(an_id: str) -> None:
    assert unquote(UPDATE.request(an_id).path.split("/")[4]) == an_id


@given(st.text(alphabet="%25fFeEcC3bB;./\\a", min_size=1))
def test_no_id_that_is_taken_decodes_to_more_than_one_segment(an_id: str) -> None:
    try:
        path = UPDATE.request(an_id).path
    except InvalidInputError:
        return
    for _ in range(20):
        path = unquote(path)
        assert path.count("/") == 5
        assert not set(path) & set("\\;")
        assert path.split("/")[4].strip(".")


@pytest.mark.parametrize("control", CONTROLS, ids=lambda char: f"U+{ord(char):04X}")
def test_an_id_with_a_control_character_is_refused_unseen(control: str) -> None:
    with pytest.raises(InvalidInputError, match="control") as caught:
        check_id("kit_id", f"canary{control}")

    assert "canary" not in repr(caught.value)


@pytest.mark.parametrize("code", [0xD800, 0xDC80, 0xDFFF])
def test_an_id_with_half_a_character_is_refused_unseen(code: int) -> None:
    with pytest.raises(InvalidInputError, match="Unicode") as caught:
        UPDATE.request(f"canary{chr(code)}")

    assert "canary" not in repr(caught.value)
    assert caught.value.__context__ is None


def test_a_missing_id_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="kit_id must be text, not NoneType"):
        UPDATE.request()


# Queries


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ({"results": 100}, "results=100"),
        ({"has_order": True}, "has_order=true"),
        ({"has_order": False}, "has_order=false"),
        ({"created_after": date(2024, 2, 29)}, "created_after=2024-02-29"),
        ({"email": None, "results": 1}, "results=1"),
        ({"email": None}, ""),
        ({}, ""),
        (None, ""),
        ({"email": "a+b@example.org"}, "email=a%2Bb%40example.org"),
        ({"email": "a b&c=d/e"}, "email=a%20b%26c%3Dd%2Fe"),
        ({"email": "J\u00fc\U0001f9ea"}, "email=J%C3%BC%F0%9F%A7%AA"),
        ({"email": ""}, "email="),
        ({"email": Mixed.YES}, "email=yes"),
        ({"results": 1, "email": "x"}, "results=1&email=x"),
        ({"results": 1.5}, "results=1.5"),
    ],
)
def test_a_query_is_encoded(query: Any, text: str) -> None:
    assert LIST.request(query=query).query == text
    assert unlisted(query=query).query == text


@given(st.dictionaries(PRINTABLE, PRINTABLE))
def test_any_query_decodes_to_itself(query: dict[str, str]) -> None:
    text = unlisted(query=query).query

    assert text.isascii()
    assert not set(text) & set("#? \\")
    assert dict(parse_qsl(text, strict_parsing=bool(text))) == query


def test_a_parameter_that_is_not_of_the_row_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="kit_status is not one of its parameters") as caught:
        LIST.request(query={"kit_status": None})

    assert caught.value.operation == "GET /api/v2/kits/"


@pytest.mark.parametrize(
    "bad",
    [
        "canary\n",
        "canary\x00",
        "canary\x85",
        "canary\ud800",
        ["canary"],
        {"canary": 1},
        b"canary",
        datetime(2024, 1, 1, tzinfo=UTC),
        object(),
        math.nan,
        math.inf,
        10**5000,
    ],
    ids=lambda bad: f"{bad!r:.20}" if not isinstance(bad, int) else "long",
)
@pytest.mark.parametrize("fill_in", [lambda query: LIST.request(query=query), lambda query: unlisted(query=query)])
def test_a_value_that_no_query_can_say_is_refused_unseen(fill_in: Any, bad: Any) -> None:
    with pytest.raises(InvalidInputError, match="email must be a text") as caught:
        fill_in({"email": bad})

    assert "canary" not in repr(caught.value)
    assert caught.value.__context__ is None


@pytest.mark.parametrize("bad", [{1: "x"}, {"\ud800": "x"}, {b"a": "x"}, {None: "x"}, "a=b", [("a", "b")], 5])
def test_what_is_no_query_is_refused(bad: Any) -> None:
    with pytest.raises(InvalidInputError, match="query") as caught:
        unlisted(query=bad)

    assert caught.value.__context__ is None


# Bodies and metadata


class Own(Mapping[str, Any]):
    def __getitem__(self, key: str) -> Any:
        return {"a": 1}[key]

    def __iter__(self) -> Iterator[str]:
        return iter(["a"])

    def __len__(self) -> int:
        return 1


@pytest.mark.parametrize("metadata", [{"a": 1}, MappingProxyType({"a": 1}), Own()])
def test_any_mapping_is_metadata(metadata: Mapping[str, Any]) -> None:
    check_metadata(metadata)

    assert metadata_body(metadata) == {"metadata": {"a": 1}}
    assert UPDATE.request("SPOT1", json=metadata_body(metadata)).body == b'{"metadata":{"a":1}}'


@pytest.mark.parametrize("bad", [None, [], "canary", [("canary", 1)], 5, b"{}", object()])
@pytest.mark.parametrize("refuse", [check_metadata, metadata_body])
def test_what_is_no_mapping_is_no_metadata(refuse: Any, bad: Any) -> None:
    with pytest.raises(InvalidInputError, match="metadata must be a mapping") as caught:
        refuse(bad)

    assert "canary" not in repr(caught.value)


@pytest.mark.parametrize(
    ("metadata", "place"),
    [
        ({"a": math.nan}, "metadata.a"),
        ({"a": {"b": [1, math.inf]}}, "metadata.a.b[1]"),
        ({1: "canary"}, "metadata"),
        ({"a": {None: "canary"}}, "metadata.a"),
        ({"a": {"canary"}}, "metadata.a"),
        ({"a": b"canary"}, "metadata.a"),
        ({"a": "canary\ud800"}, "metadata.a"),
    ],
)
def test_metadata_that_json_does_not_have_is_refused_by_place_alike_early_and_late(metadata: Any, place: str) -> None:
    with pytest.raises(InvalidInputError) as early:
        check_metadata(metadata)
    with pytest.raises(InvalidInputError) as late:
        UPDATE.request("SPOT1", json=metadata_body(metadata))

    assert early.value.args == late.value.args
    assert early.value.args[0].startswith(f"{place} ")
    assert "nothing was sent" in str(early.value)
    assert "canary" not in f"{early.value!r}{late.value!r}"
    assert early.value.__context__ is late.value.__context__ is None


def test_a_body_that_is_no_json_names_the_body() -> None:
    with pytest.raises(InvalidInputError, match="the body is NaN or infinite") as caught:
        unlisted("POST", json=math.nan)

    assert caught.value.operation == "POST (a path given to request)"


# Endpoints that no row describes


@pytest.mark.parametrize(
    ("method", "replay_safe", "is_safe"),
    [
        ("GET", False, True),
        ("HEAD", False, True),
        ("OPTIONS", False, True),
        ("POST", False, False),
        ("PUT", False, False),
        ("PATCH", False, False),
        ("DELETE", False, False),
        ("POST", True, True),
        ("DELETE", True, True),
    ],
)
def test_only_what_http_or_the_caller_says_is_safe_to_repeat(method: str, *, replay_safe: bool, is_safe: bool) -> None:
    assert unlisted(method, replay_safe=replay_safe).is_replay_safe is is_safe


def test_the_path_of_an_unlisted_request_is_not_in_its_name() -> None:
    request = unlisted("DELETE", "/api/v9/people/canary")

    assert request.operation == "DELETE (a path given to request)"
    assert "canary" not in repr(request)


@pytest.mark.parametrize(
    ("path", "encoded"),
    [
        ("/", "/"),
        ("/a/b/", "/a/b/"),
        ("//a", "//a"),
        ("/a%2Fb", "/a%2Fb"),
        ("/a b", "/a%20b"),
        ("/J\u00fc", "/J%C3%BC"),
        ("/a:b@c;d=e,f!g$h&i'j(k)l*m+n~o-p_q.r", "/a:b@c;d=e,f!g$h&i'j(k)l*m+n~o-p_q.r"),
        ('/a"b<c>d\\e^f`g{h|i}', "/a%22b%3Cc%3Ed%5Ce%5Ef%60g%7Bh%7Ci%7D"),
        ("/...", "/..."),
    ],
)
def test_a_path_is_encoded_but_for_what_is_encoded_already(path: str, encoded: str) -> None:
    assert unlisted(path=path).path == encoded


@pytest.mark.parametrize(
    "bad",
    [
        "",
        "canary",
        "https://canary.com/",
        "/canary?a=b",
        "/canary#a",
        "/canary\n",
        "/canary\x00",
        "/canary\x85",
        "/canary\ud800",
        "/canary/..",
        "/../canary",
        "/canary/./b",
        "/canary/.",
        "/canary/..;/b",
        "/canary/.;x=1",
        None,
        5,
        b"/canary",
        PurePosixPath("/canary"),
    ],
)
def test_a_path_that_is_none_is_refused_unseen(bad: Any) -> None:
    with pytest.raises(InvalidInputError, match="path must") as caught:
        unlisted(path=bad)

    assert "canary" not in repr(caught.value)
    assert "nothing was sent" in str(caught.value)


@pytest.mark.parametrize("bad", ["get", "TRACE", "CONNECT", "", "GET ", "GET\r\nX: y", None, 5, b"GET", ["GET"]])
def test_an_unknown_method_is_refused(bad: Any) -> None:
    with pytest.raises(InvalidInputError, match="method must be one of DELETE, GET"):
        unlisted(bad)


def test_metadata_that_is_written_beforehand_is_the_same_body() -> None:
    metadata = {"a": 1, "é": [2**70, None]}
    body = metadata_json(MappingProxyType(metadata))
    metadata["a"] = 2

    assert body == UPDATE.request("SPOT1", json=metadata_body({**metadata, "a": 1})).body


@pytest.mark.parametrize("metadata", [None, [], {1: 1}, {"a": math.nan}, {"a": object()}])
def test_metadata_that_has_no_json_form_is_refused_where_it_is_written(metadata: Any) -> None:
    with pytest.raises(InvalidInputError, match="metadata"):
        metadata_json(metadata)


@pytest.mark.parametrize("an_id", ["SPOT123456", "a b", "é", "x;y", "%2F"])
def test_what_was_checked_before_makes_the_same_request(an_id: str) -> None:
    metadata = {"cohort": "A"}

    checked = UPDATE.checked_request(an_id, metadata_json(metadata))

    assert checked == UPDATE.request(an_id, json=metadata_body(metadata), allow_any_id=True)
