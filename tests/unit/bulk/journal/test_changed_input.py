"""A journal is resumed with another input: no row is sent twice, and each key ends with its last value."""

import random
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from pathlib import Path

import pytest

from spotdx_async.bulk.journal.changed_input import accept
from spotdx_async.bulk.journal.file import JournalFile
from spotdx_async.bulk.journal.reading import read_journal
from spotdx_async.bulk.journal.records import AcceptedInput, Recorded
from spotdx_async.bulk.records import Journal, State
from spotdx_async.errors import JournalError

OPERATION, SERVER = "PATCH /api/v2/kits/{kit_id}/", "https://spot.test"
Rows = Sequence[tuple[str, bytes | None]]
KEYS, TRIES = 60, 8


def opened(path: Path, fingerprint: str | None = None) -> JournalFile:
    return JournalFile.open(Journal(path, fingerprint), operation=OPERATION, server=SERVER)


def session(path: Path, rows: Rows, states: Sequence[State | None], ending: str = "stopped") -> None:
    """A session that recorded these states; None: it did not come to the row."""
    file = opened(path, "old")
    recorded: list[Recorded] = [
        (index, state, file.digester.row(key, content or b"\0"))
        for index, ((key, content), state) in enumerate(zip(rows, states, strict=False))
        if state is not None
    ]
    file.close(recorded, ending)


def accepted(path: Path, rows: Iterable[tuple[str, bytes | None]], *, server: str = SERVER) -> AcceptedInput | None:
    return accept(Journal(path, "new"), rows, operation=OPERATION, server=server)


def skipped(path: Path, rows: Rows) -> set[int]:
    """The rows that a session with the new input does not send; it knows each row that it is said to know."""
    file = opened(path, "new")
    try:
        known = file.known(0)
        for index, one in known.items():
            key, content = rows[index]
            assert one.content == file.digester.row(key, content or b"\0").content
        return {index for index, one in known.items() if one.state in {"ok", "superseded"}}
    finally:
        file.close([], "stopped")


def refused(path: Path, rows: Rows) -> str:
    before = path.read_bytes()
    with pytest.raises(JournalError) as caught:
        accepted(path, rows)
    assert caught.value.reason == "changed input"
    assert path.read_bytes() == before
    return str(caught.value)


OLD = [("K1", b"a"), ("K2", b"b"), ("K3", None), ("K4", b"d")]


def test_a_mended_and_extended_input_sends_only_what_is_new(tmp_path: Path) -> None:
    path = tmp_path / "run.journal"
    session(path, OLD, ["ok", "failed", "rejected", "ok"])
    new = [("K0", b"z"), ("K1", b"a"), ("K2", b"b"), ("K3", b"c"), ("K4", b"d"), ("K5", b"e")]

    found = accepted(path, new)

    assert found == AcceptedInput(rows=6, done=2, done_again=0)
    assert skipped(path, new) == {1, 4}
    assert read_journal(path).version == 1
    assert accepted(path, new) is None  # it is that of this input by now
    with pytest.raises(JournalError, match="another input"):
        opened(path, "old")


def test_a_new_row_above_one_of_its_key_that_is_done_is_overtaken(tmp_path: Path) -> None:
    path = tmp_path / "run.journal"
    session(path, OLD[:1], ["ok"])
    new = [("K1", b"new"), ("K1", b"a"), ("K1", b"newest")]

    assert accepted(path, new) == AcceptedInput(rows=3, done=2, done_again=0)
    assert skipped(path, new) == {0, 1}


def test_rows_in_another_order_are_set_again_from_where_they_differ(tmp_path: Path) -> None:
    path = tmp_path / "run.journal"
    session(path, [("K1", b"a"), ("K1", b"b"), ("K2", b"c")], ["ok", "ok", "ok"])
    new = [("K1", b"b"), ("K2", b"c"), ("K1", b"a")]

    assert accepted(path, new) == AcceptedInput(rows=3, done=2, done_again=1)
    assert skipped(path, new) == {0, 1}


def test_a_row_that_is_done_and_gone_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "run.journal"
    session(path, OLD, ["ok", "ok", "rejected", "unknown"])

    assert "knows a row that is done, or perhaps done, and is not in this input (it was row 2)" in refused(
        path, [OLD[0], OLD[3]]
    )
    assert "knows 3 rows that are done, or perhaps done, and are not in this input (the first was row 1)" in refused(
        path, [("K9", b"x")]
    )


def test_the_journal_of_a_killed_run_is_refused_until_a_session_has_come_to_its_end(tmp_path: Path) -> None:
    path = tmp_path / "run.journal"
    session(path, OLD, ["ok"])
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("UPDATE meta SET ending = NULL")
    assert "is of a run that was killed" in refused(path, OLD)

    session(path, OLD, [None, "ok"], "stopped")
    assert "is of a run that was killed" in refused(path, OLD)

    session(path, OLD, [None, None, "rejected", "failed"], "complete")
    assert accepted(path, OLD) == AcceptedInput(rows=4, done=2, done_again=0)
    file = opened(path, "new")
    assert file.doubtful_below == 0
    file.close([], "stopped")


def test_what_may_still_land_is_kept_by_its_key(tmp_path: Path) -> None:
    path = tmp_path / "run.journal"
    file = opened(path, "old")
    digests = file.digester.row("K1", b"a")
    file.close([(0, "ok", type(digests)(digests.content, digests.key, may_land=True))], "stopped")

    for mark in ("new", "newer"):  # twice: its number is nobody's
        assert accept(Journal(path, mark), [("K0", b"x"), ("K1", b"a")], operation=OPERATION, server=SERVER)

    file = opened(path, "newer")
    assert {*file.may_land.values()} == {digests.key}
    assert all(row < 0 for row in file.may_land)
    file.close([], "stopped", [*file.may_land])
    file = opened(path, "newer")
    assert file.may_land == {}
    file.close([], "stopped")


def test_another_run_and_a_journal_in_use_are_refused_as_ever(tmp_path: Path) -> None:
    path = tmp_path / "run.journal"
    assert accepted(path, OLD) is None
    session(path, OLD, ["ok"])
    with pytest.raises(JournalError, match="another server"):
        accepted(path, OLD, server="https://other.test")
    held = opened(path, "old")
    with pytest.raises(JournalError, match="in use"):
        accepted(path, OLD)
    held.close([], "stopped")


def test_what_the_input_raises_comes_as_it_is_and_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "run.journal"
    session(path, OLD, ["ok"])
    before = path.read_bytes()

    def broken() -> Iterator[tuple[str, bytes | None]]:
        yield OLD[0]
        raise OSError(5, "Input/output error")

    with pytest.raises(OSError, match="Input/output error"):
        accepted(path, broken())
    assert path.read_bytes() == before


def random_row(chance: random.Random) -> tuple[str, bytes]:
    return f"K{chance.randrange(KEYS)}", chance.choice([b"1", b"2", b"3"])


def changed(
    chance: random.Random, rows: list[tuple[str, bytes]], states: Sequence[State | None], changes: int
) -> list[tuple[str, bytes]]:
    """Add rows, move rows, and drop rows that were never sent."""
    new = [(row, state in {"ok", "unknown"}) for row, state in zip(rows, states, strict=True)]
    for _ in range(changes):
        act = chance.choice(["add", "drop", "move"])
        place = chance.randrange(len(new))
        if act == "add":
            new.insert(place, (random_row(chance), False))
        elif act == "move":
            new.insert(chance.randrange(len(new)), new.pop(place))
        elif not new[place][1]:
            del new[place]
    return [row for row, _ in new]


def what_is_held(rows: Sequence[tuple[str, bytes]], states: Sequence[State | None]) -> dict[str, set[bytes]]:
    """What a server may hold after a session."""
    holds: dict[str, set[bytes]] = {}
    for (key, content), state in zip(rows, states, strict=True):
        if state == "ok":
            holds[key] = {content}
        elif state == "unknown":
            holds[key] = holds.get(key, {b"nothing"}) | {content}
    return holds


@pytest.mark.parametrize("number", range(TRIES))
def test_whatever_the_new_input_is_each_key_ends_with_its_last_value(tmp_path: Path, number: int) -> None:
    chance, path = random.Random(number), tmp_path / "run.journal"
    old = [random_row(chance) for _ in range(3 * KEYS)]
    states: list[State | None] = [chance.choice(["ok", "ok", "ok", "failed", "unknown", None]) for _ in old]
    session(path, old, states)
    new = changed(chance, old, states, changes=number * 20)

    found = accepted(path, new)

    not_sent = skipped(path, new)
    assert found is not None
    assert found.done == len(not_sent)
    holds = what_is_held(old, states)
    holds |= {key: {content} for index, (key, content) in enumerate(new) if index not in not_sent}
    assert {key: holds[key] for key, _ in new} == {key: {content} for key, content in new}


def test_an_input_that_is_only_extended_sets_nothing_twice(tmp_path: Path) -> None:
    chance, path = random.Random(1), tmp_path / "run.journal"
    old = [random_row(chance) for _ in range(3 * KEYS)]
    states: list[State | None] = [chance.choice(["ok", "failed", None]) for _ in old]
    session(path, old, states)
    new = [*old, *(random_row(chance) for _ in range(KEYS))]

    found = accepted(path, new)

    assert found is not None
    assert {index for index, state in enumerate(states) if state == "ok"} <= skipped(path, new)
