"""Words that must turn up nowhere: planted in token, arguments and answers, and looked for in texts."""

import base64
import html
import json
from collections.abc import Iterator, Mapping
from typing import Any, Final
from urllib.parse import quote, quote_plus, unquote

from spotdx_async import Address, NewOrder, Recipient

from .answers import Arrived
from .surroundings import Asked

# Each with characters that every encoding writes in its own way.
WORDS: Final[dict[str, str]] = {
    "token": "canary01+token/=x",
    **{
        name: f'canary{number:02}"{name}{"" if name.endswith(" id") else "/"}& ü'
        for number, name in enumerate(
            [
                *("kit id", "order first name", "order last name", "order email", "order phone"),
                *("street1", "street2", "city", "zip", "order metadata", "order nested metadata"),
                *("kit metadata", "kit nested metadata", "filter email", "filter first name", "filter last name"),
                *("filter phone", "filter kit type", "answer first name", "answer last name", "answer email"),
                *("answer phone", "answer patient id", "answer tracking", "answer panel", "answer result name"),
                *("answer result", "answer comments", "answer unit", "answer pdf", "answer unknown field"),
                *("answer metadata", "answer street", "answer city", "answer zip", "error detail"),
                *("error second detail", "answer sample type", "answer batch"),
            ],
            start=2,
        )
    },
}


def planted() -> Asked:
    """Arguments that are all canaries."""
    recipient = Recipient(
        first_name=WORDS["order first name"],
        last_name=WORDS["order last name"],
        email=WORDS["order email"],
        phone=WORDS["order phone"],
        address=Address(
            street1=WORDS["street1"],
            street2=WORDS["street2"],
            city=WORDS["city"],
            state="CA",
            country="US",
            zip=WORDS["zip"],
        ),
    )
    return Asked(
        token=WORDS["token"],
        kit_id=WORDS["kit id"],
        metadata={"note": WORDS["kit metadata"], "more": [{"of": WORDS["kit nested metadata"]}]},
        order=NewOrder(
            kit_types=("health_kit_1",),
            recipient=recipient,
            metadata={"note": WORDS["order metadata"], "more": {"of": [WORDS["order nested metadata"]]}},
        ),
        filters={
            "email": WORDS["filter email"],
            "first_name": WORDS["filter first name"],
            "last_name": WORDS["filter last name"],
            "phone": WORDS["filter phone"],
            "kit_type": WORDS["filter kit type"],
        },
    )


def answered(request: Arrived) -> bytes:
    """An answer of the healthy server that is full of patient data."""
    unknown = {"added_later": WORDS["answer unknown field"], "batch": [WORDS["answer batch"]]}
    if request.kind == "list":
        return _json([{"kit_id": f"SPOT00000{number}", "kit_status": "delivered", **unknown} for number in range(3)])
    address = {"street1": WORDS["answer street"], "city": WORDS["answer city"], "zip": WORDS["answer zip"]}
    if request.kind == "create":
        recipient = {
            "first_name": WORDS["answer first name"],
            "last_name": WORDS["answer last name"],
            "address": address,
        }
        return _json(
            {
                "order_id": "O1234567",
                "status": "pending",
                "recipient": recipient,
                "kits": [],
                "metadata": {"note": WORDS["answer metadata"]},
                **unknown,
            }
        )
    kit_id = unquote(request.path.split("/")[-2])
    return _json({"kit_id": kit_id, "status": "registered", "events": [], **_person(), **unknown})


def _person() -> dict[str, Any]:
    result = {
        "result_type": "quantity",
        "name": WORDS["answer result name"],
        "result": WORDS["answer result"],
        "unit_of_measure": WORDS["answer unit"],
        "comments": WORDS["answer comments"],
    }
    return {
        "shipment_to_customer": {"tracking_number": WORDS["answer tracking"], "carrier": "usps"},
        "registered_to": {
            "patient_id": WORDS["answer patient id"],
            "first_name": WORDS["answer first name"],
            "last_name": WORDS["answer last name"],
            "email": WORDS["answer email"],
            "phone": WORDS["answer phone"],
        },
        "sample": {
            "panels": [WORDS["answer panel"]],
            "more": WORDS["answer sample type"],
            "reports": [{"results": [result], "pdf": WORDS["answer pdf"]}],
        },
    }


def _json(value: object) -> bytes:
    return json.dumps(value).encode()


def forms(word: str) -> Iterator[str]:
    """A word as it may be written: raw, percent-encoded, base64, escaped for JSON, Python and HTML."""
    raw = word.encode()
    yield word
    yield from (quote(word), quote(word, safe=""), quote_plus(word))
    yield from (json.dumps(word)[1:-1], json.dumps(word, ensure_ascii=False)[1:-1], repr(word)[1:-1], repr(raw)[2:-1])
    yield html.escape(word)
    # In the middle of a longer text its base64 depends on where it begins.
    yield from (base64.b64encode(b"\0" * shift + raw)[4 if shift else 0 : -4].decode() for shift in range(3))


class Canaries:
    """Words by their names, each with a mark of its own: ``bird`` and two digits."""

    def __init__(self, words: Mapping[str, str], bird: str) -> None:
        # What all forms but base64 have in common is quicker to look for; whoever finds it says which word it was.
        self._bird = bird
        self._marks = {word[word.index(bird) :][: len(bird) + 2]: name for name, word in words.items() if bird in word}
        self._exact = {form: name for name, word in words.items() for form in _exact_forms(word, has_mark=bird in word)}

    def found_in(self, text: str) -> set[str]:
        """Name the canaries that a text shows, in whatever form."""
        lowered = text.lower()
        raw = {name for mark, name in self._marks.items() if mark in lowered} if self._bird in lowered else set()
        return raw | {name for form, name in self._exact.items() if form in text}


def _exact_forms(word: str, *, has_mark: bool) -> list[str]:
    return [*forms(word)][-3:] if has_mark else [*forms(word)]


found_in = Canaries(WORDS, "canary").found_in
