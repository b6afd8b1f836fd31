"""A local copy of kits, orders and requisitions to query: an SQLite file that is brought up to date, and its export."""

from spotdx_async._lazy import names_from

TYPE_CHECKING = False
if TYPE_CHECKING:
    from spotdx_async.mirror.mirror import Mirror
    from spotdx_async.mirror.records import MirrorError, MirrorState, NounPull, PullProgress, PullReport

__all__ = ["Mirror", "MirrorError", "MirrorState", "NounPull", "PullProgress", "PullReport"]

if not TYPE_CHECKING:
    __getattr__ = names_from(
        __name__,
        {"mirror.mirror": "Mirror", "mirror.records": "MirrorError MirrorState NounPull PullProgress PullReport"},
    )
