"""The commands and their options, and what each way of ending says and returns."""

import asyncio
import os
import sys
from collections.abc import Coroutine, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import App, CycloptsError, Parameter

from spotdx_async import (
    AuthenticationError,
    ConfigError,
    InvalidInputError,
    RateLimit,
    RetryPolicy,
    SpotClient,
    SpotError,
    __version__,
)
from spotdx_async.cli.demo import run_demo
from spotdx_async.cli.sandbox import serve
from spotdx_async.cli.tables import show
from spotdx_async.cli.update_run import UpdateRun

__all__ = ["run"]

EXIT_FAULT, EXIT_USAGE, EXIT_STOPPED = 1, 2, 3

app = App(
    name="spotdx",
    version=__version__,
    help="Work with the Spot home-testing API. The token comes from SPOTDX_TOKEN alone.",
)
kits = App(name="kits", help="Update, show and list kits.")
app.command(kits)

BaseUrl = Annotated[str | None, Parameter(help="The server's address; else SPOTDX_BASE_URL, else production.")]
AsJson = Annotated[bool, Parameter(name="--json", negative="", help="Write JSON to standard output.")]
ShowPhi = Annotated[bool, Parameter(negative="", help="Show patient data instead of hiding it.")]


def run(arguments: Sequence[str]) -> int:
    """Run one command; its exit code comes back."""
    try:
        result = app(list(arguments), exit_on_error=False, print_error=True, result_action="return_value")
    except CycloptsError:
        return EXIT_USAGE
    except (ConfigError, InvalidInputError) as error:
        return _complain(error, EXIT_USAGE)
    except AuthenticationError as error:
        return _complain(error, EXIT_FAULT, " Check SPOTDX_TOKEN.")
    except SpotError as error:
        return _complain(error, EXIT_FAULT)
    except KeyboardInterrupt:
        return EXIT_STOPPED
    except BrokenPipeError:
        # Whoever read our output has left; Python would complain once more when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_FAULT
    return result if isinstance(result, int) else 0


def _complain(error: SpotError, code: int, advice: str = "") -> int:
    sys.stderr.write(f"spotdx: {error}.{advice}\n")
    return code


@kits.command
def update(
    files: Annotated[list[str], Parameter(allow_leading_hyphen=True, help="CSV or JSON Lines; - is standard input.")],
    *,
    rate: Annotated[float | None, Parameter(help="At most so many requests a second.")] = None,
    concurrency: Annotated[int, Parameter(help="Requests in flight at once.")] = 64,
    attempts: Annotated[int, Parameter(help="Requests for one row, the first included.")] = 6,
    timeout: Annotated[float, Parameter(help="Seconds for one request.")] = 30.0,
    base_url: BaseUrl = None,
    format: Annotated[  # noqa: A002 - the option's name
        Literal["csv", "jsonl"] | None, Parameter(help="The files' format, where their names do not tell it.")
    ] = None,
    failed: Annotated[
        Path | None, Parameter(help="Write rows that did not go through to this new file, ready to be fed in again.")
    ] = None,
    dry_run: Annotated[bool, Parameter(negative="", help="Check every row and send nothing.")] = False,
    json: AsJson = False,
) -> int:
    """Set the metadata of the kits named in FILES: one row, one kit.

    CSV has a column kit_id and a column for each metadata key (an empty cell leaves its key out), or kit_id and one
    column metadata of JSON. JSON Lines has {"kit_id": …, "metadata": {…}} on each line.

    Example: spotdx kits update kits.csv --rate 50 --failed failed.csv

    Exit codes: 0 all rows done, 1 some rows were rejected, failed or unknown, 2 wrong usage or input, 3 stopped early.
    """
    # A lone hyphen is a name here, so the parser must let hyphens through, and unknown options with them.
    for name in files:
        if name.startswith("-") and name != "-":
            raise InvalidInputError(f"there is no option {name}; a file of that name is ./{name}")
    options = None if dry_run else _client_options(base_url, rate=rate, attempts=attempts, timeout_s=timeout)
    run = UpdateRun(files, row_format=format, failed_path=failed, concurrency=concurrency)
    with run:
        client = None if options is None else SpotClient(concurrency=concurrency, **options)
        summary = asyncio.run(run.send(client) if client is not None else run.check())
    summary.write(as_json=json)
    return summary.exit_code


@kits.command
def get(kit_id: str, *, base_url: BaseUrl = None, json: AsJson = False, show_phi: ShowPhi = False) -> None:
    """Show one kit; patient data is hidden unless asked for.

    Example: spotdx kits get SPOT123456
    """
    kit = _ask(base_url, lambda spot: spot.kits.get(kit_id))
    show([kit], as_json=json, show_phi=show_phi, is_list=False)


@kits.command(name="list")
def list_(
    *,
    kit_type: str | None = None,
    kit_status: str | None = None,
    sample_status: str | None = None,
    has_order: bool | None = None,
    email: str | None = None,
    first_name: str | None = None,
    last_name: str | None = None,
    phone: str | None = None,
    created_before: str | None = None,
    created_after: str | None = None,
    updated_before: str | None = None,
    updated_after: str | None = None,
    limit: Annotated[int, Parameter(help="At most so many kits.")] = 100,
    base_url: BaseUrl = None,
    json: AsJson = False,
    show_phi: ShowPhi = False,
) -> None:
    """List kits by their creation date; dates are YYYY-MM-DD, inclusive.

    Example: spotdx kits list --kit-status delivered --created-after 2026-01-01
    """
    filters = {
        "kit_type": kit_type,
        "kit_status": kit_status,
        "sample_status": sample_status,
        "has_order": has_order,
        "email": email,
        "first_name": first_name,
        "last_name": last_name,
        "phone": phone,
        "created_before": created_before,
        "created_after": created_after,
        "updated_before": updated_before,
        "updated_after": updated_after,
    }
    found = _ask(base_url, lambda spot: spot.kits.list(**filters).first(limit))
    show(found, as_json=json, show_phi=show_phi, is_list=True)


@kits.command
def types(*, base_url: BaseUrl = None, json: AsJson = False) -> None:
    """List the kit types that the account may order.

    Example: spotdx kits types
    """
    show(_ask(base_url, lambda spot: spot.kits.types()), as_json=json, show_phi=False, is_list=True)


@app.command
def demo(*, kits: int = 5000, seed: int = 1, rate: float | None = None) -> int:
    """Update made-up kits on a fake server that misbehaves, and compare what it holds with what was sent.

    Example: spotdx demo --kits 1000
    """
    if kits < 1:
        raise InvalidInputError("--kits must be at least 1")
    return run_demo(kits, seed=seed, rate_limit=_rate_limit(rate))


@app.command
def sandbox(
    *, port: int = 8765, kits: int = 10, latency: float = 0.0, rate_limit: float | None = None, faults: float = 0.0
) -> int:
    """Run the fake server in the foreground, until Ctrl-C.

    Example: spotdx sandbox --kits 1000 --faults 0.05
    """
    try:
        return asyncio.run(serve(port=port, kits=kits, latency_s=latency, rate_limit=rate_limit, fault_rate=faults))
    except (ValueError, OSError) as error:
        sys.stderr.write(f"spotdx: {error}\n")
        return EXIT_USAGE


def _rate_limit(rate: float | None) -> RateLimit | None:
    return None if rate is None else RateLimit(rate)


def _client_options(base_url: str | None, *, rate: float | None, attempts: int, timeout_s: float) -> dict[str, Any]:
    return {
        "base_url": base_url,
        "rate_limit": _rate_limit(rate),
        "retry": RetryPolicy(max_attempts=attempts),
        "timeout_s": timeout_s,
    }


def _ask(base_url: str | None, question: "Any") -> Any:
    async def ask() -> Any:
        async with SpotClient(base_url=base_url) as spot:
            answer: Coroutine[Any, Any, Any] = question(spot)
            return await answer

    return asyncio.run(ask())
