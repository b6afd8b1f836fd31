"""``spotdx kits``: update, get, list and types."""

import asyncio
from typing import Annotated, TypeAlias

from cyclopts import App, Parameter

import spotdx_async
from spotdx_async.cli.exits import Exit, token_from_environment
from spotdx_async.cli.screen import OurScreen
from spotdx_async.cli.summary import tell_ending
from spotdx_async.cli.tables import kit_table, plain, summaries_table, types_table
from spotdx_async.cli.update_options import UpdateOptions
from spotdx_async.cli.update_run import UpdateRun
from spotdx_async.errors import InvalidInputError
from spotdx_async.files import Format, parse_map

__all__ = ["kits"]

# "-" is standard input, so that a leading hyphen must be taken for a value here; `update` refuses all others.
Files: TypeAlias = Annotated[list[str], Parameter(name="FILE", allow_leading_hyphen=True)]
Json: TypeAlias = Annotated[bool, Parameter(name="--json", show_default=False)]
Flag: TypeAlias = Annotated[bool, Parameter(show_default=False)]
Timeout: TypeAlias = Annotated[float, Parameter(name="--timeout")]

kits = App(name="kits", help="Kits: set their metadata, look at one, list them, list their types.")


@kits.command
def update(
    files: Files,
    /,
    *,
    rate: float | None = None,
    concurrency: int = 64,
    base_url: str | None = None,
    row_format: Annotated[Format | None, Parameter(name="--format")] = None,
    failed: str | None = None,
    force: Flag = False,
    journal: str | None = None,
    coalesce: Flag = False,
    column_map: Annotated[list[str] | None, Parameter(name="--map")] = None,
    report: str | None = None,
    outage_limit: float = 1800.0,
    from_row: int = 1,
    dry_run: Flag = False,
    as_json: Json = False,
    timeout: Timeout = 30.0,
    screen: OurScreen,
) -> int:
    """Set the metadata of many kits from CSV, JSON Lines or Parquet; the token comes from SPOTDX_TOKEN.

    CSV has a header: kit_id and a column for each metadata key (values are strings, an empty cell leaves its key out),
    or kit_id and one column metadata that holds JSON. JSON Lines has one {"kit_id": …, "metadata": {…}} a line. Parquet
    has the columns of CSV and keeps their types. CSV and JSON Lines may be packed with gzip.
    Each row sets the whole metadata of its kit. Rows of one kit are sent in their order. With --journal a run that was
    stopped or killed goes on where it was when the same command is given again.

    Exit codes: 0 all is done; 1 some rows were rejected, failed or ended unknown; 2 wrong usage or unusable input,
    nothing was sent; 3 stopped early.

    Example: spotdx kits update kits.csv --rate 20 --failed failed.csv

    Args:
        files: Files of rows, read one after the other; - is standard input.
        rate: The most requests a second. Default: no limit.
        concurrency: Requests in flight at once.
        base_url: The server. Default: SPOTDX_BASE_URL, else the production server.
        row_format: How the rows are written. Default: told by the suffix or the first character.
        failed: Write rows that are not done to this new file (mode 0600), as they came, ready to be fed in again.
        force: Replace the file given by --failed where it exists.
        journal: Write down in this file (mode 0600) which rows are done, to resume the run; it holds no id or value.
        coalesce: Send only the last of the values that wait for the same kit.
        column_map: COLUMN=KEY: take this column for that metadata key, or for kit_id; COLUMN= leaves it out. May be
            given again and again. For CSV and Parquet.
        report: Write a page about the run to this file.
        outage_limit: Stop after an outage of so many seconds.
        from_row: Begin at this row of the first file; 1 is the first below the header.
        dry_run: Check every row, send nothing; needs no token.
        as_json: Write the summary as one JSON object on standard output.
        timeout: The longest that one attempt may take, in seconds.
        screen: Where to write; no argument of the command line.
    """
    for path in files:
        if path.startswith("-") and path != "-":
            raise InvalidInputError(f"unknown option {path}; a file of that name is written ./{path}")
    options = UpdateOptions(
        files=tuple(files),
        row_format=row_format,
        from_row=from_row,
        failed=failed,
        replaces_failed=force,
        journal=journal,
        coalesces=coalesce,
        report=report,
        columns=parse_map(column_map) if column_map else None,
        outage_limit_s=outage_limit,
        is_dry_run=dry_run,
        rate=rate,
        concurrency=concurrency,
        timeout_s=timeout,
        base_url=base_url,
    )
    with UpdateRun(options, screen) as run:
        ending = asyncio.run(run.run())
    tell_ending(ending, screen, as_json=as_json)
    return ending.exit


@kits.command
def get(
    kit_id: str,
    /,
    *,
    show_phi: Flag = False,
    as_json: Json = False,
    base_url: str | None = None,
    timeout: Timeout = 30.0,
    screen: OurScreen,
) -> int:
    """Show one kit; patient data is hidden.

    Example: spotdx kits get SPOT123456

    Args:
        kit_id: The kit.
        show_phi: Show patient data as well.
        as_json: Write JSON.
        base_url: The server. Default: SPOTDX_BASE_URL, else the production server.
        timeout: The longest that one attempt may take, in seconds.
        screen: Where to write; no argument of the command line.
    """

    async def fetch() -> spotdx_async.Kit:
        async with _client(base_url, timeout) as spot:
            return await spot.kits.get(kit_id)

    kit = asyncio.run(fetch())
    if as_json:
        screen.write_json(plain(kit, show_phi=show_phi))
    else:
        screen.show(kit_table(kit, show_phi=show_phi))
    return Exit.OK


@kits.command(name="list")
def list_kits(
    *,
    limit: int = 100,
    kit_type: str | None = None,
    kit_status: str | None = None,
    sample_status: str | None = None,
    has_order: Annotated[bool | None, Parameter(negative="--no-has-order")] = None,
    created_after: str | None = None,
    created_before: str | None = None,
    updated_after: str | None = None,
    updated_before: str | None = None,
    email: str | None = None,
    first_name: str | None = None,
    last_name: str | None = None,
    phone: str | None = None,
    show_phi: Flag = False,
    as_json: Json = False,
    base_url: str | None = None,
    timeout: Timeout = 30.0,
    screen: OurScreen,
) -> int:
    """List kits, oldest first; dates are written YYYY-MM-DD and count themselves.

    Example: spotdx kits list --kit-status delivered --created-after 2024-01-31 --limit 20

    Args:
        limit: The most kits to list.
        kit_type: Only this type, one of spotdx kits types.
        kit_status: Only kits in this status.
        sample_status: Only kits whose sample is in this status.
        has_order: Only kits that belong to an order, or to none.
        created_after: Only kits created on this day or later.
        created_before: Only kits created on this day or earlier.
        updated_after: Only kits updated on this day or later.
        updated_before: Only kits updated on this day or earlier.
        email: Only kits registered to this e-mail address. Other users of this machine can see arguments.
        first_name: Only kits registered to this given name.
        last_name: Only kits registered to this family name.
        phone: Only kits registered to this telephone number.
        show_phi: Show patient data as well, where the server sends any.
        as_json: Write one JSON array.
        base_url: The server. Default: SPOTDX_BASE_URL, else the production server.
        timeout: The longest that one attempt may take, in seconds.
        screen: Where to write; no argument of the command line.
    """
    if limit < 1:
        raise InvalidInputError("--limit must be at least 1")
    filters = {
        "kit_type": kit_type,
        "kit_status": kit_status,
        "sample_status": sample_status,
        "created_after": created_after,
        "created_before": created_before,
        "updated_after": updated_after,
        "updated_before": updated_before,
        "email": email,
        "first_name": first_name,
        "last_name": last_name,
        "phone": phone,
    }

    async def fetch() -> list[spotdx_async.KitSummary]:
        async with _client(base_url, timeout) as spot:
            return await spot.kits.list(has_order=has_order, **filters).first(limit)

    found = asyncio.run(fetch())
    if as_json:
        screen.write_json([plain(kit, show_phi=show_phi) for kit in found])
    else:
        screen.show(summaries_table(found))
        if len(found) == limit:
            screen.say(f"the first {limit:,} kits; --limit shows more")
    return Exit.OK


@kits.command
def types(*, as_json: Json = False, base_url: str | None = None, timeout: Timeout = 30.0, screen: OurScreen) -> int:
    """List the kit types that can be ordered.

    Example: spotdx kits types

    Args:
        as_json: Write one JSON array.
        base_url: The server. Default: SPOTDX_BASE_URL, else the production server.
        timeout: The longest that one attempt may take, in seconds.
        screen: Where to write; no argument of the command line.
    """

    async def fetch() -> list[str]:
        async with _client(base_url, timeout) as spot:
            return await spot.kits.types()

    found = asyncio.run(fetch())
    if as_json:
        screen.write_json(found)
    else:
        screen.show(types_table(found))
    return Exit.OK


def _client(base_url: str | None, timeout_s: float) -> spotdx_async.SpotClient:
    return spotdx_async.SpotClient(token_from_environment(), base_url=base_url, timeout_s=timeout_s)
