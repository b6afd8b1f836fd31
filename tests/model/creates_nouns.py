"""What can be created in the model: orders, requisitions, patients, and activations of kits."""

import asyncio
import random
from abc import abstractmethod
from bisect import insort
from collections.abc import Callable, Mapping
from datetime import date, timedelta
from typing import Any, ClassVar
from urllib.parse import parse_qs
from uuid import uuid5

import attrs

from spotdx_async import (
    KitActivation,
    NewOrder,
    NewPatient,
    NewRequisition,
    Recipient,
    SpotClient,
)
from spotdx_async._http.messages import Request
from spotdx_async.bulk.create_rows import _NAMESPACE
from tests.model.creates_server import KEY, CreatesServer, Habits, Placed
from tests.model.server import Arrival, now
from tests.new_objects import ADDRESS, PATIENT, REQUISITION

BATCH = "cohort"
_NOT_FOUND = {"error": {"status": 404, "type": "not_found", "detail": "not found"}}


def reference_of(key: str) -> str:
    return str(uuid5(uuid5(_NAMESPACE, BATCH), key))


class ListedServer(CreatesServer):
    """It lists what was created, by its clients and by others."""

    SUMMARY: ClassVar[tuple[str, ...]]
    """What a row of its list shows."""

    def __init__(self, dice: random.Random, habits: Habits) -> None:
        super().__init__(dice, habits)
        # The objects by their last change, newest last; entries that are out of date are skipped.
        self._by_change: list[tuple[float, int]] = []
        self._next_foreign: asyncio.TimerHandle | None = None

    @abstractmethod
    def shown(self, placed: Placed) -> dict[str, Any]:
        """Give the whole object."""

    @abstractmethod
    def foreign_body(self) -> dict[str, Any]:
        """Give something of others to create."""

    def foreign_metadata(self) -> Any:
        return self.dice.choice([None, {"theirs": "1"}, {KEY: f"theirs-{len(self.placed)}"}])

    def start(self) -> None:
        """Let others create theirs."""
        if self.counts["foreign"] >= self.most_foreign:
            return
        if self.habits.foreign_every_s != float("inf"):
            self._next_foreign = asyncio.get_running_loop().call_later(
                self.dice.expovariate(1 / self.habits.foreign_every_s), self._act_of_others
            )

    def end(self) -> None:
        super().end()
        if self._next_foreign is not None:
            self._next_foreign.cancel()

    def place(self, body: dict[str, Any], *, identity: str | None) -> Placed:
        placed = super().place(body, identity=identity)
        insort(self._by_change, (placed.updated_s, placed.number))
        return placed

    def change(self, placed: Placed, status: str) -> None:
        placed.updated_s, placed.status = now(), status
        insort(self._by_change, (placed.updated_s, placed.number))

    def found(self, an_id: str) -> tuple[int, Any]:
        """Answer a GET of one object."""
        found = self.placed.get(an_id)
        if found is None or found.is_deleted or (self.habits.gets_lag and found.visible_s > now()):
            return 404, {"error": {"status": 404, "type": "not_found", "detail": "not found"}}
        return (200, self.shown(found)) if found.well_s <= now() else (500, {})

    def page(self, query: str, *, newest_change_first: bool) -> list[dict[str, Any]]:
        """Answer with a page of the list."""
        asked = {name: values[0] for name, values in parse_qs(query).items()}
        since, size, offset = asked.get("created_after"), int(asked["results"]), int(asked["offset"])
        first = date.min if since is None else date.fromisoformat(since)
        order = reversed(self._by_change) if newest_change_first else [(p.updated_s, p.number) for p in self._all()]
        found: list[Placed] = []
        last = offset + size
        for updated_s, number in order:
            placed = self.placed[f"o-{number}"]
            if placed.updated_s != updated_s or not self.is_shown(placed):
                continue
            if (self.dated(placed.created_s) + timedelta(hours=self.habits.zone_h)).date() < first:
                continue
            found.append(placed)
            if len(found) == last:
                break
        return [{name: shown[name] for name in self.SUMMARY} for shown in map(self.shown, found[offset:])]

    def _all(self) -> list[Placed]:
        return [*self.placed.values()]

    def _act_of_others(self) -> None:
        dice = self.dice
        self.counts["foreign"] += 1
        self.place(self.foreign_body(), identity=None)
        ids = list(self.placed) if len(self.placed) < 500 else [f"o-{dice.randrange(len(self.placed))}" for _ in "x"]
        placed = self.placed[dice.choice(ids)]
        touch = dice.choice(self.habits.touches) if self.habits.touches else "none"
        if touch == "delete" and (placed.is_answered or placed.identity is None):
            placed.is_deleted = True
        elif touch in {"update", "cancel"}:
            self.change(placed, "in_progress" if touch == "update" else "canceled")
        self.start()


class OrderServer(ListedServer):
    """Its list shows the last changed first."""

    PATH: ClassVar[str] = "/api/v2/orders/"
    SUMMARY: ClassVar[tuple[str, ...]] = ("order_id", "status", "recipient", "created", "updated")

    def identity_of(self, request: Request, body: dict[str, Any]) -> str:  # noqa: ARG002 - as all are asked
        return str((body.get("metadata") or {}).get(KEY))

    def version_of(self, body: Mapping[str, Any]) -> int:
        return int(body["kit_types"][0].removeprefix("k"))

    def created(self, placed: Placed) -> tuple[int, dict[str, Any]]:
        shown = self.shown(placed)
        del shown["updated"]
        return 201, shown

    def look(self, request: Request) -> tuple[int, Any]:
        if request.path == self.PATH:
            return 200, self.page(request.query, newest_change_first=True)
        return self.found(request.path.removeprefix(self.PATH).strip("/"))

    def shown(self, placed: Placed) -> dict[str, Any]:
        return {
            "order_id": placed.an_id,
            "status": placed.status,
            "recipient": placed.body["recipient"],
            "kit_types": placed.body["kit_types"],
            "kits": [],
            **self.dates(placed),
            "metadata": placed.body.get("metadata") if placed.shows_metadata else None,
        }

    def foreign_body(self) -> dict[str, Any]:
        person = f"Other{self.dice.randrange(50)}"
        return {
            "kit_types": ["k0"],
            "recipient": {"first_name": person, "last_name": "Sample", "email": "e@example.com", "phone": "1"},
            "metadata": self.foreign_metadata(),
        }


class RequisitionServer(ListedServer):
    """Its list is by creation, and shows barcodes, of which there is one of each."""

    PATH: ClassVar[str] = "/api/v2/requisitions/"
    SUMMARY: ClassVar[tuple[str, ...]] = ("requisition_id", "barcode", "status", "created", "updated")

    def identity_of(self, request: Request, body: dict[str, Any]) -> str:  # noqa: ARG002 - as all are asked
        return str((body.get("metadata") or {}).get(KEY))

    def version_of(self, body: Mapping[str, Any]) -> int:
        return int(body["panels"][0].removeprefix("P"))

    def refusal(self, arrival: Arrival) -> str | None:
        barcode = arrival.body["barcode"]
        is_taken = any(each.body["barcode"] == barcode for each in self.placed.values() if not each.is_deleted)
        return "a requisition with this barcode exists" if is_taken else None

    def created(self, placed: Placed) -> tuple[int, dict[str, Any]]:
        return 200, self.shown(placed)

    def look(self, request: Request) -> tuple[int, Any]:
        if request.path == self.PATH:
            return 200, self.page(request.query, newest_change_first=False)
        return self.found(request.path.removeprefix(self.PATH).strip("/"))

    def shown(self, placed: Placed) -> dict[str, Any]:
        return {
            "requisition_id": placed.an_id,
            "barcode": placed.body["barcode"],
            "status": "approved",
            "panels": placed.body["panels"],
            **self.dates(placed),
            "metadata": placed.body.get("metadata") if placed.shows_metadata else None,
        }

    def foreign_body(self) -> dict[str, Any]:
        return {"barcode": f"F{len(self.placed)}", "panels": ["P0"], "metadata": self.foreign_metadata()}


class PatientServer(CreatesServer):
    """It shows nothing of what it has."""

    PATH: ClassVar[str] = "/api/v2/patients/"

    def identity_of(self, request: Request, body: dict[str, Any]) -> str:  # noqa: ARG002 - as all are asked
        return str(body["email"])

    def version_of(self, body: Mapping[str, Any]) -> int:
        return int(body["first_name"].removeprefix("V"))

    def created(self, placed: Placed) -> tuple[int, dict[str, Any]]:
        return 200, {"patient_id": placed.an_id, **placed.body}

    def look(self, request: Request) -> tuple[int, Any]:  # noqa: ARG002 - as all are asked
        return 404, _NOT_FOUND


class KitServer(CreatesServer):
    """It registers a kit to whoever comes: a second registration is seen in its books, and nowhere else."""

    PATH: ClassVar[str] = "/api/v2/kits/"

    def identity_of(self, request: Request, body: dict[str, Any]) -> str:  # noqa: ARG002 - as all are asked
        return request.path.split("/")[-3]

    def version_of(self, body: Mapping[str, Any]) -> int:
        return int(body.get("patient_id", body.get("last_name", "")).strip("pV"))

    def created(self, placed: Placed) -> tuple[int, dict[str, Any]]:  # noqa: ARG002 - it does not tell
        return 200, {"data": {"result": "success"}}

    def look(self, request: Request) -> tuple[int, Any]:
        kit_id = request.path.removeprefix(self.PATH).strip("/")
        last = next((each for each in reversed(self.by_identity[kit_id]) if self.is_shown(each)), None)
        if last is None:
            return 200, {"kit_id": kit_id, "status": "delivered", "events": [], "registered_to": None}
        registrant = {name: last.body[name] for name in ("patient_id", "last_name") if name in last.body}
        return 200, {
            "kit_id": kit_id,
            "status": "registered",
            "events": [{"status": "registered", "created": self.dates(last)["created"]}],
            "registered_to": {"patient_id": last.an_id, **registrant},
        }


@attrs.frozen
class Noun:
    """A kind of what can be created."""

    server: type[CreatesServer]
    row: Callable[[int, int], Any]
    """Makes the row of a number, with one of its contents."""
    identity_of: Callable[[str], str]
    """Tells by what the server knows a key."""
    create: Callable[[SpotClient], Callable[..., Any]]
    can_look: bool = True
    has_reference: bool = True


def key_of(number: int) -> str:
    return f"row-{number}"


def _order(n: int, version: int) -> tuple[str, NewOrder]:
    person = f"P{n - n % 2 if n % 10 < 2 else n}"  # some persons get several orders
    recipient = Recipient(
        first_name=person, last_name="Sample", email="e@example.com", phone="2025550147", address=ADDRESS
    )
    return key_of(n), NewOrder(kit_types=(f"k{version}",), recipient=recipient)


def _requisition(n: int, version: int) -> tuple[str, NewRequisition]:
    # Each second change is of the barcode too.
    return key_of(n), attrs.evolve(REQUISITION, barcode=f"{n}-{version // 2}", panels=(f"P{version}",))


def _patient(n: int, version: int) -> tuple[str, NewPatient]:
    return key_of(n), attrs.evolve(PATIENT, first_name=f"V{version}", email=f"{n}@example.com")


def _activation(n: int, version: int) -> KitActivation:
    if n % 3:
        return KitActivation(key_of(n), patient=attrs.evolve(PATIENT, last_name=f"V{version}"))
    return KitActivation(key_of(n), patient_id=f"p{version}")


NOUNS: dict[str, Noun] = {
    "orders": Noun(OrderServer, _order, reference_of, lambda spot: spot.orders.create_many),
    "requisitions": Noun(RequisitionServer, _requisition, reference_of, lambda spot: spot.requisitions.create_many),
    "patients": Noun(
        PatientServer,
        _patient,
        lambda key: f"{key.removeprefix('row-')}@example.com",
        lambda spot: spot.patients.create_many,
        can_look=False,
        has_reference=False,
    ),
    "activations": Noun(
        KitServer,
        _activation,
        lambda key: key,
        lambda spot: spot.kits.activate_many,
        has_reference=False,
    ),
}
