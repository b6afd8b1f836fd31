"""The file of what was created: a line for each key, over all sessions, also those that were killed."""

import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import attrs
import pytest

from spotdx_async import InvalidInputError, JournalError
from spotdx_async.files.created_file import CreatedFile, RecordedKey
from tests.unit.files.test_failed_rows import is_killed_at

HEADER = "key,id,state\n"


@attrs.define
class FakeJournal:
    """What a journal knows: a state and an id by key."""

    known: dict[str, tuple[str, str | None]]

    def recorded(self, keys: Iterable[str]) -> Iterator[RecordedKey]:
        yield from ((key, *self.known.get(key, (None, None))) for key in keys)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "created.csv"


def part_of(path: Path) -> Path:
    return path.with_name(f"{path.name}.part")


def names(path: Path) -> list[str]:
    return sorted(one.name for one in path.parent.iterdir())


def lines_of(path: Path) -> list[str]:
    header, *lines = path.read_text().splitlines(keepends=True)
    assert header == HEADER
    return sorted(lines)


def test_a_later_session_takes_over_keys_of_earlier_ones_with_the_journals_word(path: Path) -> None:
    journal = FakeJournal(
        {"a": ("ok", "O1"), "b": ("ok", "O2"), "c": ("ok", "O3"), "e": ("ok", "O5"), "f": ("unknown", None)}
        | {"h": ("ok", "O8"), "i": ("failed", None)}
    )
    path.write_text(HEADER + "a,O1,ok\nb,,unknown\ng,,unknown\ni,,failed\n")
    part_of(path).write_text(HEADER + "b,O2,ok\nc,O3,ok\ne,,unknown\nf,,unknown\nh,,unknown\nc,O3,ok\nd,O4,o")
    file = CreatedFile(path, recorded=journal.recorded)
    assert (file.kept, file.count, file.has("b"), file.has("e")) == (None, 2, True, False)
    file.add("e", "O5", "ok")
    file.add("b", "O2", "ok")
    file.close()
    assert lines_of(path) == [
        *("a,O1,ok\n", "b,O2,ok\n", "c,O3,ok\n", "e,O5,ok\n", "f,,unknown\n", "h,O8,ok\n", "i,,failed\n")
    ]
    assert (file.count, file.done, names(path)) == (7, 5, ["created.csv"])


def test_a_session_that_adds_nothing_keeps_what_a_killed_one_wrote(path: Path) -> None:
    part_of(path).write_text(HEADER + "a,O1,ok\n")
    CreatedFile(path, recorded=FakeJournal({"a": ("ok", "O1")}).recorded).close()
    assert path.read_text() == HEADER + "a,O1,ok\n"


def test_a_command_that_is_refused_leaves_what_a_killed_one_wrote_where_it_is(path: Path) -> None:
    part_of(path).write_text(HEADER + "a,O1,ok\n")
    CreatedFile(path, recorded=FakeJournal({"a": ("ok", "O1")}).recorded).abandon()
    assert part_of(path).read_text() == HEADER + "a,O1,ok\n"


def test_the_first_word_of_a_session_on_a_key_stands(path: Path) -> None:
    file = CreatedFile(path)
    file.add("a", "O1", "ok")
    file.add("a", None, "failed")
    file.close()
    assert path.read_text() == HEADER + "a,O1,ok\n"
    assert file.count == 1


@pytest.mark.parametrize("text", ["something else\n", HEADER + "a,X1,ok\n", HEADER + "z,X2,ok\n"])
@pytest.mark.parametrize("is_resumed", [False, True])
def test_another_runs_file_is_replaced_only_if_that_is_asked_for(path: Path, text: str, *, is_resumed: bool) -> None:
    recorded = FakeJournal({"a": ("ok", "O1")}).recorded if is_resumed else None
    path.write_text(text)
    with pytest.raises(InvalidInputError, match="exists and is not empty"):
        CreatedFile(path, recorded=recorded)
    assert (path.read_text(), names(path)) == (text, ["created.csv"])
    file = CreatedFile(path, recorded=recorded, replace=True)
    file.add("a", "O1", "ok")
    file.close()
    assert path.read_text() == HEADER + "a,O1,ok\n"


@pytest.mark.parametrize("make", [os.mkfifo, Path.mkdir, lambda path: path.symlink_to("elsewhere")])
def test_what_is_no_file_at_its_place_is_refused_and_not_waited_for(path: Path, make: Callable[[Path], None]) -> None:
    make(path)
    with pytest.raises(InvalidInputError, match=f"^{path} is (not a regular file|a folder|a symbolic link)"):
        CreatedFile(path, recorded=FakeJournal({}).recorded)


@pytest.mark.parametrize("text", ["something else\n", HEADER + "a,X1,ok\n", HEADER + "b,O2,ok\nz,X2,ok\n"])
@pytest.mark.parametrize("is_resumed", [False, True])
def test_what_another_run_has_left_is_kept_under_another_name(path: Path, text: str, *, is_resumed: bool) -> None:
    journal = FakeJournal({"a": ("ok", "O1"), "b": ("ok", "O2")})
    part_of(path).write_text(text)
    file = CreatedFile(path, recorded=journal.recorded if is_resumed else None)
    assert file.kept == path.with_name("created.csv.1")
    file.add("a", "O1", "ok")
    file.close()
    assert path.read_text() == HEADER + "a,O1,ok\n"
    assert path.with_name("created.csv.1").read_text() == text


def test_a_key_has_one_line_in_whatever_form_of_unicode(path: Path) -> None:
    path.write_text(HEADER + "e\N{COMBINING ACUTE ACCENT},,unknown\n", encoding="utf-8")
    file = CreatedFile(path, recorded=FakeJournal({"e\N{COMBINING ACUTE ACCENT}": ("ok", "O1")}).recorded)
    file.add("\N{LATIN SMALL LETTER E WITH ACUTE}", "O1", "ok")
    file.close()
    assert path.read_text(encoding="utf-8") == HEADER + "\N{LATIN SMALL LETTER E WITH ACUTE},O1,ok\n"


@pytest.mark.parametrize(
    "text",
    [
        "my own notes\n",
        "key,kit_types,first_name\na,health_kit_1,Robin\n",
        "key,id,state,note\na,O1,ok,called\n",
        HEADER + "a,O1,shipped\n",
        "key;id;state\na;O1;ok\n",
        HEADER + "x" * 200_000 + ",O1,ok\n",  # longer than a cell may be
    ],
)
def test_a_session_that_goes_on_replaces_no_file_that_it_would_lose_a_part_of(path: Path, text: str) -> None:
    journal = FakeJournal({"a": ("ok", "O1"), "b": ("ok", "O2"), "x" * 200_000: ("ok", "O1")})
    path.write_text(text)
    with pytest.raises(InvalidInputError, match="holds something other than"):
        CreatedFile(path, recorded=journal.recorded)
    assert path.read_text() == text
    file = CreatedFile(path, recorded=journal.recorded, replace=True)
    file.add("b", "O2", "ok")
    file.close()
    assert path.read_text() == HEADER + "b,O2,ok\n"


@pytest.mark.parametrize("place_of", [Path, part_of])
def test_a_file_that_a_spreadsheet_has_saved_is_taken_over(path: Path, place_of: Callable[[Path], Path]) -> None:
    place_of(path).write_bytes(b"\xef\xbb\xbfkey,id,state\r\na,O1,ok\r\nb,,failed\r\n")
    file = CreatedFile(path, recorded=FakeJournal({"a": ("ok", "O1"), "b": ("failed", None)}).recorded)
    file.close()
    assert path.read_text() == HEADER + "a,O1,ok\nb,,failed\n"
    assert (file.count, file.done, names(path)) == (2, 1, ["created.csv"])


@pytest.mark.parametrize("torn", ["", "d", 'd"', 'd,"', '"d,\n', '"d\n"",\n'])
def test_a_part_is_continued_after_its_last_whole_line(path: Path, torn: str) -> None:
    keys = ['a,"b"\nc', "é"]
    journal = FakeJournal({key: ("ok", f"O{key}") for key in (*keys, "z")})
    first = CreatedFile(path)
    for key in keys:
        first.add(key, f"O{key}", "ok")
    first.abandon()
    whole = part_of(path).read_bytes()
    part_of(path).write_bytes(whole + torn.encode())
    second = CreatedFile(path, recorded=journal.recorded)
    assert all(map(second.has, keys))
    second.add("z", "Oz", "ok")
    second.close()
    assert path.read_bytes() == whole + b"z,Oz,ok\n"


def test_a_journal_that_is_gone_at_the_end_costs_no_line(path: Path) -> None:
    def gone(_: object) -> Iterator[RecordedKey]:
        raise JournalError("gone", reason="path")

    path.write_text(HEADER + "a,O1,ok\nb,,unknown\n")
    part_of(path).write_text(HEADER + "c,,unknown\n")
    file = CreatedFile(path, recorded=FakeJournal({"a": ("ok", "O1"), "b": ("unknown", None)}).recorded)
    file._recorded = gone
    file.add("d", "O4", "ok")
    file.close()
    assert lines_of(path) == ["a,O1,ok\n", "b,,unknown\n", "c,,unknown\n", "d,O4,ok\n"]


def test_many_kills_leave_one_file_that_does_not_grow_with_them(path: Path) -> None:
    journal = FakeJournal({key: ("ok", f"O{key}") for key in "abc"})
    for key in "aabbcc":
        file = CreatedFile(path, recorded=journal.recorded)
        for one in "abc"[: ord(key) - ord("a") + 1]:
            file.add(one, f"O{one}", "ok")
        file.abandon()  # as a kill leaves it
    assert part_of(path).read_text() == HEADER + "a,Oa,ok\nb,Ob,ok\nc,Oc,ok\n"
    assert names(path) == ["created.csv.part"]


def test_a_kill_before_any_change_of_a_file_loses_nothing_and_leaves_nothing(path: Path) -> None:
    """A session with all that can be there before it, killed before each of its steps; the next one ends as it."""
    journal = FakeJournal({"a": ("ok", "O1"), "b": ("ok", "O2"), "c": ("ok", "O3"), "d": ("ok", "O4")})

    def session() -> None:
        file = CreatedFile(path, recorded=journal.recorded)
        file.add("c", "O3", "ok")
        file.close()

    step = 0
    while True:
        step += 1
        path.write_text(HEADER + "a,O1,ok\n")
        part_of(path).write_text(HEADER + "b,O2,ok\nd,,unknown\nc,O")
        is_killed = is_killed_at(step, session)
        session()
        assert lines_of(path) == ["a,O1,ok\n", "b,O2,ok\n", "c,O3,ok\n", "d,O4,ok\n"], step
        assert names(path) == ["created.csv"], step
        if not is_killed:
            break
    assert step > 8
