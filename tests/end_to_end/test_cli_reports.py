"""``spotdx kits reports``: which files it saves, what it fetches again, and what it says about those that it cannot."""

import json
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from spotdx_async._http.file_body import MOST_BYTES
from spotdx_async.testing import FakeKit, FakeSpot, faults
from tests.command_line import Done, Spotdx

FILE = "/results/{file}"
EXAMPLE = "SPOT123456-%3Cstring%3E"  # the documented report has the id "<string>"


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "new" / "reports"


@pytest.fixture
def two(fake: FakeSpot) -> FakeKit:
    """A kit with two reports."""
    kit = fake.kits.add("SPOT2", status="registered", sample=None)
    kit.collect()
    kit.result()
    kit.result()
    return kit


@pytest.fixture
def storage() -> Iterator[FakeSpot]:
    """Another server, which asks for no token."""
    with FakeSpot(token="of-the-storage") as server:
        server.report_files.needs_token = False
        yield server


def reports_of(kit: FakeKit) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = kit.document["sample"]["reports"]
    return found


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def lines_of(done: Done) -> list[dict[str, Any]]:
    return [json.loads(line) for line in done.out.splitlines()]


async def test_every_report_of_every_kit_is_saved_for_its_owner_alone(
    fake: FakeSpot, two: FakeKit, spotdx: Spotdx, out: Path
) -> None:
    fake.kits.add("SPOT3", sample=None)

    done = await spotdx("kits", "reports", "SPOT123456", "SPOT2", "SPOT3", "SPOT2", "--out", out)

    names = [f"{EXAMPLE}.pdf", *(f"SPOT2-{report['report_id']}.pdf" for report in reports_of(two))]
    assert done == (0, "".join(f"{out / name}\n" for name in names), done.err)
    assert done.err == "spotdx: 3 files saved, 1 kit without a report\n"
    assert names_in(out) == sorted(names)
    assert {stat.S_IMODE((out / name).stat().st_mode) for name in names} == {0o600}
    assert stat.S_IMODE(out.stat().st_mode) == 0o700
    assert all((out / name).read_bytes().startswith(b"%PDF-") for name in names)


@pytest.mark.parametrize(("kind", "suffixes"), [("pdf", [".pdf"]), ("txt", [".txt"]), ("all", [".pdf", ".txt"])])
async def test_the_kind_says_which_files(spotdx: Spotdx, out: Path, kind: str, suffixes: list[str]) -> None:
    await spotdx("kits", "reports", "SPOT123456", "--out", out, "--kind", kind)

    assert names_in(out) == [EXAMPLE + suffix for suffix in suffixes]


async def test_a_file_that_is_there_is_not_fetched_again_unless_that_is_asked_for(
    fake: FakeSpot, spotdx: Spotdx, out: Path
) -> None:
    command = ("kits", "reports", "SPOT123456", "--out", out, "--json")
    first = lines_of(await spotdx(*command))
    again = await spotdx(*command)
    assert fake.operation_counts["reports.save"] == 1
    forced = await spotdx(*command, "--force")

    path = out / f"{EXAMPLE}.pdf"
    about = {"kit_id": "SPOT123456", "report_id": "<string>", "kind": "pdf", "path": str(path), "size": 574}
    assert [{**line, "sha256": ""} for line in first] == [{**about, "state": "saved", "sha256": ""}]
    assert lines_of(again) == [{**first[0], "state": "kept"}]
    assert again.err == "spotdx: 0 files saved, 1 file already there\n"
    assert lines_of(forced) == first
    assert fake.operation_counts["reports.save"] == 2


@pytest.mark.parametrize("content", [b"", b"<html>", b"%PD"])
async def test_what_no_run_has_saved_is_fetched(spotdx: Spotdx, out: Path, content: bytes) -> None:
    out.mkdir(parents=True)
    (out / f"{EXAMPLE}.pdf").write_bytes(content)

    done = await spotdx("kits", "reports", "SPOT123456", "--out", out, "--json")

    assert [line["state"] for line in lines_of(done)] == ["saved"]
    assert (out / f"{EXAMPLE}.pdf").read_bytes().startswith(b"%PDF-")


async def test_links_that_have_expired_are_renewed_by_one_get_of_the_kit(
    fake: FakeSpot, two: FakeKit, spotdx: Spotdx, out: Path
) -> None:
    fake.faults.add("expired_link", times=2, path=FILE)

    done = await spotdx("kits", "reports", "SPOT2", "--out", out)

    assert (done.code, len(names_in(out))) == (0, len(reports_of(two)))
    assert (fake.operation_counts["kits.get"], fake.operation_counts["reports.save"]) == (2, 4)


async def test_a_link_that_stays_dead_is_told_and_the_others_are_saved(
    fake: FakeSpot, two: FakeKit, spotdx: Spotdx, out: Path
) -> None:
    dead = f"/results/{reports_of(two)[0]['report_id']}.pdf"
    fake.faults.add("expired_link", times=None, path=dead)

    done = await spotdx("kits", "reports", "SPOT2", "SPOT123456", "--out", out, "--json")

    assert done.code == 1
    assert [line["state"] for line in lines_of(done)] == ["failed", "saved", "saved"]
    error, summary = done.err.splitlines()
    assert json.loads(error)["error"] == {
        "kind": "LinkExpiredError",
        "message": json.loads(error)["error"]["message"],
        "hint": "a new link was tried too: ask the vendor",
        "status": 403,
        "request_id": None,
        "details": [],
        "id": "SPOT2",
        "exit_code": 1,
    }
    assert "the link has expired (1 attempt" in error
    assert summary == "spotdx: 2 files saved, 1 failed"
    assert fake.operation_counts["kits.get"] == 3
    assert len(names_in(out)) == 2


async def test_a_kit_that_cannot_be_had_keeps_back_no_other(spotdx: Spotdx, out: Path) -> None:
    done = await spotdx("kits", "reports", "SPOT0", "SPOT123456", "--out", out)

    assert done.code == 1
    assert done.out == f"{out / EXAMPLE}.pdf\n"
    assert done.err.startswith("spotdx: SPOT0: GET /api/v2/kits/{kit_id}/: the server answered 404")


async def test_a_report_without_such_a_file_is_told(fake: FakeSpot, two: FakeKit, spotdx: Spotdx, out: Path) -> None:
    sample = two.document["sample"]
    sample["reports"] = [None, {**reports_of(two)[0], "pdf": None}, {"txt": None}]

    done = await spotdx("kits", "reports", "SPOT2", "--out", out)
    shown = await spotdx("kits", "reports", "SPOT2", "--out", out, "--json")

    assert (done.code, done.out) == (0, "")
    first, second, summary = done.err.splitlines()
    assert first == f"spotdx: the report {sample['reports'][1]['report_id']} has no pdf"
    assert second == "spotdx: the report without an id has no pdf"
    assert summary == "spotdx: 0 files saved"
    assert [line["state"] for line in lines_of(shown)] == ["missing", "missing"]
    assert fake.operation_counts["reports.save"] == 0


async def test_names_are_safe_and_no_two_reports_share_one(
    fake: FakeSpot, two: FakeKit, spotdx: Spotdx, out: Path
) -> None:
    one = reports_of(two)[0]
    ids = ["../../etc/passwd", "..", "a/b", "a_b", "a\0b", "x" * 300, "x" * 301, "ü", "same", "same", None, ""]
    two.document["sample"]["reports"] = [{**one, "report_id": report_id} for report_id in ids]
    fake.kits.add("..-A", document={**two.document, "kit_id": "..-A"})

    done = await spotdx("kits", "reports", "SPOT2", "..-A", "--out", out, "--json")

    assert done.code == 0
    lines = lines_of(done)
    assert len(names_in(out)) == len({line["path"] for line in lines}) == len(lines) == 24
    assert {Path(line["path"]).parent for line in lines} == {out}
    assert all(name.startswith(("SPOT2-", "%2E.%2DA-")) and len(name) < 200 for name in names_in(out))
    assert {
        *("SPOT2-%2E.%2F..%2Fetc%2Fpasswd.pdf", "SPOT2-%2E..pdf", "SPOT2-a%2Fb.pdf", "SPOT2-a_b.pdf"),
        *("SPOT2-a%00b.pdf", "SPOT2-%C3%BC.pdf", *(f"SPOT2-report{number}.pdf" for number in (9, 10, 11, 12))),
    } <= {*names_in(out)}


async def test_half_of_a_surrogate_pair_in_a_reports_id_is_in_its_name(
    fake: FakeSpot, two: FakeKit, spotdx: Spotdx, out: Path
) -> None:
    document = json.loads(json.dumps(two.document))
    for number, report in enumerate(document["sample"]["reports"]):
        report["report_id"], report["pdf"] = f"{number}\ud800", fake.report_files.renewed(report["pdf"])
    fake.faults.add(faults.body(json.dumps(document).encode()), path="/api/v2/kits/SPOT2/", times=None)

    done = await spotdx("kits", "reports", "SPOT2", "--out", out)
    as_json = await spotdx("kits", "reports", "SPOT2", "--out", out, "--json")

    assert (done.code, as_json.code) == (0, 0)
    assert names_in(out) == ["SPOT2-0%ED%A0%80.pdf", "SPOT2-1%ED%A0%80.pdf"]
    assert [line["state"] for line in lines_of(as_json)] == ["kept", "kept"]


@pytest.mark.usefixtures("two")
async def test_a_file_that_no_run_can_have_saved_is_not_read(spotdx: Spotdx, out: Path) -> None:
    await spotdx("kits", "reports", "SPOT2", "--out", out)
    place = out / names_in(out)[0]
    saved = place.read_bytes()
    with place.open("r+b") as file:
        file.truncate(MOST_BYTES + 1)  # of which the disk holds next to nothing

    done = await spotdx("kits", "reports", "SPOT2", "--out", out, "--json")

    assert [line["state"] for line in lines_of(done) if line["path"] == str(place)] == ["saved"]
    assert place.read_bytes() == saved


async def test_a_report_that_its_name_does_not_tell_is_fetched_again(
    fake: FakeSpot, two: FakeKit, spotdx: Spotdx, out: Path
) -> None:
    two.document["sample"]["reports"] = [{**reports_of(two)[0], "report_id": None}]

    for _ in range(2):
        await spotdx("kits", "reports", "SPOT2", "--out", out)

    assert names_in(out) == ["SPOT2-report1.pdf"]
    assert fake.operation_counts["reports.save"] == 2


async def test_a_file_on_another_host_needs_that_to_be_named(
    storage: FakeSpot, two: FakeKit, spotdx: Spotdx, out: Path
) -> None:
    two.document["sample"]["reports"] = [{**reports_of(two)[0], "pdf": storage.report_files.url("canary.pdf")}]

    refused = await spotdx("kits", "reports", "SPOT2", "--out", out)
    saved = await spotdx("kits", "reports", "SPOT2", "--out", out, "--host", storage.url.removeprefix("http://"))

    assert (refused.code, saved.code) == (1, 0)
    assert "leads to a host that is not allowed: if you trust that host, name it with --host" in refused.err
    assert "canary" not in refused.err + saved.err + saved.out
    assert [request.headers.get("authorization") for request in storage.requests] == [None]


async def test_a_host_of_files_that_cannot_be_reached_is_the_one_that_is_named(
    storage: FakeSpot, fake: FakeSpot, two: FakeKit, spotdx: Spotdx, out: Path
) -> None:
    host = storage.url.removeprefix("http://")
    two.document["sample"]["reports"] = [{**reports_of(two)[0], "pdf": storage.report_files.url("a.pdf")}]
    with storage.outage():
        done = await spotdx("kits", "reports", "SPOT2", "SPOT123456", "--out", out, "--host", host)

    assert done.code == 1
    assert f"the server refused the connection, so nothing was sent ({host})" in done.err
    assert fake.url.removeprefix("http://") not in done.err
    assert "stopped at SPOT2: 2 kits not done" in done.err


async def test_a_token_that_is_refused_ends_the_command(
    fake: FakeSpot, spotdx: Spotdx, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPOTDX_TOKEN", "another")

    done = await spotdx("kits", "reports", "SPOT123456", "SPOT2", "--out", out, "--concurrency", "1")

    assert done.code == 1
    assert "stopped at SPOT123456: 2 kits not done" in done.err
    assert "does not accept the token" in done.err
    assert len(fake.requests) == 1


async def test_a_full_disk_ends_the_command_and_leaves_no_part_of_a_file(
    fake: FakeSpot, two: FakeKit, spotdx: Spotdx, small_disk: Path
) -> None:
    fake.report_files[f"{reports_of(two)[0]['report_id']}.pdf"] = b"%PDF-" + bytes(2_000_000)

    done = await spotdx("kits", "reports", "SPOT2", "SPOT123456", "--out", small_disk, "--concurrency", "1")

    assert done.code == 1
    assert "cannot be written: No space left on device" in done.err
    assert "stopped at SPOT2: 2 kits not done" in done.err
    assert all(name.startswith("SPOT2-") for name in names_in(small_disk))


@pytest.mark.parametrize(
    ("words", "fault"),
    [
        (["SPOT123456"], "--out is missing"),
        (["SPOT123456", "--out", "FILE"], "FILE is a file"),
        (["SPOT123456", "--out", "FILE/x"], "FILE/x cannot be made"),
        (["SPOT123456", "--out", "-x"], "--out needs a value"),
        (["SPOT123456", "--out", "x", "--host", "https://a.example"], "--host takes names such as"),
        (["SPOT123456", "--out", "x", "--kind", "doc"], "Choose from"),
        (["--out", "x"], "ID"),
    ],
)
async def test_a_line_that_is_wrong_is_refused(
    fake: FakeSpot, spotdx: Spotdx, tmp_path: Path, words: list[str], fault: str
) -> None:
    words = [str(tmp_path / word) if word.startswith("FILE") else word for word in words]
    (tmp_path / "FILE").write_bytes(b"x")

    done = await spotdx("kits", "reports", *words)

    assert done.code == 2
    assert fault in done.err
    assert not fake.requests


async def test_many_kits_are_had_at_once(fake: FakeSpot, spotdx: Spotdx, out: Path) -> None:
    fake.kits.add_many([f"KIT{number}" for number in range(12)])
    fake.faults.add(faults.slow(0.05), times=None, path=FILE)

    done = await spotdx("kits", "reports", *(f"KIT{n}" for n in range(12)), "--out", out, "--concurrency", "6")

    assert done.code == 0
    assert fake.peak_in_flight == 6
    assert [Path(line).name.partition("-")[0] for line in done.out.splitlines()] == [f"KIT{n}" for n in range(12)]
