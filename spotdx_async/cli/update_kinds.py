"""The nouns that have bulk updates: which records they take, what their id is named, which call sends them."""

from collections.abc import Callable, Mapping
from typing import Any, Literal, TypeAlias

from attrs import frozen

from spotdx_async import BulkRun, MetadataUpdate, OrderMetadataUpdate, SpotClient

__all__ = ["KINDS", "KITS", "ORDERS", "Noun", "UpdateKind", "UpdateRecord"]

Noun: TypeAlias = Literal["kits", "orders"]
UpdateRecord: TypeAlias = MetadataUpdate | OrderMetadataUpdate


@frozen
class UpdateKind:
    """A noun with a bulk update."""

    id_name: str
    """What the column of its ids is named."""
    record: Callable[[str, Mapping[str, Any]], UpdateRecord]
    """Makes one update of an id and its metadata."""
    send_of: Callable[[SpotClient], Callable[..., BulkRun[Any]]]
    """Gives the client's call that sends such updates."""


KITS = UpdateKind(MetadataUpdate.ID_NAME, MetadataUpdate, lambda spot: spot.kits.update_metadata_many)
ORDERS = UpdateKind(OrderMetadataUpdate.ID_NAME, OrderMetadataUpdate, lambda spot: spot.orders.update_metadata_many)
KINDS: dict[Noun, UpdateKind] = {"kits": KITS, "orders": ORDERS}
