"""What ``kits update`` and ``orders update`` do once their words are read."""

from collections.abc import Sequence

from spotdx_async.cli.cluster_run import ClusterRun
from spotdx_async.cli.exit_codes import Exit
from spotdx_async.cli.options import UpdateOptions, Word, check_path
from spotdx_async.cli.output import Streams
from spotdx_async.cli.settings import Server
from spotdx_async.cli.summary import tell_ending
from spotdx_async.cli.update_kinds import KINDS, Noun
from spotdx_async.cli.update_request import UpdateRequest
from spotdx_async.cli.update_run import UpdateRun
from spotdx_async.own_loop import run_in_own_loop

__all__ = ["update_many"]


def update_many(
    noun: Noun, files: Sequence[Word], options: UpdateOptions, server: Server, streams: Streams, *, as_json: bool
) -> Exit:
    """Run the update and tell how it ended.

    Raises:
        InvalidInputError: an input, or a place to write to, cannot be used; nothing was sent.
        ConfigError: a setting is wrong, or there is no token.
    """
    try:
        return _update(noun, files, options, server, streams, as_json=as_json)
    except KeyboardInterrupt:
        # Before the run listens to signals, or after its end, while its summary is made.
        streams.say("stopped: the same command may be given again; to set the same values twice does no harm")
        return Exit.STOPPED


def _update(
    noun: Noun, files: Sequence[Word], options: UpdateOptions, server: Server, streams: Streams, *, as_json: bool
) -> Exit:
    task = UpdateRequest(
        kind=KINDS[noun],
        files=tuple(map(check_path, files)),
        options=options,
        settings=server.settle(rate=options.rate, concurrency=options.concurrency),
    )
    is_for_cluster = (options.dask is not None or options.workers is not None) and not options.is_dry_run
    with ClusterRun(task, streams) if is_for_cluster else UpdateRun(task, streams) as run:
        run_result = run_in_own_loop(run.run())
    tell_ending(run_result, streams, as_json=as_json)
    return run_result.exit
