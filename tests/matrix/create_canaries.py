"""Words that must turn up nowhere of a bulk create: planted in every field of what is created, and in answers to it."""

import csv
import json
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any, Final

import attrs

from spotdx_async import (
    Address,
    BulkRun,
    KitActivation,
    NewOrder,
    NewPatient,
    NewRequisition,
    Recipient,
    SpotClient,
    Tracking,
)
from spotdx_async.testing import Fault, faults

from .canaries import Canaries

_PERSON = ("first name", "last name", "email", "phone")
_PLACE = ("street1", "street2", "city", "zip")
_NAMES = [
    *("token", "answer", "key of an answer", "batch"),
    *(f"order {name}" for name in ("key", *_PERSON, *_PLACE, "metadata", "nested metadata")),
    *(f"requisition {name}" for name in ("key", *_PERSON, *_PLACE, "metadata", "barcode", "panel", "account", "lab")),
    "requisition tracking",
    *(f"patient {name}" for name in ("key", *_PERSON)),
    *(f"activation {name}" for name in ("key", *_PERSON, *_PLACE, "patient id")),
]


def _word(number: int, name: str) -> str:
    if name == "token":
        return f"linnet{number:02}+token/=x"
    if name.endswith("email"):
        return f"linnet{number:02}'ü&\"@example.com"
    return f'linnet{number:02}"{name}& ü'


WORDS: Final[dict[str, str]] = {
    **{name: _word(number, name) for number, name in enumerate(_NAMES, start=1)},
    "requisition birth date": "1931-05-17",
    "patient birth date": "1932-07-23",
    "activation birth date": "1933-11-29",
}
found_in = Canaries(WORDS, "linnet").found_in
ROWS: Final = 30


def _named(noun: str, names: Mapping[str, str]) -> dict[str, Any]:
    return {field: WORDS[f"{noun} {name}"] for field, name in names.items()}


def _contact(noun: str) -> dict[str, Any]:
    return _named(noun, {name.replace(" ", "_"): name for name in _PERSON})


def _place(noun: str) -> dict[str, Any]:
    return {**_named(noun, {name: name for name in _PLACE}), "state": "IL"}


def _patient(noun: str, **more: Any) -> NewPatient:
    born = date.fromisoformat(WORDS[f"{noun} birth date"])
    return NewPatient(**_contact(noun), sex="F", date_of_birth=born, **more)


def key_of(noun: str, number: int) -> str:
    return f"{WORDS[f'{noun} key']}{number}"


def _order(number: int) -> tuple[str, NewOrder]:
    recipient = Recipient(**_contact("order"), address=Address(**_place("order"), country="US"))
    metadata = {"note": WORDS["order metadata"], "more": {"of": [WORDS["order nested metadata"], number]}}
    return key_of("order", number), NewOrder(kit_types=("health_kit_1",), recipient=recipient, metadata=metadata)


def _requisition(number: int) -> tuple[str, NewRequisition]:
    return key_of("requisition", number), NewRequisition(
        **_named("requisition", {"account_number": "account", "lab": "lab"}),
        barcode=f"{WORDS['requisition barcode']}{number}",
        panels=(WORDS["requisition panel"],),
        state_collected="IL",
        patient=_patient("requisition", address=Address(**_place("requisition"), country="US")),
        tracking=Tracking(tracking_number=WORDS["requisition tracking"], carrier="usps"),
        metadata={"note": WORDS["requisition metadata"]},
    )


def _activation(number: int) -> KitActivation:
    key = key_of("activation", number)
    if number % 3:
        return KitActivation(key, patient=_patient("activation", address=Address(**_place("activation"))))
    return KitActivation(key, patient_id=WORDS["activation patient id"])


@attrs.frozen
class Noun:
    """A kind of what is created: its rows, full of canaries, in programs and in files."""

    word: str
    """With which the names of its canaries begin."""
    row: Callable[[int], Any]
    create: Callable[[SpotClient], Callable[..., BulkRun[Any]]]
    command: tuple[str, str]
    header: Sequence[str]
    """The columns of a file of rows."""
    cells: Callable[[int], Sequence[str]]

    def write(self, path: Path) -> Path:
        """Write a file of rows, the last of them bad."""
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(self.header)
            writer.writerows(self.cells(number) for number in range(ROWS))
            writer.writerow(["", *self.cells(0)[1:]])
            writer.writerow([*self.cells(ROWS)[:-1], WORDS[f"{self.word} first name"]])
        return path


def _cells(noun: str, names: Sequence[str]) -> list[str]:
    return [WORDS[f"{noun} {name}"] for name in names]


_CONTACT = ["first_name", "last_name", "email", "phone"]
_BORN = ["sex", "date_of_birth"]
NOUNS: Final[Mapping[str, Noun]] = {
    "orders": Noun(
        "order",
        _order,
        lambda spot: spot.orders.create_many,
        ("orders", "create"),
        ["key", "kit_types", *_CONTACT, *_PLACE, "metadata.note", "country", "state"],
        lambda n: [
            *(key_of("order", n), "health_kit_1", *_cells("order", [*_PERSON, *_PLACE, "metadata"])),
            *("US", "IL"),
        ],
    ),
    "requisitions": Noun(
        "requisition",
        _requisition,
        lambda spot: spot.requisitions.create_many,
        ("requisitions", "create"),
        [
            *("key", "barcode", *_CONTACT, *_PLACE, "panels", "account_number", "lab", "tracking_number"),
            *("metadata.note", *_BORN, "state_collected", "carrier", "country", "state"),
        ],
        lambda n: [
            *(key_of("requisition", n), f"{WORDS['requisition barcode']}{n}"),
            *_cells("requisition", [*_PERSON, *_PLACE, "panel", "account", "lab", "tracking", "metadata"]),
            *("F", WORDS["requisition birth date"], "IL", "usps", "US", "IL"),
        ],
    ),
    "patients": Noun(
        "patient",
        lambda n: (key_of("patient", n), _patient("patient")),
        lambda spot: spot.patients.create_many,
        ("patients", "create"),
        ["key", *_CONTACT, "date_of_birth", "sex"],
        lambda n: [key_of("patient", n), *_cells("patient", [*_PERSON, "birth date"]), "F"],
    ),
    "activations": Noun(
        "activation",
        _activation,
        lambda spot: spot.kits.activate_many,
        ("kits", "activate"),
        ["kit_id", *_CONTACT, *_PLACE, "date_of_birth", "sex", "state"],
        lambda n: [key_of("activation", n), *_cells("activation", [*_PERSON, *_PLACE, "birth date"]), "F", "IL"],
    ),
}


def faults_of(word: str) -> list[Fault]:
    """Everything that may come of a create; answers of any shape are full of what was sent."""
    sent = [value for name, value in WORDS.items() if name.startswith((word, "answer"))]
    told = "; ".join(sent)
    openapi = {"error": {"status": 400, "type": "invalid", "detail": told}}
    guide = {"error": {"code": 422, "type": WORDS["answer"], "details": sent}}
    ids = ("order_id", "requisition_id", "patient_id")
    shape = {name: {WORDS["key of an answer"]: sent} for name in (*ids, "data")}
    done = dict.fromkeys(ids, "made")
    other = {**done, "data": {"result": "success"}, "created": told, "kits": {WORDS["key of an answer"]: told}}
    return [
        faults.body(json.dumps(openapi).encode(), status=400, executes=False),
        faults.body(json.dumps(guide).encode(), status=422, executes=False),
        faults.body(told.encode(), status=409, content_type="text/plain", executes=False),
        faults.body(json.dumps(openapi).encode(), status=403, executes=False),
        faults.body(told.encode(), status=503, content_type="text/html", executes=False),
        faults.body(json.dumps(shape).encode(), status=201),
        faults.body(json.dumps({**other, "sex": [told], "panels": told}).encode(), status=201),
        faults.redirect(302, f"/{WORDS['token'][:8]}/"),
        faults.unreadable(201),
        *map(faults.named, ("429", "drop_before", "drop_after", "half_body", "broken_json", "wrapped", "wrong_object")),
    ]
