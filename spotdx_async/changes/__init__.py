"""Pulling what has changed: passes over the lists, whole objects where they show a change, and a cursor to store."""

from spotdx_async.changes.feed import Changes
from spotdx_async.changes.records import Batch, ChangeCounts, Unread

__all__ = ["Batch", "ChangeCounts", "Changes", "Unread"]
