"""What a page of help costs: the first one comes without any library, all others without what their commands need."""

import os
import subprocess
import sys
import time
from collections.abc import Sequence

import pytest

from spotdx_async.cli.global_options import read_global_options

HEAVY = (
    "aiohttp",
    "cattrs",
    "distributed",
    "orjson",
    "pyarrow",
    "redis",
    "rich.progress",
    "sqlite3",
    "tenacity",
)
LOADED = """
import atexit, sys
sys.argv[1:] = {words!r}
atexit.register(lambda: print(*sorted(set(sys.modules) & set({watched!r})), file=sys.stderr))
from spotdx_async.__main__ import main
main()
"""


def loaded_by(words: Sequence[str], watched: Sequence[str]) -> tuple[int, str]:
    script = LOADED.format(words=list(words), watched=list(watched))
    # Without coverage, which loads some of it itself.
    kept = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, env=kept)  # noqa: S603
    return done.returncode, done.stderr.strip()


@pytest.mark.parametrize("words", [[], ["--help"], ["-h"], ["--help", "--no-color"], ["--version"]])
def test_the_first_page_comes_without_any_library(words: list[str]) -> None:
    assert loaded_by(words, [*HEAVY, "cyclopts", "rich", "attrs", "asyncio"]) == (0, "")


@pytest.mark.parametrize(
    "words",
    [
        ["kits", "--help"],
        ["kits", "update", "--help"],
        ["orders", "create", "--help"],
        ["requisitions", "list", "--help"],
        ["patients", "create", "--help"],
        ["tokens", "create", "--help"],
        ["runs", "show", "--help"],
        ["doctor", "--help"],
        ["config", "--help"],
        ["completion", "--help"],
        ["demo", "--help"],
        ["sandbox", "--help"],
    ],
    ids=" ".join,
)
def test_a_page_of_help_comes_without_what_its_command_needs(words: list[str]) -> None:
    assert loaded_by(words, HEAVY) == (0, "")


EVERY_PAGE = """
import sys
sys.argv[0] = "spotdx"
from spotdx_async.cli.app import make_app, run
for words in [[name, *inner] for name in make_app() if not name.startswith("-")
              for inner in [[], *([one] for one in make_app()[name] if not one.startswith("-"))]]:
    print(words)
    run([*words, "--help"])
"""


def test_the_pages_are_the_same_where_python_has_removed_docstrings() -> None:
    pages = []
    for options in ([], ["-OO"]):
        script = [sys.executable, *options, "-c", EVERY_PAGE]
        done = subprocess.run(script, capture_output=True, text=True, check=True, timeout=120)  # noqa: S603
        pages.append(done.stdout)

    assert pages[0].count("Example: ") > 25
    assert pages[0] == pages[1]


def test_a_reader_of_the_first_page_that_has_gone_is_no_trouble() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as broken:
        done = subprocess.run(
            [sys.executable, "-m", "spotdx_async"], stdout=broken, stderr=subprocess.PIPE, check=False
        )

    assert (done.returncode, done.stderr) == (0, b"")


def test_a_terminal_without_the_letters_still_gets_the_first_page() -> None:
    env = {**os.environ, "PYTHONIOENCODING": "ascii"}
    done = subprocess.run([sys.executable, "-m", "spotdx_async"], env=env, capture_output=True, check=False)

    assert done.returncode == 0
    assert b"SPOTDX_TOKEN=\\u2026" in done.stdout


def test_behind_two_hyphens_there_are_no_switches() -> None:
    line = read_global_options(["a", "--no-color", "b", "--", "--color", "always"])
    assert (line.words, line.color, line.fault) == (["a", "b", "--", "--color", "always"], "never", None)


@pytest.mark.parametrize(
    ("argv", "color"),
    [
        (["--color", "always", "a"], "always"),
        (["a", "--color=never"], "never"),
        (["--no-color", "a", "--color", "auto"], "auto"),
    ],
)
def test_the_last_word_about_colours_counts(argv: list[str], color: str) -> None:
    line = read_global_options(argv)
    assert (line.words, line.color, line.fault) == (["a"], color, None)


@pytest.mark.parametrize("argv", [["a", "--color"], ["--color", "sometimes", "a"], ["--color=", "a"]])
def test_what_is_no_choice_of_colours_is_a_fault(argv: list[str]) -> None:
    assert read_global_options(argv).fault == "--color must be auto, always or never"


def test_a_command_loads_no_other_command() -> None:
    others = [f"spotdx_async.cli.{name}" for name in ("orders", "requisitions", "demo", "sandbox", "doctor")]

    assert loaded_by(["kits", "--help"], others) == (0, "")


MOST_MODULES_OF_A_GET = 85
OURS_OF_A_GET = """
import atexit, sys
sys.argv[1:] = ["kits", "get", "a/b", "--base-url", "http://127.0.0.1:9", *{words!r}]
atexit.register(lambda: print(*sorted(name for name in sys.modules), file=sys.stdout))
from spotdx_async.__main__ import main
main()
"""


def modules_of_a_get(*words: str) -> set[str]:
    """Name what is loaded at the end, which is an id that is refused when the request would be sent: it has started."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
    script = [sys.executable, "-c", OURS_OF_A_GET.format(words=words)]
    done = subprocess.run(script, capture_output=True, text=True, check=False, env={**kept, "SPOTDX_TOKEN": "a-token"})  # noqa: S603

    assert (done.returncode, "kit_id must not hold" in done.stderr) == (1, True) or done.returncode == 2
    return set(done.stdout.split())


def test_a_get_starts_without_files_runs_and_other_nouns() -> None:
    loaded = modules_of_a_get()
    ours = sorted(name for name in loaded if name.startswith("spotdx_async."))
    assert "spotdx_async.resources.kits" in ours
    folders = {name.split(".")[1] for name in ours}
    assert not folders & {
        "bulk",
        "changes",
        "distributed",
        "fhir",
        "mirror",
        "observers",
        "report",
        "tables",
        "testing",
    }
    assert not {f"spotdx_async.{name}" for name in ("files.parquet_rows", "files.opening", "models.orders")} & loaded
    others = {"activations", "create_options", "kit_lists", "kit_updates", "list_options", "lists", "report_files"}
    assert not {f"spotdx_async.cli.{name}" for name in (*others, "row_options")} & loaded
    assert not loaded & {"sqlite3", "pyarrow", "redis", "distributed", "zipfile", "rich.console", "rich.text"}
    assert len(ours) <= MOST_MODULES_OF_A_GET, ours


def test_what_lays_out_an_answer_is_there_before_it_is_asked_for() -> None:
    assert {"rich.console", "rich.text", "spotdx_async.cli.console"} <= modules_of_a_get("--color", "always")


GARBAGE = """
import gc, sys
from spotdx_async.cli import app
app.run = lambda argv: print(gc.isenabled(), gc.get_freeze_count() > 10_000) or 0
sys.argv[1:] = ["config"]
from spotdx_async.__main__ import main
main()
"""


def test_a_command_collects_garbage_of_its_own_alone() -> None:
    done = subprocess.run([sys.executable, "-c", GARBAGE], capture_output=True, text=True, check=True)  # noqa: S603

    assert done.stdout.split() == ["True", "True"]


def test_the_first_page_costs_less_than_the_library_alone() -> None:
    page, library = [], []
    for _ in range(5):  # by turns, so that a busy moment meets both
        page.append(seconds_of("-m", "spotdx_async", "--help"))
        library.append(seconds_of("-c", "import cyclopts"))

    assert min(page) <= 1.3 * min(library)


def seconds_of(*arguments: str) -> float:
    env = {name: value for name, value in os.environ.items() if not name.startswith("COV")}
    began_s = time.perf_counter()
    subprocess.run([sys.executable, *arguments], env=env, stdout=subprocess.DEVNULL, check=True)  # noqa: S603
    return time.perf_counter() - began_s
