"""Instants as the API writes them. Pure, but for ``now``."""

from datetime import UTC, datetime

__all__ = ["EXAMPLE_INSTANT", "now", "stamp"]

EXAMPLE_INSTANT = "2023-01-01T04:30:11.222Z"
"""The instant of the documented examples."""


def stamp(moment: datetime | str) -> str:
    """Write an instant the way the API does: ISO 8601, milliseconds, UTC, ``Z``.

    Raises:
        ValueError: it is no ISO 8601 instant, or has no time zone.
    """
    if isinstance(moment, str):
        moment = datetime.fromisoformat(moment)
    if moment.tzinfo is None:
        raise ValueError("an instant needs a time zone: give an aware datetime, or text that ends in Z")
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def now() -> str:
    """Return this instant by the machine's clock: what a store uses that belongs to no world."""
    return stamp(datetime.now(UTC))
