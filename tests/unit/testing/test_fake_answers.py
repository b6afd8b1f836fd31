import json

import pytest

from spotdx_async.testing.answers import Answer, error_answer, json_answer, page_answer


def test_json_is_written_in_utf8_without_escapes() -> None:
    assert json_answer(200, {"city": "Zürich"}).body == '{"city": "Zürich"}'.encode()


def test_the_openapi_form_has_status_type_and_one_detail() -> None:
    answer = error_answer(404, "Kit id SPOTZZZZZZ not found")

    assert json.loads(answer.body) == {
        "error": {"status": 404, "type": "not_found", "detail": "Kit id SPOTZZZZZZ not found"}
    }


def test_the_guide_form_has_code_type_and_a_list_of_details() -> None:
    answer = error_answer(400, "first_name: Field is required", "guide")

    assert json.loads(answer.body) == {
        "error": {"code": 400, "type": "bad_request", "details": ["first_name: Field is required"]}
    }


def test_several_details_are_listed_in_one_form_and_joined_in_the_other() -> None:
    openapi, guide = (json.loads(error_answer(400, ["a", "b"], form).body)["error"] for form in ("openapi", "guide"))

    assert openapi["detail"] == "a; b"
    assert guide["details"] == ["a", "b"]


@pytest.mark.parametrize(
    ("status", "openapi", "guide"),
    [
        (401, "unauthorized", "unauthorized"),
        (403, "forbidden", "forbidden"),
        (422, "bad_request", "bad_request"),
        (429, "rate_limit_exceeded", "rate_limit_exceeded"),
        (500, "internal_server_error", "server_error"),
        (503, "internal_server_error", "server_error"),
    ],
)
def test_each_form_has_its_own_words_for_the_type(status: int, openapi: str, guide: str) -> None:
    assert json.loads(error_answer(status, "x", "openapi").body)["error"]["type"] == openapi
    assert json.loads(error_answer(status, "x", "guide").body)["error"]["type"] == guide


def test_a_page_is_html() -> None:
    answer = page_answer(502, "Bad Gateway")

    assert answer.content_type == "text/html; charset=utf-8"
    assert b"<h1>Bad Gateway</h1>" in answer.body


def test_an_answer_cut_short_promises_more_than_it_holds() -> None:
    answer = Answer(200, b"0123456789", headers={"X-Extra": "1"})

    head, _, body = answer.cut_short().partition(b"\r\n\r\n")

    assert head.split(b"\r\n") == [
        b"HTTP/1.1 200 OK",
        b"X-Extra: 1",
        b"Content-Type: application/json",
        b"Content-Length: 10",
    ]
    assert body == b"01234"


def test_even_an_empty_answer_can_be_cut_short() -> None:
    assert Answer(200).cut_short().endswith(b"Content-Length: 1\r\n\r\n")


def test_the_repr_of_an_answer_shows_no_body() -> None:
    assert repr(Answer(200, b'{"first_name": "Alice"}')) == "<Answer 200, 23 bytes>"
