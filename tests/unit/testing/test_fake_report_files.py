import asyncio
import json
from typing import Any

import aiohttp
import pytest

from spotdx_async.testing import FakeSpot, ReportFiles, SpotServer, faults
from spotdx_async.testing.answers import Answer, json_answer
from spotdx_async.testing.expectations import ExpectedRequests, operation_named
from spotdx_async.testing.state import SpotState

EXAMPLE = "https://app.spotkits.com/results/f0e5a607-5b52-4d7c-a3f2-c40772d41482"
TOKEN = "Token test-token"


def got(state: SpotState, url: str, authorization: str | None = TOKEN) -> Answer:
    return state.execute(state.read("GET", url.removeprefix("http://here")), authorization)


@pytest.fixture
def state() -> SpotState:
    made = SpotState()
    made.report_files.base_url = "http://here"
    return made


def test_without_a_server_the_documented_example_is_answered_as_published() -> None:
    answer = got(SpotState(), "/api/v2/kits/SPOT123456/")

    assert f'"{EXAMPLE}.pdf"'.encode() in answer.body


@pytest.mark.parametrize("kind", ["pdf", "txt"])
def test_with_one_its_links_lead_to_the_fake(state: SpotState, kind: str) -> None:
    answer = got(state, "/api/v2/kits/SPOT123456/")

    name = f"{EXAMPLE.rpartition('/')[2]}.{kind}"
    assert f'"{state.report_files.url(name)}"'.encode() in answer.body
    assert b"spotkits" not in answer.body
    assert json.loads(answer.body) == state.kits["SPOT123456"].document


def test_the_documents_of_requisitions_and_their_answers_have_the_same_links(state: SpotState) -> None:
    (requisition, *_) = state.requisitions.values()
    (report,) = requisition.document["reports"]

    assert report["pdf"] == state.report_files.url(f"{report['report_id']}.pdf")
    assert f'"{report["pdf"]}"'.encode() in got(state, f"/api/v2/requisitions/{requisition.an_id}").body


@pytest.mark.parametrize(
    "document", [{}, {"sample": None}, {"sample": {"reports": {}}}, {"reports": [None, 7, {"pdf": 7}]}]
)
def test_a_document_of_any_shape_is_left_alone(state: SpotState, document: dict[str, Any]) -> None:
    kit = state.kits.add("SPOT1", document=document)

    assert kit.document == document
    assert json.loads(got(state, "/api/v2/kits/SPOT1/").body) == document


def test_the_links_of_made_up_reports_lead_to_the_fake_too(state: SpotState) -> None:
    kit = state.kits.add("SPOT1", status="registered", sample=None)
    kit.collect()
    name = f"{kit.result()['report_id']}.pdf"

    answer = got(state, "/api/v2/kits/SPOT1/")

    assert f'"{state.report_files.url(name)}"'.encode() in answer.body
    assert got(state, state.report_files.url(name)).body.startswith(b"%PDF-")


@pytest.mark.parametrize(
    "link", ["https://files.example.com/a.pdf", "https://app.spotkits.com/a.pdf", "http://here/x/a.pdf", "a.pdf"]
)
def test_other_links_stay_as_they_are(state: SpotState, link: str) -> None:
    answer = json_answer(200, {"pdf": link})

    assert state.report_files.with_links(answer) == answer
    assert state.report_files.with_links(Answer(404, b'"' + EXAMPLE.encode() + b'.pdf"')).body.startswith(
        b'"https://app'
    )


def test_a_made_up_pdf_has_its_objects_where_its_table_says(state: SpotState) -> None:
    body = got(state, state.report_files.url("a.pdf")).body

    table = body[body.rindex(b"xref\n0 ") :]
    assert body[int(body.split()[-2]) :] == table
    for number, line in enumerate(table.splitlines()[3:7], start=1):
        assert body[int(line.split()[0]) :].startswith(b"%d 0 obj\n" % number)
    assert body.endswith(b"%%EOF\n")


def test_a_file_of_the_tests_own_is_answered(state: SpotState) -> None:
    state.report_files["my report.bin"] = b"anything"

    answer = state.report_files.answer("my report.bin", "00000001")

    assert (answer.status, answer.body, answer.content_type) == (200, b"anything", "application/octet-stream")


@pytest.mark.parametrize(
    ("path", "authorization", "status"),
    [
        ("/results/a.pdf?signature=00000001", TOKEN, 200),
        ("/results/a.txt?signature=00000001", TOKEN, 200),
        ("/results/a.doc?signature=00000001", TOKEN, 404),
        ("/results/a.pdf?signature=00000002", TOKEN, 403),
        ("/results/a.pdf", TOKEN, 403),
        ("/results/a.pdf?signature=00000001", None, 401),
        ("/results/a.pdf?signature=00000001", "Token other", 401),
    ],
)
def test_a_file_is_for_who_has_link_and_token(
    state: SpotState, path: str, authorization: str | None, status: int
) -> None:
    assert got(state, path, authorization).status == status


def test_a_fake_that_plays_another_host_asks_for_no_token(state: SpotState) -> None:
    state.report_files.needs_token = False

    assert got(state, state.report_files.url("a.pdf"), None).status == 200
    assert got(state, "/api/v2/kits/SPOT123456/", None).status == 401


def test_links_that_expire_are_renewed_in_answers(state: SpotState) -> None:
    link = state.report_files.url("a.pdf")

    state.report_files.expire()

    assert got(state, link).status == 403
    assert got(state, state.report_files.url("a.pdf")).status == 200
    assert b"signature=00000002" in got(state, "/api/v2/kits/SPOT123456/").body
    assert "signature=00000002" in str(state.kits["SPOT123456"].document)


def test_before_there_is_a_server_there_is_no_link() -> None:
    with pytest.raises(RuntimeError, match="no address before it is started"):
        FakeSpot().report_files.url("a.pdf")


def test_what_the_files_are_of_is_not_shown() -> None:
    assert repr(ReportFiles({"canary.pdf": b"x"})) == "<ReportFiles: 1>"


@pytest.mark.parametrize(
    ("fault", "status", "begin"),
    [
        (None, 200, b"%PDF-"),
        ("expired_link", 403, b"<?xml"),
        (faults.expired_link(410), 410, b"<?xml"),
        ("unreadable", 200, b"<!DOCTYPE html>"),
        (faults.oversized(10_000), 200, b"%PDF-"),
        (faults.redirect(location="/elsewhere"), 302, b""),
    ],
)
@pytest.mark.virtual_time
async def test_a_server_plays_faults_on_files(fault: faults.Fault | str | None, status: int, begin: bytes) -> None:
    async with SpotServer() as server, aiohttp.ClientSession() as session:
        if fault is not None:
            server.faults.add(fault, path="/results/{file}")
        url, headers = server.report_files.url("a.pdf"), {"Authorization": TOKEN}
        async with session.get(url, headers=headers, allow_redirects=False) as response:
            body = await response.read()

        assert (response.status, body[: len(begin)]) == (status, begin)
        assert server.operation_counts["reports.save"] == 1
    await asyncio.sleep(0)


def test_a_test_may_expect_requests_for_files() -> None:
    expected = ExpectedRequests()
    expected("reports.save")

    assert operation_named("reports.save") == ("GET", "/results/{file}")
    assert expected.differences([]) == ["GET /results/{file} (reports.save): expected 1, came none"]
