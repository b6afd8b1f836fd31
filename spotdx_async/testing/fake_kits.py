"""The kits of the fake: what a test adds, looks at and changes. Pure; knows no HTTP and no rules."""

import json
from collections.abc import Mapping
from datetime import datetime
from functools import cache
from importlib.resources import files
from typing import Any, ClassVar

from spotdx_async.testing.answers import Answer, json_answer
from spotdx_async.testing.instants import EXAMPLE_INSTANT, stamp
from spotdx_async.testing.shelf import Shelf, check_id, refuse_unknown_fields

__all__ = ["EXAMPLE_KIT_ID", "FakeKit", "Kits"]

EXAMPLE_KIT_ID = "SPOT123456"
_SHAPE = frozenset({"type", "status", "events", "shipment_to_customer", "registered_to", "sample"})
_ABOUT = frozenset({"metadata", "order_id", "created", "updated", "document"})


class FakeKit:
    """One kit on the fake; its attributes may be changed at any time. ``repr`` shows no patient data.

    Attributes:
        kit_id: its id; fixed.
        created: when it was created, as text; fixed, since lists are sorted by it.
        updated: when it was last changed, as text.
        order_id: the order that it belongs to, or None.
        metadata: what the last update set; empty before the first.
    """

    __slots__ = ("_created", "_document", "_kit_id", "metadata", "order_id", "updated")

    def __init__(
        self,
        kit_id: str,
        *,
        metadata: dict[str, Any] | None = None,
        order_id: str | None = None,
        created: datetime | str = EXAMPLE_INSTANT,
        updated: datetime | str | None = None,
        document: dict[str, Any] | None = None,
        **shape: Any,
    ) -> None:
        refuse_unknown_fields(shape, _SHAPE, _ABOUT)
        self._kit_id = check_id("a kit", kit_id)
        self._created = stamp(created)
        self.updated = stamp(created if updated is None else updated)
        self.order_id = order_id
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
            self._document = json.loads(_example_text(self._kit_id))
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
            return Answer(200, _example_text(self._kit_id).encode())
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

    @property
    def _peek(self) -> Mapping[str, Any]:
        return _example() if self._document is None else self._document

    def __repr__(self) -> str:
        return f"<FakeKit {self._kit_id} {self.status}>"


class Kits(Shelf[FakeKit]):
    """The fake's kits by id, in the order of adding."""

    _free_id: ClassVar[str] = "SPOT{:06}"

    def __init__(self) -> None:
        super().__init__()
        self._sorted: list[FakeKit] | None = None

    def __delitem__(self, kit_id: str) -> None:
        super().__delitem__(kit_id)
        self._sorted = None

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
        if kit_id in self._by_id:
            raise ValueError("a kit with this id is there already")
        kit = self._by_id[kit_id] = FakeKit(kit_id, **about)
        self._sorted = None
        return kit

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
        if self._sorted is None:
            self._sorted = sorted(self._by_id.values(), key=lambda kit: kit.created)
        return self._sorted


@cache
def _example() -> Mapping[str, Any]:
    # The vendor's example answer as it is published; its people and addresses are the vendor's inventions.
    text = files(__package__).joinpath("kit_example.json").read_text(encoding="utf-8")
    example: dict[str, Any] = json.loads(text)
    return example


@cache
def _example_halves() -> tuple[str, str]:
    before, _, after = json.dumps(_example(), ensure_ascii=False).partition(json.dumps(EXAMPLE_KIT_ID))
    return before, after


def _example_text(kit_id: str) -> str:
    before, after = _example_halves()
    return before + json.dumps(kit_id, ensure_ascii=False) + after
