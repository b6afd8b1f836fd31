"""What the screens of the command line look like, kept as files in ``snapshots``; 80 columns."""

import asyncio
import re
from collections.abc import Callable, Iterator
from enum import StrEnum
from pathlib import Path

import pytest

from spotdx_async import NotFoundError, NotSentError, Outcome, SpotError
from spotdx_async.bulk.records import State
from spotdx_async.cli.app import make_app, run
from spotdx_async.cli.output import Streams
from spotdx_async.cli.progress import Estimator, display_for
from spotdx_async.cli.row_results import InputRow, RowResults
from spotdx_async.cli.summary import RunResult, show_summary
from spotdx_async.files import FailedRows, Row
from spotdx_async.models import KitStatus, OrderStatus, RequisitionStatus, SampleStatus
from spotdx_async.testing import FakeSpot

SNAPSHOTS = Path(__file__).parent / "snapshots"
SameScreen = Callable[[str, str], None]


def commands() -> Iterator[tuple[str, ...]]:
    """Give every command: groups, and the commands in them."""
    yield ()
    app = make_app()
    for name in app:
        if name.startswith("-"):
            continue
        yield (name,)
        yield from ((name, inner) for inner in app[name] if not inner.startswith("-"))


COMMANDS = list(commands())


@pytest.mark.parametrize("words", COMMANDS, ids=lambda words: "-".join(words) or "first")
def test_a_page_of_help_looks_as_it_did(
    words: tuple[str, ...], same_screen: SameScreen, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([*words, "--help"]) == 0

    out, err = capsys.readouterr()
    assert err == ""
    same_screen(f"help-{'-'.join(words) or 'first'}", out)


@pytest.mark.parametrize("words", COMMANDS[1:], ids="-".join)
@pytest.mark.usefixtures("same_screen")
def test_every_command_has_an_example_that_begins_with_its_words(
    words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    run([*words, "--help"])

    assert f"Example: {' '.join(('spotdx', *words))}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("noun", "known"),
    [("kits", [KitStatus, SampleStatus]), ("orders", [OrderStatus]), ("requisitions", [RequisitionStatus])],
)
@pytest.mark.usefixtures("same_screen")
def test_the_help_of_a_list_names_the_statuses_that_are_known(
    noun: str, known: list[type[StrEnum]], capsys: pytest.CaptureFixture[str]
) -> None:
    run([noun, "list", "--help"])

    shown = " ".join(capsys.readouterr().out.split())
    for statuses in known:
        *others, last = statuses
        assert f"Known: {', '.join(others)} and {last}." in shown


def test_no_page_is_kept_of_a_command_that_is_gone() -> None:
    kept = {path.stem for path in SNAPSHOTS.glob("help-*.txt")}

    assert kept == {f"help-{'-'.join(words) or 'first'}" for words in COMMANDS}


def test_the_pages_fit_on_a_terminal_of_80_columns_but_for_examples() -> None:
    for path in SNAPSHOTS.glob("help-*.txt"):
        lines = path.read_text(encoding="utf-8").splitlines()
        assert [line for line in lines if len(line) > 80 and not line.startswith("Example:")] == [], path.name


async def test_the_doctor_looks_as_it_did(
    same_screen: SameScreen, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async with FakeSpot() as fake:
        for name, token in (("doctor", fake.token), ("doctor-refused", "stale-token")):
            monkeypatch.setenv("SPOTDX_TOKEN", token)
            code = await asyncio.to_thread(run, ["doctor", "--base-url", fake.url])
            out, err = capsys.readouterr()
            assert (code, err) == (name == "doctor-refused", "")
            assert token not in out
            out = re.sub(r"version   .*", "version   <versions>", out.replace(fake.url.rpartition(":")[2], "<port>"))
            same_screen(name, out)


def test_the_settings_look_as_they_did(
    same_screen: SameScreen, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(["config", "--example"]) == 0
    example = capsys.readouterr().out
    same_screen("config-example", example)
    Path("config.toml").write_text(example, encoding="utf-8")
    monkeypatch.setenv("SPOTDX_CONFIG", "config.toml")
    monkeypatch.delenv("SPOTDX_TOKEN", raising=False)
    monkeypatch.delenv("SPOTDX_BASE_URL", raising=False)

    for name, words in (("config", []), ("config-staging", ["--profile", "staging", "--timeout", "5"])):
        assert run(["config", *words]) == 0
        same_screen(name, capsys.readouterr().out.replace("─", "-"))


def test_the_summary_looks_as_it_did(
    same_screen: SameScreen, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    failed = FailedRows(tmp_path / "failed.csv", preamble=b"kit_id,a\n")
    row_results = RowResults(failed)
    troubles: dict[int, tuple[State, SpotError | None]] = {
        2: ("failed", NotFoundError("the server answered 404: it does not know this object")),
        5: ("skipped", NotSentError("the run stopped before this row", reason="stopped")),
    }
    fine: tuple[State, None] = ("ok", None)
    for number in range(1, 6):
        place = InputRow("kits.csv", 0, Row(number, number + 1, f"K{number}", {"a": "1"}, f"K{number},1\n".encode()))
        state, error = troubles.get(number, fine)
        row_results.record(place, Outcome(index=number - 1, key=None, state=state, error=error))
    row_results.close()
    run_result = RunResult(
        row_results=row_results,
        is_dry_run=False,
        elapsed_s=2.0,
        stopped="stopped by a signal",
        next_row=("kits.csv", 6),
        has_many_files=False,
    )

    show_summary(run_result, Streams(), as_json=False)

    out, err = capsys.readouterr()
    assert [line for line in out.splitlines() if line != line.rstrip()] == []
    same_screen("summary", (err + out).replace(str(failed.path), "failed.csv").replace("─", "-"))


def test_the_lines_of_progress_look_as_they_did(same_screen: SameScreen, capsys: pytest.CaptureFixture[str]) -> None:
    streams, estimator = Streams(), Estimator(0.0)
    display = display_for(streams, "Updating")
    for now_s, rows, failures, share in ((5.0, 1, 0, 0.001), (10.0, 1250, 1, 0.25), (15.0, 5000, 12, 1.0)):
        display.show(estimator.standing(now_s, rows=rows, failures=failures, share=share))
    display.show(Estimator(0.0).standing(5.0, rows=10, failures=0, share=None))

    same_screen("progress", capsys.readouterr().err)
