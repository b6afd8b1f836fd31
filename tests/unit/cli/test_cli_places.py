"""No file has two uses, one of which writes it: by any name, and before anything is opened."""

import os
from pathlib import Path

import pytest

from spotdx_async.cli.app import run
from spotdx_async.cli.places import check_places, row_places
from spotdx_async.cli.row_options import UpdateOptions
from spotdx_async.errors import InvalidInputError

ROWS = "kit_id,a\nK1,x\n"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in.csv").write_text(ROWS)
    (tmp_path / "hard.csv").hardlink_to("in.csv")
    (tmp_path / "soft.csv").symlink_to("in.csv")
    (tmp_path / "dangling").symlink_to("new")
    (tmp_path / "sub").mkdir()
    (tmp_path / "here").symlink_to(".")
    (tmp_path / "other.csv").write_text(ROWS)
    return tmp_path


@pytest.mark.parametrize(
    ("files", "options", "said"),
    [
        (["in.csv"], {"failed": "hard.csv"}, "the input in.csv and --failed hard.csv"),
        (["soft.csv"], {"failed": "in.csv"}, "the input soft.csv and --failed in.csv"),
        (["in.csv"], {"report": "sub/../in.csv"}, "the input in.csv and --report sub/../in.csv"),
        (["in.csv"], {"journal": "soft.csv"}, "the input in.csv and --journal soft.csv"),
        (["other.csv", "in.csv"], {"failed": "here/in.csv"}, "the input in.csv and --failed here/in.csv"),
        (["in.csv"], {"failed": "new", "journal": "./new"}, "--failed new and --journal new"),
        (["in.csv"], {"failed": "new", "report": "here/new"}, "--failed new and --report here/new"),
        (["in.csv"], {"journal": "new", "report": "dangling"}, "--journal new and --report dangling"),
        (["in.csv"], {"failed": "no/new", "report": "no/new"}, "--failed no/new and --report no/new"),
        (["in.csv"], {"failed": "new.csv", "journal": "new.csv.unreadable"}, "(which uses new.csv.unreadable) and"),
        (["in.csv"], {"failed": "new.csv", "report": "new.csv.part"}, "--failed new.csv (which uses new.csv.part)"),
        (["in.csv"], {"failed": "j-lock", "journal": "j"}, "--failed j-lock and --journal j (which uses j-lock)"),
        (["in.csv"], {"failed": "sub/run.json", "journal": "sub"}, "--journal sub (which uses sub/run.json)"),
        (["in.csv"], {"failed": "other.csv", "dask_tls_key": "other.csv"}, "--dask-tls-key other.csv and --failed"),
    ],
)
def test_two_uses_of_one_file_are_named(files: list[str], options: dict[str, str], said: str) -> None:
    with pytest.raises(InvalidInputError, match="are the same file: name another one") as caught:
        check_places(row_places(files, UpdateOptions(**options)))  # type: ignore[arg-type]
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("files", "options"),
    [
        (["in.csv", "hard.csv"], {}),  # read twice
        (["in.csv"], {"failed": "new", "journal": "new.journal", "report": "new.html"}),
        (["in.csv"], {"failed": "sub/new", "journal": "sub", "report": "new"}),
        ([os.devnull], {"failed": os.devnull, "report": os.devnull}),  # told as what it is by those who open it
        (["in.csv"], {"failed": "nul\0", "journal": "/"}),
    ],
)
def test_other_files_are_no_trouble(files: list[str], options: dict[str, str]) -> None:
    check_places(row_places(files, UpdateOptions(**options)))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["kits", "update", ""], "the input is an empty path"),
        (["orders", "create", "", "--yes"], "the input is an empty path"),
        (["runs", "show", ""], "the journal is an empty path"),
        *(
            (["kits", "update", "in.csv", option, ""], f"{option} is an empty path: a variable of the shell")
            for option in ("--failed", "--journal", "--report", "--outcomes", "--dask-tls-ca")
        ),
        *(
            (["kits", "update", "in.csv", option, word], f"{option} {word} is a folder, or is to be one")
            for option in ("--failed", "--report", "--outcomes")
            for word in (".", "..", "/", "none/", "sub/..")
        ),
    ],
)
def test_what_names_no_file_is_refused(
    folder: Path, words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {path.name for path in folder.iterdir()}

    assert run(words) == 2

    assert said in capsys.readouterr().err
    assert {path.name for path in folder.iterdir()} == before


@pytest.mark.parametrize("noun", ["kits", "orders"])
@pytest.mark.parametrize("options", [(), ("--workers", "2")], ids=["one process", "workers"])
def test_an_update_is_refused_before_anything_is_opened(
    folder: Path, noun: str, options: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    before = {path.name for path in folder.iterdir()}

    assert run([noun, "update", "in.csv", "--failed", "hard.csv", "--force", *options]) == 2

    assert "the input in.csv and --failed hard.csv are the same file" in capsys.readouterr().err
    assert {path.name for path in folder.iterdir()} == before
    assert (folder / "in.csv").read_text() == ROWS


@pytest.mark.parametrize(
    ("redirected", "words", "said"),
    [
        ((0, "in.csv"), "kits update - --failed in.csv --force", "standard input and --failed in.csv"),
        ((1, "in.csv"), "kits update in.csv --dry-run", "the input in.csv and standard output"),
        ((1, "new"), "kits update other.csv --failed new", "--failed new and standard output"),
        ((2, "new"), "orders update other.csv --journal new", "--journal new and standard error"),
        ((1, "in.csv"), "runs show in.csv", "the journal in.csv and standard output"),
        ((1, "in.csv"), "orders create in.csv --yes", "the input in.csv and standard output"),
    ],
)
def test_redirections_are_compared_too(
    folder: Path, redirected: tuple[int, str], words: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    number, target = redirected
    kept, file = os.dup(number), os.open(folder / target, os.O_RDWR | os.O_APPEND | os.O_CREAT)
    os.dup2(file, number)
    try:
        code = run(words.split())
    finally:
        os.dup2(kept, number)
        os.close(kept)
        os.close(file)

    assert code == 2
    assert f"{said} are the same file: name another one" in capsys.readouterr().err
    assert (folder / "in.csv").read_text() == ROWS
