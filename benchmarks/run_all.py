"""Runs all benches one after the other, and writes what they found.

``results.json`` holds every figure with the machine, date and command, ``results.svg`` is the picture of it, and the
table in ``README.md`` is written anew between its marks. Takes about an hour; ``--quick`` takes minutes, with few
rounds, for a look::

    python benchmarks/run_all.py [--only bench_call …] [--quick] [--spec FILE] [--draw-only]
"""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from figures import read
from results_chart import bars_of, chart
from results_file import BenchResult, Results, merged, this_machine
from results_page import with_table

FOLDER = Path(__file__).parent
RESULTS, PICTURE, PAGE = FOLDER / "results.json", FOLDER / "results.svg", FOLDER / "README.md"


@dataclass(frozen=True)
class Bench:
    """A script that measures, and how to run it."""

    name: str
    quick: tuple[str, ...] = ("--rounds", "3")
    """Arguments for a look."""
    leaves_figures: bool = True
    """False: it prints its tables, and has figures only in its own section of the page."""
    needs: str | None = None
    """A program without which it cannot run."""


BENCHES = (
    Bench("bench_call", ("--rounds", "5", "--calls", "500")),
    Bench("bench_instructions", (), needs="valgrind"),
    Bench("bench_peers", ("--rounds", "5", "--calls", "100")),
    Bench("bench_decode", ("--rounds", "5", "--calls", "500")),
    Bench(
        "bench_bulk",
        (
            *("--rounds", "3", "--rows", "5000", "--journal-rows", "5000"),
            *("--growth", "100000", "--memory", "20000"),
        ),
    ),
    Bench("bench_creates", ("--rounds", "1", "--rows", "500", "--slower-ms", "0")),
    Bench("bench_rate", ("--rounds", "1")),
    Bench("bench_import", ("--rounds", "5")),
    Bench("bench_adaptive", (), leaves_figures=False),
    Bench("bench_outages", ("--rounds", "1", "--rows", "2000"), leaves_figures=False),
    Bench("bench_holds", ("--rows", "5000"), leaves_figures=False),
    Bench("bench_report", ("--rounds", "3"), leaves_figures=False),
    Bench("bench_scale", ("--rounds", "1", "--rows", "5000")),
)


def main() -> None:
    """Run, write and draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="*", choices=[one.name for one in BENCHES], help="the others' results are kept")
    parser.add_argument("--quick", action="store_true", help="few rounds: a look, not a result")
    parser.add_argument("--spec", help="the vendor's OpenAPI document, for bench_peers")
    parser.add_argument("--draw-only", action="store_true", help="write page and picture of the results that are there")
    options = parser.parse_args()
    if not options.draw_only:
        new = {}
        for bench in BENCHES:
            if options.only is None or bench.name in options.only:
                print(f"\n=== {bench.name}", flush=True)
                arguments = [*bench.quick] if options.quick else []
                extra = ["--spec", options.spec] if options.spec and bench.name == "bench_peers" else []
                found = run(bench, arguments, extra)
                if bench.leaves_figures:
                    new[bench.name] = found
        write(merged(results_in(RESULTS), this_machine(), new, [one.name for one in BENCHES]))
    draw(results_in(RESULTS))


def run(bench: Bench, arguments: list[str], unnamed: list[str]) -> BenchResult:
    """Run one bench, its tables to the screen; say in words why it left no figures.

    Args:
        bench: which one.
        arguments: what the results tell.
        unnamed: further arguments, such as paths of this machine.
    """
    found: BenchResult = {
        "date": datetime.now(UTC).date().isoformat(),
        "command": " ".join(["python", f"benchmarks/{bench.name}.py", *arguments]),
        "missing": "",
        "figures": [],
    }
    if bench.needs and not shutil.which(bench.needs):
        found["missing"] = f"{bench.needs} is not installed"
    else:
        with tempfile.TemporaryDirectory() as folder:
            left = Path(folder, "figures.json")
            script = [sys.executable, str(FOLDER / f"{bench.name}.py"), *arguments, *unnamed]
            command = [*script, "--json", str(left)] if bench.leaves_figures else script
            done = subprocess.run(command, stderr=subprocess.PIPE, text=True, check=False)  # noqa: S603 - our own scripts
            sys.stderr.write(done.stderr)
            if done.returncode:
                found["missing"] = reason_of(done.stderr)
            elif left.exists():
                found["figures"] = json.loads(left.read_text(encoding="utf-8"))
    if found["missing"]:
        print(f"not measured: {found['missing']}")
    return found


def reason_of(complaint: str) -> str:
    """Give what a bench said before it stopped; a crash, which names files of this machine, is only called one."""
    lines = complaint.strip().splitlines()
    return lines[-1] if lines and "Traceback" not in complaint and "can't open file" not in complaint else "it failed"


def results_in(path: Path) -> Results | None:
    """Read the results of earlier runs, if there are any."""
    if not path.exists():
        return None
    results: Results = json.loads(path.read_text(encoding="utf-8"))
    return results


def write(results: Results) -> None:
    """Keep the results."""
    RESULTS.write_text(json.dumps(results, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def draw(results: Results | None) -> None:
    """Write the page's table and the picture; the picture of before stays where nobody was compared with us."""
    if results is None:
        sys.exit("there are no results to draw")
    PAGE.write_text(with_table(PAGE.read_text(encoding="utf-8"), results), encoding="utf-8")
    figures = [one for bench in results["benches"].values() for one in read(bench["figures"])]
    if bars_of(figures):
        PICTURE.write_text(chart(figures), encoding="utf-8")
    else:
        print("no picture: the results name no client to compare with")


if __name__ == "__main__":
    main()
