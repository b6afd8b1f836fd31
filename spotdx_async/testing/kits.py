"""The kits of the fake: what a test adds, looks at and changes. Pure; knows no HTTP and no rules."""

import json
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from operator import attrgetter
from typing import Any, ClassVar

from spotdx_async.testing import instants
from spotdx_async.testing.answers import Answer, json_answer
from spotdx_async.testing.example_kit import EXAMPLE_KIT_ID, example, example_text
from spotdx_async.testing.instants import EXAMPLE_INSTANT, stamp
from spotdx_async.testing.kit_lifecycle import KitLifecycle
from spotdx_async.testing.store import Store, check_id, refuse_unknown_fields

__all__ = ["EXAMPLE_KIT_ID", "FakeKit", "Kits"]

_SHAPE = frozenset({"type", "status", "events", "shipment_to_customer", "registered_to", "sample"})
_ABOUT = frozenset({"metadata", "order_id", "created", "updated", "document"})


class FakeKit(KitLifecycle):
    """One kit on the fake; its attributes may be changed at any time. ``repr`` shows no patient data.

    Its steps (``ship``, ``deliver``, ``register``, ``collect``, ``result`` and those between) play its life.

    Attributes:
        kit_id: its id; fixed.
        created: when it was created, as text; fixed, since lists are sorted by it.
        updated: when it was last changed, as text.
        order_id: the order that it belongs to, or None.
        metadata: what the last update set; empty before the first.
    """

    __slots__ = ("_created", "_document", "_home", "_kit_id", "metadata", "order_id", "updated")

    def __init__(
        self,
        kit_id: str,
        *,
        metadata: dict[str, Any] | None = None,
        order_id: str | None = None,
        created: datetime | str = EXAMPLE_INSTANT,
        updated: datetime | str | None = None,
        document: dict[str, Any] | None = None,
        home: "Kits | None" = None,
        **shape: Any,
    ) -> None:
        refuse_unknown_fields(shape, _SHAPE, _ABOUT)
        self._home = home  # the store, for its clock and those whom a step is told
        self._kit_id = check_id("a kit", kit_id)
        self._created = stamp(created)
        self.updated: str = stamp(created if updated is None else updated)
        self.order_id: str | None = order_id
        self.metadata: dict[str, Any] = {} if metadata is None else metadata
        self._document = document
        if shape:
            self.document.update(shape)

    @property
    def kit_id(self) -> str:
        """The kit's id."""
        return self._kit_id

    @property
    def created(self) -> str:
        """When the kit was created."""
        return self._created

    @property
    def document(self) -> dict[str, Any]:
        """The kit as "get kit" answers it: change it freely, with fields missing, null or on no list."""
        # Made when first asked for: a benchmark's hundred thousand kits would otherwise take half a gigabyte.
        if self._document is None:
            self._document = json.loads(example_text(self._kit_id))
        return self._document

    @property
    def status(self) -> Any:
        """The kit's status; None where the document has none."""
        return self._peek.get("status")

    @status.setter
    def status(self, value: Any) -> None:
        self.document["status"] = value

    @property
    def registered_to(self) -> Mapping[str, Any]:
        """Who the kit is registered to, to read; empty where that is missing or null."""
        return self._peek.get("registered_to") or {}

    def answer(self) -> Answer:
        """Answer with the whole kit. The metadata is not in it, as in the documented answer."""
        if self._document is None:
            return Answer(200, example_text(self._kit_id).encode())
        return json_answer(200, self._document)

    def summary(self) -> dict[str, Any]:
        """Give the kit's row of the list, without the fields that the document lacks."""
        document = self._peek
        row: dict[str, Any] = {"kit_id": self._kit_id}
        if "type" in document:
            row["kit_type"] = document["type"]
        row["order_id"] = self.order_id
        if "status" in document:
            row["kit_status"] = document["status"]
        if "sample" in document:
            row["sample_status"] = (document["sample"] or {}).get("status")
        return {**row, "created": self._created, "updated": self.updated}

    def _now(self) -> str:
        return instants.now() if self._home is None else self._home.now()

    def _moved(self, at: str) -> None:
        self.updated = at
        if self._home is not None:
            self._home.tell_watchers(self)

    @property
    def _peek(self) -> Mapping[str, Any]:
        return example() if self._document is None else self._document

    def __repr__(self) -> str:
        return f"<FakeKit {self._kit_id} {self.status}>"


class Kits(Store[FakeKit]):
    """The fake's kits by id, in the order of adding.

    Attributes:
        now: gives the instant that a kit's steps are stamped with.
        watchers: who is told of each step of a kit, after it.
    """

    _noun: ClassVar[str] = "a kit"
    _free_id: ClassVar[str] = "SPOT{:06}"

    def __init__(self, *, now: Callable[[], str] = instants.now) -> None:
        super().__init__()
        self.now = now
        self.watchers: list[Callable[[FakeKit], None]] = []

    def add(self, kit_id: str, **about: Any) -> FakeKit:
        """Add one kit, shaped as the documented example.

        Args:
            kit_id: an id that no kit has yet.
            about: ``metadata``, ``order_id``, ``created``, ``updated``; the fields of the example to replace
                (``type``, ``status``, ``events``, ``shipment_to_customer``, ``registered_to``, ``sample``; None for
                null); or ``document``, the whole answer, where fields shall be missing.

        Raises:
            ValueError: the id is taken or no path segment, or something else was given.
        """
        return self._put(kit_id, FakeKit(kit_id, home=self, **about))

    def add_default_world(self) -> None:
        """Add the documented example, a kit with next to nothing, and one full of nulls."""
        self.add(EXAMPLE_KIT_ID)
        bare = {"kit_id": "SPOT234567", "type": "health_kit_1", "status": "preparing", "events": []}
        self.add("SPOT234567", created="2023-01-02T09:00:00.000Z", document=bare)
        self.add(
            "SPOT345678",
            created="2023-01-03T09:00:00.000Z",
            order_id="ORDER123456",
            type="health_kit_2",
            status="in_transit",
            events=[{"status": "in_transit", "created": "2023-01-03T09:00:00.000Z"}],
            shipment_to_customer={"tracking_number": None, "carrier": None, "created": "2023-01-03T09:00:00.000Z"},
            registered_to=None,
            sample=None,
        )

    def by_creation(self) -> list[FakeKit]:
        """Give all kits, oldest first; of the same age, in the order of adding. Not to be changed."""
        return self._in_order(_oldest_first)

    def tell_watchers(self, kit: FakeKit) -> None:
        """Tell that a kit has taken a step."""
        for watch in self.watchers:
            watch(kit)


def _oldest_first(things: Iterable[FakeKit]) -> list[FakeKit]:
    return sorted(things, key=attrgetter("created"))
