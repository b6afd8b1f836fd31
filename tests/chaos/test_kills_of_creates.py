"""Creates of files of rows, killed again and again: each row is done once, and all are accounted for."""

import asyncio
import csv
import os
import random
import re
import signal
import sys
import time
from asyncio.subprocess import DEVNULL
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import attrs
import pytest

from spotdx_async import read_journal, report
from spotdx_async.testing import FakeSpot, faults
from spotdx_async.testing.records import ReceivedRequest
from tests.command_line import spotdx
from tests.end_to_end.test_cli_create_many import HEADER, PERSON, PHI, ROWS, lines_of, order, written
from tests.long_set import ONLY_IN_FULL
from tests.patience import PATIENCE_S

pytestmark = pytest.mark.no_cover

MOST_SESSIONS = 8
"""After the last kill: a row that was tried four times fails, and is tried again by the next."""
LONGEST_S = 300
BEFORE = "of another run\n"
FILES = {"--created": "created.csv", "--failed": "failed.csv", "--outcomes": "outcomes.csv", "--report": "page.html"}


@attrs.frozen(kw_only=True)
class Kind:
    """What is created, and how its rows are told apart on the server."""

    command: tuple[str, str]
    header: str
    line: Callable[[str], str]
    key_of: Callable[[Any], str]
    """Returns the key of what came: a record of a create, or a request."""
    look: str = ""
    """The call by which rows in doubt are looked for; none if they cannot be."""
    batch: tuple[str, ...] = ("--batch", "b")

    @property
    def done(self) -> int:
        """The exit code of a run that leaves nothing that can be done."""
        return 0 if self.look else 1


KINDS = {
    "orders": Kind(
        command=("orders", "create"),
        header=HEADER,
        line=order,
        key_of=lambda one: str(one.body["metadata"]["site"]).removeprefix("site of "),
        look="orders.list",
    ),
    "requisitions": Kind(
        command=("requisitions", "create"),
        header=ROWS["requisitions"][0],
        line=lambda key: ROWS["requisitions"][1].replace("R1,19742938329", f"{key},{key}"),
        key_of=lambda one: str(one.body["barcode"]),
        look="requisitions.list",
    ),
    "patients": Kind(
        command=("patients", "create"),
        header=ROWS["patients"][0],
        line=lambda key: ROWS["patients"][1].replace("A,", f"{key},", 1).replace("canary@", f"{key}@"),
        key_of=lambda one: str(one.body["email"]).partition("@")[0],
    ),
    "activations": Kind(
        command=("kits", "activate"),
        header="kit_id,first_name,last_name,email,phone,sex,date_of_birth",
        line=lambda key: f"{key},{PERSON},F,1990-01-31",
        key_of=lambda one: str(one.kit_id if isinstance(one, ReceivedRequest) else one.an_id),
        look="kits.get",
        batch=(),
    ),
}


@attrs.define(eq=False, kw_only=True)
class Command:
    """A command that creates what a file holds, in processes of its own, and the server that it talks to."""

    kind: Kind
    keys: list[str]
    folder: Path
    fake: FakeSpot
    dice: random.Random
    within_s: float
    """How long a request may be on its way, as the command is told; those that land late do so a little sooner."""
    rate: float
    killed: Counter[str] = attrs.field(factory=Counter)
    """Sessions that were killed, by the moment."""
    looked: int = 0
    """Sessions that have looked for what was in doubt."""
    has_ended: bool = False
    """Whether a session has come so far that its files may be in their places."""

    def prepare(self, seed: int) -> None:
        """Write the rows, and files of another run where the command's own are to be; let the server fail."""
        written(self.folder / "rows.csv", [self.kind.header, *map(self.kind.line, self.keys)])
        for name in FILES.values():
            (self.folder / name).write_text(BEFORE)
        report.write_report(self.folder / "empty.html", report.RunStory({}, 0.0))
        (self.folder / "empty.html").rename(self.folder / "page.html")
        late, lost = (
            faults.land_later((0.0, self.within_s * 0.75), status=code, seed=seed + number)
            for number, code in enumerate((504, None))
        )
        read = (faults.unreadable(201), faults.half_body(), faults.broken_json())
        kinds = ("500", "503", "drop_before", "drop_after", late, lost, *read)
        self.fake.faults.random(0.1, seed=seed, kinds=kinds)
        self.fake.lag_lists(self.within_s / 2)
        self.fake.latency_s = 0.03

    @property
    def words(self) -> tuple[str, ...]:
        files = (word for option in FILES.items() for word in option)
        times = ("--timeout", f"{self.within_s}", "--lands-within", f"{self.within_s}", "--rate", f"{self.rate}")
        return (*self.kind.command, "rows.csv", *self.kind.batch, "--journal", "j", *files, *times, "--force", "--yes")

    @property
    def looks(self) -> int:
        return self.fake.operation_counts[self.kind.look]

    @property
    def posts(self) -> list[ReceivedRequest]:
        return [request for request in self.fake.requests if request.method == "POST"]

    async def start(self) -> asyncio.subprocess.Process:
        env = {**os.environ, "SPOTDX_TOKEN": self.fake.token, "SPOTDX_BASE_URL": self.fake.url}
        argv = (sys.executable, "-m", "spotdx_async", *self.words)
        with (self.folder / "said").open("ab") as said:
            return await asyncio.create_subprocess_exec(
                *argv, env=env, cwd=self.folder, stdin=DEVNULL, stdout=said, stderr=said
            )

    async def killed_at(self, moment: str) -> None:
        """Run it as a process that is killed at some such moment, if that comes before its end."""
        times: dict[str, tuple[Callable[[], bool], float]] = {
            "start": (lambda: True, 0.3),
            "journal": (self._has_taken_journal(), 0.05),
            "first row": (_more(lambda: self.fake.counts["requests"], 1), 0.1),
            "work": (_more(lambda: self.fake.counts["requests"], self.dice.randrange(2, 100)), 0.0),
            "settling": (_more(lambda: self.looks, self.dice.randrange(1, 3)), 0.05),
            "end": (self._has_left_journal(), 0.06),
        }
        is_time, most_s = times[moment]
        code = await self._run_until(is_time, self.dice.uniform(0.0, most_s))
        is_killed = code == -signal.SIGKILL
        self.killed[moment] += is_killed
        self._check(code, may_have_ended=moment == "end" or not is_killed)

    async def ended(self) -> int:
        """Run it as a process to its end; return its exit code."""
        code = await self._run_until(lambda: False, 0.0)
        self._check(code, may_have_ended=True)
        return code

    async def _run_until(self, is_time: Callable[[], bool], slack_s: float) -> int:
        """Run it as a process that is killed some seconds after a moment; return its exit code."""
        before, process = self.looks, await self.start()
        try:
            async with asyncio.timeout(LONGEST_S):
                while process.returncode is None and not is_time():
                    await asyncio.sleep(0.001)
            with suppress(TimeoutError):
                await asyncio.wait_for(process.wait(), slack_s)
        finally:
            if process.returncode is None:
                process.send_signal(signal.SIGKILL)
            code = await asyncio.wait_for(process.wait(), PATIENCE_S)
        self.looked += self.looks > before
        return code

    def _lock_written(self) -> int | None:
        """Return when the journal's lock was written, as each session does that takes the journal."""
        with suppress(FileNotFoundError):
            return (self.folder / "j-lock").stat().st_mtime_ns
        return None

    def _has_taken_journal(self) -> Callable[[], bool]:
        before = self._lock_written()
        return lambda: self._lock_written() not in {before, None}

    def _has_left_journal(self) -> Callable[[], bool]:
        has_taken, had_it = self._has_taken_journal(), False

        def has_left_it() -> bool:
            nonlocal had_it
            had_it = had_it or has_taken()
            return had_it and self._lock_written() is None

        return has_left_it

    def _check(self, code: int, *, may_have_ended: bool) -> None:
        self.has_ended |= may_have_ended
        assert code in {0, 1, -signal.SIGKILL}, (self.folder / "said").read_text()
        if self.fake.creations:
            state = read_journal(self.folder / "j")
            assert len(self.fake.creations) <= state.by_state["ok"] + state.by_state["unknown"], "without its intent"
        self._check_files()

    def _check_files(self) -> None:
        """Each file is as it was before the run, or as a session that has ended put it there, whole."""
        ids = {self.kind.key_of(made): made.an_id for made in self.fake.creations}
        for name in FILES.values():
            path = self.folder / name
            assert path.exists() or (name == "failed.csv" and self.has_ended)
            text = path.read_text() if path.exists() else ""
            if name == "page.html":
                assert text.endswith("</html>\n")
            elif not self.has_ended:
                assert text == BEFORE
            elif name == "failed.csv" or text == BEFORE:
                assert set(text.splitlines()) <= {*(self.folder / "rows.csv").read_text().splitlines(), BEFORE.strip()}
            elif name == "created.csv":
                assert all(ids[key] == an_id for key, (an_id, state) in lines_of(path).items() if state == "ok")
            else:
                assert {len(row) for row in csv.reader(text.splitlines())} == {8}

    def check_end(self) -> str:
        """Compare all that is left with the server's ledger; return the figures."""
        kind, fake, keys = self.kind, self.fake, set(self.keys)
        made = Counter(map(kind.key_of, fake.creations))
        sent = Counter(map(kind.key_of, self.posts))
        told = lines_of(self.folder / "created.csv")
        ids = {kind.key_of(each): each.an_id for each in fake.creations}
        assert fake.creations.duplicates() == {}
        assert set(made.values()) == {1}
        assert all(len(each) == 1 for each in fake.creations.by_request().values())
        if kind.look:
            assert told == {key: (ids[key], "ok") for key in keys}
        else:
            assert set(sent.values()) == {1}
            assert told.keys() == keys
            assert all(told[key] in {("", "unknown"), (ids.get(key), "ok")} for key in keys)
        said = (self.folder / "said").read_text()
        left = {path.name for path in self.folder.iterdir()}
        kept = {name for name in left if re.fullmatch(r".*\.\d+", name)}
        assert all(f"has left: it is kept as {name}\n" in said for name in kept)
        assert left - kept - {"failed.csv"} == {"rows.csv", "said", "j", *FILES.values()} - {"failed.csv"}
        texts = [(self.folder / name).read_text("latin-1") for name in left if not name.startswith(("rows", "failed"))]
        assert not any(word in text for word in PHI for text in texts)
        unsure = sum(count > 1 for count in sent.values())
        return (
            f"{len(keys)} rows, {self.killed.total()} kills {dict(self.killed)}, {self.looked} sessions looked, "
            f"{fake.counts['faults']} faults, {sent.total()} sent, {unsure} rows more than once, {len(made)} created, "
            f"{sum(state == 'unknown' for _, state in told.values())} in doubt, {dict(fake.operation_counts)}"
        )


def _more(count: Callable[[], int], than: int) -> Callable[[], bool]:
    enough = count() + than
    return lambda: count() >= enough


def moments(dice: random.Random, kills: int, *, can_look: bool) -> Iterator[str]:
    """Yield moments for so many kills, the last fifth at the end of the run, and then more for those that miss."""
    usual = ["work", "settling", "first row", "journal", "work", "settling", "start"]
    usual = [moment for moment in usual if can_look or moment != "settling"]
    drawn = [usual[number % len(usual)] for number in range(kills - kills // 5)]
    dice.shuffle(drawn)
    yield from drawn
    while True:
        yield "end"


@ONLY_IN_FULL
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("noun", KINDS)
async def test_rows_are_created_once_whatever_kills_the_command(tmp_path: Path, chaos: Any, noun: str) -> None:
    kind, dice = KINDS[noun], random.Random(chaos.seed)
    rows, kills, rate = (2000, 20, 25.0) if noun == "orders" else (200, 6, 15.0)
    keys = [f"K{number:05}" for number in range(rows)]
    began_s = time.monotonic()
    async with FakeSpot(orders=[], requisitions=[], patients=[], kits=keys if noun == "activations" else []) as fake:
        command = Command(kind=kind, keys=keys, folder=tmp_path, fake=fake, dice=dice, within_s=2.0, rate=rate)
        command.prepare(chaos.seed)
        drawn = moments(dice, kills, can_look=bool(kind.look))
        while command.killed.total() < kills:
            await command.killed_at(next(drawn))
        sessions = 1
        while await command.ended() != kind.done and sessions < MOST_SESSIONS:
            sessions += 1
        assert read_journal(tmp_path / "j").ending == "complete"
        print(f"{noun}: {time.monotonic() - began_s:.0f} s, {command.check_end()}")  # noqa: T201


@pytest.mark.parametrize("noun", ["orders", "patients"])
async def test_two_kills_cost_no_row_and_create_none_twice(
    tmp_path: Path, chaos: Any, noun: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    dice, keys = random.Random(chaos.seed), [f"K{number:05}" for number in range(60)]
    async with FakeSpot(orders=[], patients=[]) as fake:
        kind = KINDS[noun]
        command = Command(kind=kind, keys=keys, folder=tmp_path, fake=fake, dice=dice, within_s=0.5, rate=100.0)
        command.prepare(chaos.seed)
        for _ in range(2):
            await command.killed_at(dice.choice(["first row", "journal"]))
        # In this process: looking for what is in doubt begins ten seconds later otherwise.
        monkeypatch.setattr("spotdx_async.bulk.settlement.LIST_LAG_S", 0.3)
        monkeypatch.setenv("SPOTDX_TOKEN", fake.token)
        monkeypatch.setenv("SPOTDX_BASE_URL", fake.url)
        monkeypatch.chdir(tmp_path)
        capfd.readouterr()
        codes = [await spotdx(*command.words)]
        while codes[-1] != kind.done and len(codes) < MOST_SESSIONS:
            codes.append(await spotdx(*command.words))
        with (tmp_path / "said").open("a") as said:
            said.writelines(capfd.readouterr())
        command.check_end()
