"""No patient data, and no key, in any text or file of a bulk create, whatever becomes of its rows."""

import asyncio
import json
import pickle
import stat
import warnings
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from datetime import datetime
from itertools import product
from pathlib import Path
from typing import Any

import attrs
import pytest
import pytest_asyncio

from spotdx_async import BulkRun, BulkStopped, Outcome, SpotClient, SpotError, read_journal
from spotdx_async.cli.app import run
from spotdx_async.testing import FakeSpot, faults
from tests.long_set import with_long

from .canaries import forms
from .create_canaries import NOUNS, ROWS, WORDS, Noun, faults_of, found_in, key_of
from .test_canaries import texts_of_error

pytestmark = pytest.mark.no_cover


# Which the repr of a requisition shows.
SHOWN = {"requisition barcode", "requisition account", "requisition lab"}


def test_there_are_forty_canaries_of_creates_and_each_is_found_in_every_form() -> None:
    assert len(WORDS) >= 40
    for name, word in WORDS.items():
        for form in forms(word):
            assert found_in(f"before {form} behind") == {name}
    assert found_in("no bird here") == set()


# In programs


@pytest_asyncio.fixture
async def fake(wall: Callable[[], datetime]) -> AsyncIterator[FakeSpot]:
    kits = [key_of("activation", number) for number in range(ROWS)]
    async with FakeSpot(wall=wall, token=WORDS["token"], kits=kits, orders=[], requisitions=[], patients=[]) as server:
        server.patients.add(WORDS["activation patient id"])
        yield server


@attrs.define
class Told:
    """All that a run has told."""

    folder: Path
    texts: list[str] = attrs.field(factory=list)
    of_rows: list[str] = attrs.field(factory=list)
    """Texts that may show keys, since they are about a row."""
    values: list[str] = attrs.field(factory=list)
    """What answers are shown as."""
    states: set[str] = attrs.field(factory=set)

    def outcome(self, outcome: Outcome[Any]) -> None:
        if outcome.state not in self.states:
            self.files()
        self.states.add(outcome.state)
        self.of_rows += [repr(outcome), str(outcome)]
        self.values += [repr(outcome.value), str(outcome.value)]
        if outcome.error is not None:
            self.error(outcome.error)

    def error(self, error: SpotError) -> None:
        self.texts += texts_of_error(error)
        self.texts.append(pickle.dumps(error.with_traceback(None)).decode("latin-1") if not _has_details(error) else "")

    def files(self) -> None:
        self.texts += [path.read_bytes().decode("latin-1") for path in self.folder.iterdir()]

    async def consume(self, run: BulkRun[Any]) -> None:
        try:
            async for outcome in run:
                self.outcome(outcome)
        except BulkStopped as error:
            self.error(error)
        self.files()
        self.texts += [repr(run), repr(run.duplicates), repr(run.audit_error), repr(read_journal(self.folder / "j"))]

    def shown(self, key: str) -> set[str]:
        found = {name for text in self.texts for name in found_in(text)}
        found |= {name for text in self.values for name in found_in(text) - SHOWN}
        return found | {name for text in self.of_rows for name in found_in(text) - {key}}


def _has_details(error: SpotError) -> bool:
    # What the server wrote is for the caller, in the pickle too.
    return bool(getattr(error, "details", ())) or getattr(error, "type", None) is not None


@pytest.mark.virtual_time
@pytest.mark.parametrize("noun", with_long(["requisitions", "activations"], NOUNS))
async def test_no_text_of_a_bulk_create_shows_a_canary(
    noun: str, fake: FakeSpot, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(1)
    loop, kind, told = asyncio.get_running_loop(), NOUNS[noun], Told(tmp_path)
    loop.set_exception_handler(lambda _, context: told.texts.append(repr(context)))
    loop.set_debug(True)
    loop.slow_callback_duration = 0.0  # asyncio then tells of every step
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")

        await play(kind, fake, told)

        loop.set_debug(False)
    told.texts += [str(warning.message) for warning in warned]
    told.texts += [text for record in caplog.records for text in (record.getMessage(), repr(vars(record)))]
    assert told.shown(f"{kind.word} key") == set()
    assert told.states == {"ok", "rejected", "failed", "unknown", "skipped"}


async def play(kind: Noun, fake: FakeSpot, told: Told) -> None:
    """Run a batch that meets everything, and resume it."""
    sent = json.dumps([value for name, value in WORDS.items() if name.startswith(kind.word)]).encode()
    for fault in faults_of(kind.word):
        fake.faults.add(fault, method="POST")
    for fault in (faults.body(sent), faults.body(sent, status=500), faults.body(sent, status=404, executes=False)):
        fake.faults.add(fault, method="GET", times=2)
    for store in (fake.orders, fake.requisitions):
        store.strip_metadata("null", only=lambda item: item.an_id.endswith(("1", "5")))

    def many(spot: SpotClient, rows: Iterable[Any]) -> BulkRun[Any]:
        return kind.create(spot)(
            rows,
            batch=WORDS["batch"],
            journal=told.folder / "j",
            concurrency=3,
            progress=lambda progress: told.texts.append(repr(progress)),
        )

    rows = [*map(kind.row, range(ROWS - 4))]
    async with fake.client(timeout_s=5) as spot:
        await told.consume(many(spot, [*rows, *bad_rows(kind)]))
        fake.faults.add("drop_before", method="POST", times=3)
        run = many(spot, map(kind.row, range(ROWS)))
        async for outcome in run:
            told.outcome(outcome)
            if outcome.state == "ok":
                break
        await run.aclose()
        for outcome in run.remaining_outcomes():
            told.outcome(outcome)
        changed = [kind.row(number) for number in range(1, ROWS)]
        await told.consume(many(spot, [(row[0], other(row[1])) if isinstance(row, tuple) else row for row in changed]))
        fake.faults.add("401", times=None)
        await told.consume(many(spot, [*rows, *more_rows(kind)]))


def bad_rows(kind: Noun) -> Iterator[Any]:
    """Give rows that cannot be sent, each of another kind: none of what is in them may be told."""
    yield kind.row(0)
    yield [*WORDS.values()]
    yield {**WORDS}
    yield (WORDS[f"{kind.word} key"], {WORDS[f"{kind.word} first name"]: WORDS[f"{kind.word} phone"]})
    row = kind.row(ROWS + 1)
    if isinstance(row, tuple):
        field = "metadata" if hasattr(row[1], "metadata") else "date_of_birth"
        yield row[0], attrs.evolve(row[1], **{field: WORDS[f"{kind.word} email"]})
    else:
        yield attrs.evolve(row, patient_id=None, patient=attrs.evolve(kind.row(1).patient, sex=WORDS["answer"]))


def more_rows(kind: Noun) -> Iterator[Any]:
    return (kind.row(number) for number in range(ROWS + 5, ROWS + 9))


def other(new: Any) -> Any:
    """Give other content for a row."""
    name = "recipient" if hasattr(new, "recipient") else "patient" if hasattr(new, "patient") else None
    if name is None:
        return attrs.evolve(new, sex="M")
    return attrs.evolve(new, **{name: attrs.evolve(getattr(new, name), first_name=WORDS["answer"])})


# On the command line


@pytest.mark.usefixtures("soon", "everything_logged")
@pytest.mark.parametrize(
    ("noun", "form"), with_long([("orders", "json"), ("patients", "text")], product(NOUNS, ["json", "text"]))
)
async def test_no_output_or_file_of_a_command_that_creates_shows_a_canary(
    noun: str,
    form: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    kind = NOUNS[noun]
    rows = kind.write(tmp_path / "rows.csv")
    names = ("journal.db", "created.csv", "failed.csv", "report.html", "outcomes.jsonl")
    paths = {name.partition(".")[0]: tmp_path / f"new-{name}" for name in names}
    options = [word for name, path in paths.items() for word in (f"--{name}", str(path))]
    command = [*kind.command, str(rows), "--batch", WORDS["batch"], "--yes", *options]
    command += ["--json", "--progress", "json"] if form == "json" else ["-v"]
    command += ["--log-file", str(tmp_path / "new-log.txt")]
    kits = [key_of("activation", number) for number in range(ROWS)]
    async with FakeSpot(token=WORDS["token"], kits=kits, orders=[], requisitions=[]) as fake:
        for fault in faults_of(kind.word):
            fake.faults.add(fault, method="POST")
        monkeypatch.setenv("SPOTDX_TOKEN", fake.token)
        monkeypatch.setenv("SPOTDX_BASE_URL", fake.url)

        first = await asyncio.to_thread(run, command)
        written = {path.name: path.read_bytes().decode("latin-1") for path in tmp_path.glob("new-*")}
        fake.faults.add("403", times=None, method="POST")
        second = await asyncio.to_thread(run, [*command, "--force"])

    out, err = capfd.readouterr()
    assert (first, second) == (1, 3), err[-1500:]
    assert written.keys() == {*(path.name for path in paths.values()), "new-log.txt"}
    assert found_in(out) | found_in(err) == set()
    about_rows = {"new-created.csv", "new-outcomes.jsonl", "new-failed.csv"}
    for path in tmp_path.glob("new-*"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        if path.name not in about_rows:
            assert found_in(path.read_bytes().decode("latin-1")) == set()
    for name in ("new-created.csv", "new-outcomes.jsonl"):
        assert found_in(written[name]) == {f"{kind.word} key"}
    assert f"{kind.word} phone" in found_in(written["new-failed.csv"])  # rows as they came
