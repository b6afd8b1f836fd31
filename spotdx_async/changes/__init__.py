"""Pulling what has changed: passes over the lists, whole objects where they show a change, and a cursor to store."""

from spotdx_async._lazy import names_from

TYPE_CHECKING = False
if TYPE_CHECKING:
    from spotdx_async.changes.feed import Changes
    from spotdx_async.changes.records import Batch, ChangeCounts, Unread

__all__ = ["Batch", "ChangeCounts", "Changes", "Unread"]

if not TYPE_CHECKING:
    __getattr__ = names_from(__name__, {"changes.feed": "Changes", "changes.records": "Batch ChangeCounts Unread"})
