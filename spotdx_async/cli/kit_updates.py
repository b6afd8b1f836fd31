"""``spotdx kits update``: sets the metadata of many kits from files of rows."""

from spotdx_async.cli.options import Json, RowFiles
from spotdx_async.cli.output import OurScreen
from spotdx_async.cli.row_options import USUAL_UPDATE, UpdateWith
from spotdx_async.cli.settings import USUAL_SERVER_OF_IDS, OnServerOfIds


def update(
    files: RowFiles,
    /,
    *,
    options: UpdateWith = USUAL_UPDATE,
    as_json: Json = False,
    server: OnServerOfIds = USUAL_SERVER_OF_IDS,
    streams: OurScreen,
) -> int:
    """Set the metadata of many kits from CSV, JSON Lines, Parquet or Excel.

    CSV has a header: kit_id and a column for each metadata key (values are strings, an empty cell leaves its key out),
    or kit_id and one column metadata that holds JSON. JSON Lines has one {"kit_id": …, "metadata": {…}} a line; an
    array of these is read too. Parquet and Excel (.xlsx) have the columns of CSV and keep their types. CSV and JSON may
    be compressed with gzip, bzip2, xz or zstd.
    Each row sets the whole metadata of its kit. Rows of one kit are sent in order. With --journal, running the same
    command again resumes a run that was stopped or killed.

    Exit codes: 0 all done; 1 some rows were rejected, failed or ended unknown; 2 wrong usage or unusable input, nothing
    was sent; 3 stopped early.

    Example: spotdx kits update kits.csv --dry-run
    Example: spotdx kits update kits.csv --rate 20 --journal night.journal --failed failed.csv

    Args:
        files: Files of rows, read one after another; - is standard input.
        options: How to run.
        as_json: Write the summary as one JSON object on standard output.
        server: The server.
        streams: Where to write; no argument of the command line.
    """
    from spotdx_async.cli.update import update_many

    return update_many("kits", files, options, server, streams, as_json=as_json)
