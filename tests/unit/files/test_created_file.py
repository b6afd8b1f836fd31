"""The file of what was created: a line for each key, over all sessions, also those that were killed."""

from pathlib import Path

import pytest

from spotdx_async import InvalidInputError
from spotdx_async.files.created_file import CreatedFile

HEADER = "key,id,state\n"


def test_a_later_session_takes_over_what_earlier_ones_say_of_other_keys(tmp_path: Path) -> None:
    path = tmp_path / "created.csv"
    path.write_text(HEADER + "a,O1,ok\nb,,unknown\n")
    Path(f"{path}.part").write_text(HEADER + "b,O2,ok\nc,O3,ok\ne,,unknown\nf,,unknown\nd,O4,o")
    file = CreatedFile(path, is_resumed=True)
    file.add("e", "O5", "ok")
    file.close()
    assert path.read_text() == HEADER + "b,O2,ok\nc,O3,ok\ne,O5,ok\nf,,unknown\na,O1,ok\n"
    assert [one.name for one in tmp_path.iterdir()] == ["created.csv"]


def test_a_session_that_adds_nothing_keeps_what_a_killed_one_wrote(tmp_path: Path) -> None:
    path = tmp_path / "created.csv"
    Path(f"{path}.part").write_text(HEADER + "a,O1,ok\n")
    file = CreatedFile(path, is_resumed=True)
    file.close()
    assert path.read_text() == HEADER + "a,O1,ok\n"


def test_a_command_that_is_refused_leaves_what_a_killed_one_wrote_where_it_is(tmp_path: Path) -> None:
    path = tmp_path / "created.csv"
    Path(f"{path}.part").write_text(HEADER + "a,O1,ok\n")
    CreatedFile(path, is_resumed=True).abandon()
    assert Path(f"{path}.part").read_text() == HEADER + "a,O1,ok\n"


def test_the_first_word_on_a_key_stands(tmp_path: Path) -> None:
    file = CreatedFile(tmp_path / "created.csv")
    file.add("a", "O1", "ok")
    file.add("a", None, "failed")
    file.close()
    assert (tmp_path / "created.csv").read_text() == HEADER + "a,O1,ok\n"
    assert file.count == 1


def test_a_key_has_one_line_in_whatever_form_of_unicode(tmp_path: Path) -> None:
    path = tmp_path / "created.csv"
    path.write_text(HEADER + "e\N{COMBINING ACUTE ACCENT},,unknown\n", encoding="utf-8")
    file = CreatedFile(path, is_resumed=True)
    file.add("\N{LATIN SMALL LETTER E WITH ACUTE}", "O1", "ok")
    file.close()
    assert path.read_text(encoding="utf-8") == HEADER + "\N{LATIN SMALL LETTER E WITH ACUTE},O1,ok\n"


def test_another_file_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "created.csv").write_text("something else\n")
    with pytest.raises(InvalidInputError, match="exists and is not empty"):
        CreatedFile(tmp_path / "created.csv")


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
def test_a_session_that_goes_on_replaces_no_file_that_it_would_lose_a_part_of(tmp_path: Path, text: str) -> None:
    path = tmp_path / "created.csv"
    path.write_text(text)
    with pytest.raises(InvalidInputError, match="holds something other than"):
        CreatedFile(path, is_resumed=True)
    assert path.read_text() == text
    file = CreatedFile(path, is_resumed=True, replace=True)
    file.add("b", "O2", "ok")
    file.close()
    assert path.read_text() == HEADER + "b,O2,ok\n"


def test_a_file_that_a_spreadsheet_has_saved_is_taken_over(tmp_path: Path) -> None:
    path = tmp_path / "created.csv"
    path.write_bytes(b"\xef\xbb\xbfkey,id,state\r\na,O1,ok\r\n")
    file = CreatedFile(path, is_resumed=True)
    file.close()
    assert path.read_text() == HEADER + "a,O1,ok\n"
    assert (file.count, file.done) == (1, 1)


def test_a_second_kill_loses_nothing_of_what_the_first_left_and_leaves_one_file(tmp_path: Path) -> None:
    path = tmp_path / "created.csv"
    for key in "abc":
        file = CreatedFile(path, is_resumed=True)
        file.add(key, f"O{key}", "ok")
        file.abandon()  # as a kill leaves it
    assert Path(f"{path}.part").read_text() == HEADER + "a,Oa,ok\nb,Ob,ok\nc,Oc,ok\n"
    assert [one.name for one in tmp_path.iterdir()] == ["created.csv.part"]
