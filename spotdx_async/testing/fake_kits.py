"""The kits of the fake: what a test adds, looks at and changes. Pure; knows no HTTP and no rules."""

import json
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from functools import cache
from importlib.resources import files
from itertools import count
from typing import Any

from spotdx_async.testing.answers import Answer, json_answer

__all__ = ["EXAMPLE_KIT_ID", "FakeKit", "Kits", "stamp"]

EXAMPLE_KIT_ID = "SPOT123456"
_EXAMPLE_CREATED = "2023-01-01T04:30:11.222Z"
_SHAPE = frozenset({"type", "status", "events", "shipment_to_customer", "registered_to", "sample"})
_ABOUT = frozenset({"metadata", "order_id", "created", "updated", "document"})


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
        created: datetime | str = _EXAMPLE_CREATED,
        updated: datetime | str | None = None,
        document: dict[str, Any] | None = None,
        **shape: Any,
    ) -> None:
        if not kit_id or kit_id in {".", ".."}:
            raise ValueError("a kit id must be one segment of a path: not empty, '.' or '..'")
        if unknown := shape.keys() - _SHAPE:
            raise ValueError(f"unknown: {', '.join(sorted(unknown))}; known: {', '.join(sorted(_SHAPE | _ABOUT))}")
        self._kit_id = kit_id
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


class Kits(Mapping[str, FakeKit]):
    """The fake's kits by id, in the order of adding."""

    def __init__(self) -> None:
        self._by_id: dict[str, FakeKit] = {}
        self._sorted: list[FakeKit] | None = None
        self._numbers = count(1)

    def __getitem__(self, kit_id: str) -> FakeKit:
        return self._by_id[kit_id]

    def __delitem__(self, kit_id: str) -> None:
        del self._by_id[kit_id]
        self._sorted = None

    def __iter__(self) -> Iterator[str]:
        return iter(self._by_id)

    def __len__(self) -> int:
        return len(self._by_id)

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

    def add_many(self, kits: int | Iterable[str]) -> tuple[str, ...]:
        """Add kits by their ids, or so many with ids made up; give the ids back in order."""
        kit_ids = tuple(self._free_ids(kits) if isinstance(kits, int) else kits)
        for kit_id in kit_ids:
            self.add(kit_id)
        return kit_ids

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

    def _free_ids(self, how_many: int) -> Iterator[str]:
        free = (kit_id for number in self._numbers if (kit_id := f"SPOT{number:06}") not in self._by_id)
        for _ in range(how_many):
            yield next(free)

    def __repr__(self) -> str:
        return f"<Kits: {len(self)}>"


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
