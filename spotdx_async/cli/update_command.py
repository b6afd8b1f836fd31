"""What ``kits update`` and ``orders update`` do once their words are read."""

import asyncio

from spotdx_async.cli.cluster_run import ClusterRun
from spotdx_async.cli.exits import Exit
from spotdx_async.cli.screen import Screen
from spotdx_async.cli.summary import tell_ending
from spotdx_async.cli.update_options import UpdateTask
from spotdx_async.cli.update_run import UpdateRun

__all__ = ["update_many"]


def update_many(task: UpdateTask, screen: Screen, *, as_json: bool) -> Exit:
    """Run the update and tell how it ended.

    Raises:
        InvalidInputError: an input, or a place to write to, cannot be used; nothing was sent.
        ConfigError: a setting is wrong, or there is no token.
    """
    options = task.options
    is_for_cluster = (options.dask is not None or options.workers is not None) and not options.is_dry_run
    with ClusterRun(task, screen) if is_for_cluster else UpdateRun(task, screen) as run:
        ending = asyncio.run(run.run())
    tell_ending(ending, screen, as_json=as_json)
    return ending.exit
