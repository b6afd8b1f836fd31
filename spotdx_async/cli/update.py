"""``kits update`` and ``orders update``: which run sends the rows."""

from collections.abc import Sequence
from contextlib import suppress

from spotdx_async.bulk.records import Noun
from spotdx_async.cli.exit_codes import Exit
from spotdx_async.cli.options import Word, check_path
from spotdx_async.cli.output import Streams
from spotdx_async.cli.places import check_places, row_places
from spotdx_async.cli.row_options import UpdateOptions
from spotdx_async.cli.row_run import RowRun, run_and_show
from spotdx_async.cli.settings import Server
from spotdx_async.cli.update_run import LocalUpdate, UpdateRequest
from spotdx_async.files import ChangedInputError

__all__ = ["update_many"]


def update_many(
    noun: Noun, files: Sequence[Word], options: UpdateOptions, server: Server, streams: Streams, *, as_json: bool
) -> Exit:
    """Run the update and show how it ended.

    Raises:
        InvalidInputError: an input, or a file to be written, cannot be used; nothing was sent.
        ConfigError: a setting is wrong, or there is no token.
    """
    streams.tells_events = options.progress == "json"
    run: RowRun | None = None
    try:
        with suppress(KeyboardInterrupt):
            request = UpdateRequest(
                noun=noun,
                files=tuple(map(check_path, files)),
                options=options,
                shows_phi=options.show_phi,
                settings=server.settings(rate=options.rate, concurrency=options.concurrency),
            )
            check_places(row_places(request.files, options))
            with _run_class(request)(request, streams) as run:
                run_and_show(run, streams, as_json=as_json)
    except ChangedInputError as error:
        streams.say(f"{error}; nothing was sent: run the same command again once nothing writes to that file any more")
        return Exit.STOPPED
    if run is not None and run.result is not None:
        return run.result.exit
    # A signal before the run handles them, so nothing was sent.
    streams.say("stopped: you may run the same command again; setting the same values twice does no harm")
    return Exit.STOPPED


def _run_class(request: UpdateRequest) -> type[RowRun]:
    if not request.is_for_cluster:
        return LocalUpdate
    from spotdx_async.cli.cluster_run import ClusterRun  # an extra, which a local run does not need

    return ClusterRun
