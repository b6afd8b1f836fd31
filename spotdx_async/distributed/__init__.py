"""Bulk runs on many processes and machines: shards that any engine can run, and an adapter for Dask, an extra."""

from spotdx_async._lazy import names_from

TYPE_CHECKING = False
if TYPE_CHECKING:
    from spotdx_async.distributed.clusters import TlsFiles, connected, is_open_to_network
    from spotdx_async.distributed.dask_engine import (
        update_metadata_distributed,
        update_metadata_distributed_blocking,
    )
    from spotdx_async.distributed.partition import Split
    from spotdx_async.distributed.run_folder import RunFolderState, read_run_folder
    from spotdx_async.distributed.shard import (
        RowOutcome,
        RowTrouble,
        RunReport,
        Shard,
        ShardReport,
        merge,
        shard_hash,
    )
    from spotdx_async.distributed.shard_run import ShardOptions, run_shard
    from spotdx_async.distributed.worker_client import ClientSettings, run_shard_blocking

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

_OF_DASK = {
    "distributed.clusters": "TlsFiles connected is_open_to_network",
    "distributed.dask_engine": "update_metadata_distributed update_metadata_distributed_blocking",
}
_get = names_from(
    __name__,
    {
        **_OF_DASK,
        "distributed.partition": "Split",
        "distributed.run_folder": "RunFolderState read_run_folder",
        "distributed.shard": "RowOutcome RowTrouble RunReport Shard ShardReport merge shard_hash",
        "distributed.shard_run": "ShardOptions run_shard",
        "distributed.worker_client": "ClientSettings run_shard_blocking",
    },
)


def _get_or_explain(name: str) -> object:
    try:
        return _get(name)
    except ModuleNotFoundError as error:  # an extra, which the rest does not need
        if error.name not in {"dask", "distributed"}:
            raise
    from spotdx_async.errors import ConfigError  # noqa: PLC0415 - as lazily as the names

    raise ConfigError("Dask is not installed: pip install 'spotdx-async[dask]'")


if not TYPE_CHECKING:
    __getattr__ = _get_or_explain
