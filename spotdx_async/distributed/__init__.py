"""Bulk runs on many processes and machines: shards that any engine can run, and an adapter for Dask, an extra."""

from typing import TYPE_CHECKING, Any

from spotdx_async.distributed.partition import Split
from spotdx_async.distributed.run_folder import RunFolderState, read_run_folder
from spotdx_async.distributed.shard import RowOutcome, RowTrouble, RunReport, Shard, ShardReport, merge, shard_hash
from spotdx_async.distributed.shard_run import ShardOptions, run_shard
from spotdx_async.distributed.worker_client import ClientSettings, run_shard_blocking
from spotdx_async.errors import ConfigError

if TYPE_CHECKING:
    from spotdx_async.distributed.clusters import TlsFiles, connected, is_open_to_network
    from spotdx_async.distributed.dask_engine import (
        update_metadata_distributed,
        update_metadata_distributed_blocking,
    )

__all__ = [
    "ClientSettings",
    "RowOutcome",
    "RowTrouble",
    "RunFolderState",
    "RunReport",
    "Shard",
    "ShardOptions",
    "ShardReport",
    "Split",
    "TlsFiles",
    "connected",
    "is_open_to_network",
    "merge",
    "read_run_folder",
    "run_shard",
    "run_shard_blocking",
    "shard_hash",
    "update_metadata_distributed",
    "update_metadata_distributed_blocking",
]

_OF_ENGINE = frozenset({"update_metadata_distributed", "update_metadata_distributed_blocking"})
_OF_CLUSTERS = frozenset({"TlsFiles", "connected", "is_open_to_network"})


def __getattr__(name: str) -> Any:
    if name not in _OF_ENGINE | _OF_CLUSTERS:
        raise AttributeError(f"module 'spotdx_async.distributed' has no attribute {name!r}")
    try:
        from spotdx_async.distributed import clusters, dask_engine  # noqa: PLC0415 - an extra, which the rest does not need
    except ModuleNotFoundError as error:
        if error.name not in {"dask", "distributed"}:
            raise
    else:
        return getattr(clusters if name in _OF_CLUSTERS else dask_engine, name)
    raise ConfigError("Dask is not installed: pip install 'spotdx-async[dask]'")
