"""No token, id, query, metadata or patient data in any text of the SDK, over the whole matrix and the command line."""

import asyncio
import copy
import csv
import errno
import json
import os
import pickle
import warnings
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import quote, quote_plus

import pytest

from spotdx_async import (
    AttemptRecord,
    EndRecord,
    Observer,
    Report,
    RetryPolicy,
    SpotError,
    SubjectRecord,
    private_files,
)
from spotdx_async.cli.app import run
from spotdx_async.testing import FakeSpot, faults

from . import answers, scripts
from .canaries import WORDS, answered, forms, found_in, planted
from .page import Fault
from .playing import Played, play
from .test_fault_matrix import CASES

pytestmark = pytest.mark.no_cover

HERE = Path(__file__).parents[1]
# Where a caller asked for it: what the server wrote, and what is to be looked for.
IDS_SHOW_IN = ("repr of outcome", "repr of the value", "str of the value")
FOR_THE_CALLER = frozenset({"raw", "details", "clue", "type"})


def test_there_are_forty_canaries_and_each_is_found_in_every_form() -> None:
    assert len(WORDS) == 40
    for name, word in WORDS.items():
        for form in forms(word):
            assert found_in(f"before {form} behind") == {name}
    assert found_in("no bird here") == set()


@pytest.mark.virtual_time
@pytest.mark.parametrize(("fault", "class_"), CASES)
async def test_no_text_shows_a_canary(fault: Fault, class_: str, monkeypatch: pytest.MonkeyPatch) -> None:
    plant_in_answers(monkeypatch)
    loop = asyncio.get_running_loop()
    loop.set_debug(True)
    loop.slow_callback_duration = 0.0  # asyncio then tells of every step
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")

        played = await play(fault, class_, planted())

        loop.set_debug(False)
    texts = [*texts_of(played), *(str(warning.message) for warning in warned)]
    assert {name for text in texts for name in found_in(text)} == set()
    for text in texts_with_ids(played):
        assert found_in(text) <= {"kit id"}


def plant_in_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answers, "good_body", answered)
    monkeypatch.setitem(answers.BODIES, "good", answered)
    words = [WORDS["error detail"], WORDS["error second detail"]]
    guide = {"error": {"code": 0, "type": "a_type", "details": words}}
    monkeypatch.setattr(scripts, "_GUIDE", json.dumps(guide).encode())
    openapi = {"error": {"status": 0, "type": "a_type", "detail": words[0]}}
    monkeypatch.setattr(scripts, "_OPENAPI", json.dumps(openapi).encode())


def texts_of(played: Played) -> Iterator[str]:
    yield from (text for what, text in played.texts.items() if not what.startswith(IDS_SHOW_IN))
    yield from played.logs
    yield from played.loop_troubles
    raised = [played.error] if played.error is not None else []
    for error in {id(error): error for error in [*played.errors, *raised]}.values():
        yield from texts_of_error(error)


def texts_with_ids(played: Played) -> Iterator[str]:
    """Models and outcomes show the ids of kits and orders, and nothing else."""
    yield from (text for what, text in played.texts.items() if what.startswith(IDS_SHOW_IN))


def texts_of_error(error: BaseException) -> Iterator[str]:
    for one in chain_of(error):
        yield from (str(one), repr(one), repr(one.args), repr(getattr(one, "__notes__", ())))
        yield repr({name: value for name, value in vars(one).items() if name not in FOR_THE_CALLER})
        yield repr(getattr(one, "clue", None))
        yield from locals_in(one.__traceback__)
        if isinstance(one, SpotError):
            for way in (one, copy.copy(one)):
                kept = pickle.loads(pickle.dumps(way))
                yield repr({name: value for name, value in vars(kept).items() if name not in {"details", "type"}})


def chain_of(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def locals_in(trace: TracebackType | None) -> Iterator[str]:
    """The locals of all frames but those of the tests, as an error tracker shows them."""
    while trace is not None:
        if not Path(trace.tb_frame.f_code.co_filename).is_relative_to(HERE):
            yield from (repr(value) for value in trace.tb_frame.f_locals.values())
        trace = trace.tb_next


# Files of reports


class Noting(Observer):
    def __init__(self) -> None:
        self.records: list[Any] = []

    def begin(self, subject: SubjectRecord, parent: Any) -> None:  # noqa: ARG002 - as in its base
        self.records.append(subject)

    def attempt(self, mark: Any, record: AttemptRecord) -> None:  # noqa: ARG002 - as in its base
        self.records.append(record)

    def end(self, mark: Any, record: EndRecord) -> None:  # noqa: ARG002 - as in its base
        self.records.append(record)


def link_to(fake: FakeSpot) -> str:
    """A link that names a patient in its path and in its query."""
    name, query = quote(WORDS["answer pdf"], safe=""), quote_plus(WORDS["answer last name"])
    return f"{fake.url}/results/{name}?signature=00000001&name={query}"


def fail_to_write(*_: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.virtual_time
@pytest.mark.parametrize(
    "fault",
    [
        *(None, "expired_link", "401", "503", "half_body", "unreadable", "drop_before", "full disk"),
        *(faults.slow(100), faults.body(b"%PDF-", headers={"Content-Encoding": "br"})),
        *(faults.redirect(location="https://evil.example/"), faults.redirect(location="\u0001")),
    ],
)
async def test_no_text_about_a_reports_file_shows_a_canary(
    fault: faults.Fault | str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(1)
    loop, observer = asyncio.get_running_loop(), Noting()
    loop.set_debug(True)
    loop.slow_callback_duration = 0.0  # asyncio then tells of every step
    error: BaseException | None = None
    async with FakeSpot(token=WORDS["token"]) as fake:
        fake.report_files[WORDS["answer pdf"]] = b"%PDF-x"
        spot = fake.client(observer=observer, retry=RetryPolicy(max_attempts=2, base_s=0.01))
        if fault == "full disk":
            monkeypatch.setattr(private_files.NewFile, "write", fail_to_write)
        elif fault is not None:
            fake.faults.add(fault, times=None)
        shown = [repr(spot.reports)]
        try:
            shown.append(repr(await spot.reports.save(Report(pdf=link_to(fake)), tmp_path / "a.pdf")))
        except (SpotError, OSError) as raised:
            error = raised
        loop.set_debug(False)

    assert (error is None) == (fault is None), error
    texts = [*shown, *([] if error is None else texts_of_error(error)), repr(observer.records)]
    texts += [text for record in caplog.records for text in (record.getMessage(), repr(record.args))]
    assert len(observer.records) >= 2
    assert {name for text in texts for name in found_in(text)} == set()


# The command line, the journal and the report

CELLS = ("kit metadata", "kit nested metadata", "answer first name", "answer phone")


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    path = tmp_path / "rows.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["kit_id", "note"])
        for number in range(40):
            writer.writerow([f"{WORDS['kit id']}{number}", WORDS[CELLS[number % len(CELLS)]]])
        writer.writerow(["", WORDS["order metadata"]])
    return path


@pytest.mark.usefixtures("everything_logged")
@pytest.mark.parametrize("as_json", [False, True])
async def test_no_output_of_a_bulk_run_shows_a_canary(
    rows: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], *, as_json: bool
) -> None:
    kit_ids = [f"{WORDS['kit id']}{number}" for number in range(30)]
    async with FakeSpot(token=WORDS["token"], kits=kit_ids) as fake:
        fake.faults.random(0.1, seed=7)
        monkeypatch.setenv("SPOTDX_TOKEN", fake.token)
        monkeypatch.setenv("SPOTDX_BASE_URL", fake.url)
        options = ["--journal", str(tmp_path / "run.journal"), "--report", str(tmp_path / "run.html")]
        options += ["--failed", str(tmp_path / "failed.csv"), *(["--json"] if as_json else [])]

        code = await asyncio.to_thread(run, ["kits", "update", str(rows), *options])

    out, err = capfd.readouterr()
    assert code == 1  # ten kits are unknown, and one row is bad
    made = {path.name: path.read_bytes().decode("latin-1") for path in tmp_path.iterdir() if path.name != "rows.csv"}
    assert "failed.csv" in made
    failed = made.pop("failed.csv")
    assert WORDS["kit id"].encode().decode("latin-1")[:8] in failed  # rows as they came, usable as input
    for text in (out, err, *made.values()):
        assert found_in(text) == set()


@pytest.mark.parametrize(
    "command",
    [
        ["kits", "get", WORDS["kit id"]],
        ["kits", "reports", WORDS["kit id"], "--out", "reports"],
        ["kits", "list", "--email", WORDS["filter email"], "--first-name", WORDS["filter first name"]],
        ["orders", "list", "--phone", WORDS["filter phone"]],
        ["tokens", "create", WORDS["answer patient id"]],
    ],
)
@pytest.mark.parametrize("fault", ["", "404", "503", "half_body", "unreadable", "another shape"])
@pytest.mark.usefixtures("everything_logged")
async def test_no_output_of_a_command_shows_a_canary(
    command: list[str], fault: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    async with FakeSpot(token=WORDS["token"]) as fake:
        registered = {"patient_id": WORDS["answer patient id"], "first_name": WORDS["answer first name"]}
        kit = fake.kits.add(WORDS["kit id"], registered_to=registered)
        kit.document["sample"]["reports"][0]["pdf"] = link_to(fake)
        if fault:
            other_shape = {"kit_id": WORDS["kit id"], "events": 7, "note": WORDS["answer metadata"]}
            shape = faults.body(json.dumps(other_shape).encode())
            fake.faults.add(shape if fault == "another shape" else fault, times=None)
        monkeypatch.setenv("SPOTDX_TOKEN", fake.token)
        monkeypatch.setenv("SPOTDX_BASE_URL", fake.url)

        await asyncio.to_thread(run, [*command, "--timeout", "1"])

    out, err = capfd.readouterr()
    assert found_in(out) <= {"kit id"}  # which the answer is shown with
    assert found_in(err) == set()


async def test_no_record_of_a_log_shows_a_canary_in_its_fields(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(1)
    async with FakeSpot(token=WORDS["token"]) as fake:
        fake.faults.add("503")
        fake.faults.add(faults.status(429, retry_after=0))
        asked = planted()
        with pytest.raises(SpotError):
            await fake.client().kits.update_metadata(asked.kit_id, asked.metadata)

    assert len(caplog.records) > 1
    for record in caplog.records:
        if record.name.startswith("spotdx_async"):
            assert found_in(repr(vars(record))) == set()
