"""The scripts of ``spotdx completion``: each shell takes its own, and completes the right words with it."""

import io
import os
import shlex
import shutil
import subprocess
from contextlib import redirect_stdout
from functools import cache
from pathlib import Path

import pytest

from spotdx_async.cli.app import run


def shell(name: str) -> str:
    """Give the shell's program; without one the test skips, or fails where SPOTDX_NEED_SHELLS says it must be there."""
    found = shutil.which(name)
    if found is None:
        if name == "bash" or os.environ.get("SPOTDX_NEED_SHELLS"):
            pytest.fail(f"{name} is not installed")
        pytest.skip(f"{name} is not installed")
    return found


@cache
def script_for(name: str) -> str:
    with redirect_stdout(io.StringIO()) as out:
        assert run(["completion", name]) == 0
    return out.getvalue()


@pytest.fixture
def script(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Write the script for the shell that the test is about."""
    path = tmp_path / f"spotdx.{request.param}"
    path.write_text(script_for(request.param), encoding="utf-8")
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Make a folder with one file in it, to complete names there."""
    made = tmp_path / "rows"
    made.mkdir()
    (made / "night.csv").touch()
    return made


def output_of(*command: str, cwd: Path | None = None) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=cwd, timeout=60)  # noqa: S603 - a shell
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@pytest.mark.parametrize("script", ["bash", "zsh", "fish"], indirect=True)
def test_the_shell_takes_its_script(script: Path) -> None:
    output_of(shell(script.suffix[1:]), "-n", str(script))


WORDS = [
    (["ki"], ["kits"]),
    (["kits", ""], ["activate", "get", "list", "reports", "types", "update"]),
    (["kits", "update", "--fo"], ["--force", "--format"]),
    (["kits", "update", "--format", ""], ["csv", "jsonl", "parquet", "xlsx"]),
    (["orders", "create", "--cl"], ["--client-ref"]),
    (["doctor", "--pro"], ["--profile"]),
    (["completion", ""], ["bash", "fish", "zsh"]),
    (["kits", "update", "night"], ["night.csv"]),
    (["kits", "update", "--failed", "night"], ["night.csv"]),
    (["orders", "create", "night"], ["night.csv"]),
]


@pytest.mark.parametrize("script", ["bash"], indirect=True)
@pytest.mark.parametrize(("words", "completed"), WORDS, ids=" ".join)
def test_bash_completes_the_right_words(script: Path, words: list[str], completed: list[str], folder: Path) -> None:
    line = shlex.join(["spotdx", *words])
    # The function that bash would call, called by bash; it leaves its words in COMPREPLY.
    asking = f"""
source {shlex.quote(str(script))}
COMP_WORDS=({line}); COMP_CWORD={len(words)}; COMP_LINE={shlex.quote(line)}; COMP_POINT=${{#COMP_LINE}}
[[ $(complete -p spotdx) =~ -F\\ ([^ ]+) ]] && "${{BASH_REMATCH[1]}}"
printf '%s\\n' "${{COMPREPLY[@]}}"
"""

    shown = output_of(shell("bash"), "--norc", "-c", asking, cwd=folder)

    assert sorted(shown.split()) == completed


@pytest.mark.parametrize("script", ["fish"], indirect=True)
@pytest.mark.parametrize(("words", "completed"), WORDS, ids=" ".join)
def test_fish_completes_the_right_words(script: Path, words: list[str], completed: list[str], folder: Path) -> None:
    line = " ".join(["spotdx", *words])

    shown = output_of(
        shell("fish"), "--no-config", "-c", f"source {script}; complete --do-complete {shlex.quote(line)}", cwd=folder
    )

    offered = {word.partition("\t")[0] for word in shown.splitlines()}
    assert offered - {"night.csv"} <= {*completed} <= offered  # fish offers names of files beside commands


# An interactive zsh on a terminal of its own: words are typed there, then Tab, then Enter; the command tells its words.
TYPED = """
zmodload zsh/zpty
zpty view zsh -f -i
zpty -w view "PROMPT='> '; fpath=($1 \\$fpath); autoload -U compinit; compinit -u -D; $2; print REA''DY"
zpty -r -m view seen '*READY*'
zpty -w view 'spotdx() { print -r -- GOT: $* END }; print DEFI""NED'
zpty -r -m view seen '*DEFINED*'
for typed in "${@:3}"; do
  zpty -n -w view "spotdx $typed"
  zpty -r -m view seen "*$typed*"
  zpty -n -w view $'\\t'
  zpty -r -m view seen '*'
  zpty -n -w view $'\\r'
  zpty -r -m view seen '*GOT: *END*'
  print -r -- "${${seen##*GOT: }%% END*}"
done
zpty -d view
"""


@pytest.mark.parametrize("script", ["zsh"], indirect=True)
@pytest.mark.parametrize("how", ["on fpath", "sourced", "evaluated"])
def test_zsh_completes_the_right_words_however_it_got_the_script(script: Path, how: str, tmp_path: Path) -> None:
    places = tmp_path / "functions"
    places.mkdir()
    script = script.rename(places / "_spotdx" if how == "on fpath" else script)
    load = {"on fpath": ":", "sourced": f"source {script}", "evaluated": f'eval "$(cat {script})"'}[how]
    (tmp_path / "typed.zsh").write_text(TYPED, encoding="utf-8")
    typed = ["requ", "requ", "kits update --forc", "completion fi"]

    shown = output_of(shell("zsh"), "-f", str(tmp_path / "typed.zsh"), str(places), load, *typed)

    assert shown.splitlines() == ["requisitions", "requisitions", "kits update --force", "completion fish"]


def test_a_shell_that_nobody_knows_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["completion", "tcsh"]) == 2

    out, err = capsys.readouterr()
    assert out == ""
    assert "bash" in err
    assert "see spotdx completion --help" in err
