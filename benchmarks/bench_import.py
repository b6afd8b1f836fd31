"""What does it cost to import the SDK, its models and its command line?

Fresh interpreters in turn, round by round: CPU (user and system) and wall time of the whole process. The package, whose
names are imported when they are first used, and the client are compared with those of the SDK's dependencies alone that
each imports at once; ``--help`` with the library of the command line alone, ``kits get`` with that and aiohttp. Byte
code is kept between the rounds, as it is where the package is installed::

    python benchmarks/bench_import.py [--rounds 15] [--json FILE]
"""

import os
import re
import resource
import subprocess
import sys
import time
from dataclasses import dataclass
from functools import partial
from importlib.metadata import requires

from figures import figure, leave, options_of
from rounds import CLIENT_CORE, interleaved, pin, ratio, spread

PACKAGE, MODELS = "import spotdx_async", "import spotdx_async.models"
CLIENT = "from spotdx_async import SpotClient; SpotClient('benchmark')"
COMMAND_LINE, HELP = "import cyclopts", "spotdx --help"
GET_ALONE, GET = "import aiohttp, cyclopts", "spotdx kits get"
MOST_ADDED_MS = {PACKAGE: 15, CLIENT: 30}
MOST_HELP = MOST_GET = 1.3
REFUSED_ID = "a/b"
"""An id that is refused when the request would be sent: the command has started by then, and no server is asked."""
_NAME = re.compile(r"[\w.-]+")


ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
ENVIRONMENT |= {"SPOTDX_TOKEN": "benchmark"}


@dataclass(frozen=True)
class Took:
    """What one process took, in milliseconds."""

    cpu_ms: float
    wall_ms: float


def main() -> None:
    """Measure, and print a table."""
    options = options_of(__doc__, rounds=15).parse_args()
    pin(CLIENT_CORE)
    statements = {name: alone(name) for name in (PACKAGE, CLIENT)}
    commands = {
        **{
            statement: ["-c", statement]
            for statement in (*statements.values(), PACKAGE, CLIENT, MODELS, COMMAND_LINE, GET_ALONE)
        },
        HELP: ["-m", "spotdx_async", "--help"],
        GET: ["-m", "spotdx_async", "kits", "get", REFUSED_ID, "--base-url", "http://127.0.0.1:9"],
    }
    took = interleaved({name: partial(run, command) for name, command in commands.items()}, options.rounds)
    cpu = {name: [one.cpu_ms for one in rounds] for name, rounds in took.items()}
    print(f"{options.rounds} rounds\n\n{'':>58}  {'CPU ms':>18}  {'wall ms':>18}")
    for name, rounds in took.items():
        wall = spread([one.wall_ms for one in rounds])
        print(f"{name:>58}  {spread(cpu[name]).text(0):>18}  {wall.text(0):>18}")
    figures = [
        *(
            figure(
                f"`{name}`, over its third-party packages alone, CPU",
                spread([mine - theirs for mine, theirs in zip(cpu[name], cpu[statement], strict=True)]),
                "ms",
                at_most=MOST_ADDED_MS[name],
            )
            for name, statement in statements.items()
        ),
        figure(f"modules of aiohttp that `{MODELS}` loads", aiohttp_modules(MODELS), at_most=0),
        figure(f"`{HELP}` / `{COMMAND_LINE}`, CPU", ratio(cpu[HELP], cpu[COMMAND_LINE]), at_most=MOST_HELP),
        figure(f"`{GET}` / `{GET_ALONE}`, CPU", ratio(cpu[GET], cpu[GET_ALONE]), at_most=MOST_GET),
    ]
    print()
    for one in figures:
        print(f"{one.name}: {one.value:.2f} {one.unit}")
    leave(figures, options.json)


def alone(statement: str) -> str:
    """Give the statement that imports those of the SDK's dependencies that another one imports."""
    required = [_NAME.match(one) for one in requires("spotdx_async") or [] if "extra ==" not in one]
    packages = sorted({one[0] for one in required if one} & modules_after(statement))
    return f"import {', '.join(packages)}" if packages else "pass"


def aiohttp_modules(statement: str) -> int:
    """Count the modules of aiohttp that a statement loads."""
    return sum(name.partition(".")[0] == "aiohttp" for name in modules_after(statement))


def modules_after(statement: str) -> set[str]:
    """Name the modules that a fresh interpreter holds after a statement."""
    command = [sys.executable, "-c", f"{statement}\nimport sys\nprint(*sys.modules)"]
    return set(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split())  # noqa: S603 - ours


def run(arguments: list[str]) -> Took:
    """Run a fresh interpreter."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run([sys.executable, *arguments], check=False, env=ENVIRONMENT, capture_output=True)  # noqa: S603 - ours
    assert done.returncode == 0 or REFUSED_ID in arguments, done.stderr
    wall_s, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Took(cpu_s * 1000, wall_s * 1000)


if __name__ == "__main__":
    main()
