"""The fake's patients: what a test adds and changes, their registration tokens, and the operations for both.

"Activate kit" is here too: it registers a kit to a patient. Pure, but for the secrets of tokens; knows no HTTP.
"""

import base64
import json
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import count
from typing import TYPE_CHECKING, Any, ClassVar

from spotdx_async.testing import bodies, listing
from spotdx_async.testing.answers import Answer, json_answer
from spotdx_async.testing.bodies import Check, fields, one_of, person_fields, text
from spotdx_async.testing.made_up import PERSON, example_kit
from spotdx_async.testing.routes import Call, Route
from spotdx_async.testing.store import Store, check_fields, check_id

if TYPE_CHECKING:
    from spotdx_async.testing.state import SpotState

EXAMPLE_PATIENT_ID = "7563e8e2-7fbd-480c-9b8b-2070eda884bf"
TOKEN_LIFETIME = timedelta(minutes=10)

_FIELDS = ("first_name", "last_name", "date_of_birth", "sex", "email", "phone")
_OPTIONS = frozenset({"address", "document"})
_ADDRESS = ("street1", "street2", "city", "state", "zip")
_STATE_NAMES = {"NY": "New York"}  # from the documented example; other states are named by their two letters


class FakePatient:
    """One patient on the fake; the attributes may be changed at any time. ``repr`` shows nothing of the patient.

    Attributes:
        patient_id: the id; fixed.
        document: what "create patient" answers, but for the id.
        address: the address, as far as an activation has told it; empty otherwise.
    """

    __slots__ = ("_patient_id", "address", "document")

    def __init__(
        self,
        patient_id: str,
        *,
        address: dict[str, Any] | None = None,
        document: dict[str, Any] | None = None,
        **shape: Any,
    ) -> None:
        check_fields(shape, frozenset(_FIELDS), _OPTIONS)
        self._patient_id = check_id("a patient", patient_id)
        self.address: dict[str, Any] = {} if address is None else address
        self.document: dict[str, Any] = (
            {**PERSON, "sex": "F", "date_of_birth": "1990-01-01"} if document is None else document
        )
        self.document.update(shape)

    @property
    def patient_id(self) -> str:
        """The patient's id."""
        return self._patient_id

    def answer(self) -> Answer:
        """Answer with the whole patient.

        Assumed: ``patient_id`` is in it; the documented answer lacks it, but nothing could be done without it.
        """
        return json_answer(200, {"patient_id": self._patient_id, **self.document})

    def registrant(self) -> dict[str, Any]:
        """Return the patient as a kit's ``registered_to``, without the fields that the document lacks."""
        known = {name: self.document[name] for name in _FIELDS if name in self.document}
        return {"patient_id": self._patient_id, **known}

    def __repr__(self) -> str:
        return "<FakePatient>"


class Patients(Store[FakePatient]):
    """The fake's patients by id, in the order of adding."""

    _noun: ClassVar[str] = "a patient"

    def add(self, patient_id: str, **about: Any) -> FakePatient:
        """Add one patient: a person who does not exist.

        Args:
            patient_id: an id that no patient has yet.
            about: ``first_name``, ``last_name``, ``date_of_birth``, ``sex``, ``email``, ``phone``; ``address``; or
                ``document``, all but the address, for one with fields missing.

        Raises:
            ValueError: the id is taken or cannot be part of a path, or an argument is unknown.
        """
        return self._put(patient_id, FakePatient(patient_id, **about))

    def add_default_world(self) -> None:
        """Add the patient of the documented kit."""
        registrant = dict(example_kit()["registered_to"])
        self.add(registrant.pop("patient_id"), document=registrant)


@dataclass(slots=True)
class Registration:
    """What a registration token is for; ``repr`` shows no patient."""

    patient_id: str = field(repr=False)
    kit_type: str | None
    """The type that a kit of several purposes takes on; None: it keeps its own."""
    expires: datetime
    is_used: bool = False


class Registrations:
    """The tokens that were issued, each for one use; neither its ``repr`` nor a message shows one."""

    def __init__(self) -> None:
        self._by_token: dict[str, Registration] = {}
        self._numbers = count(1)

    def issue(self, patient_id: str, kit_type: str | None = None, *, at: datetime) -> tuple[str, str]:
        """Return a new token's number and the token, a secret that expires ten minutes after ``at``."""
        number, expires = next(self._numbers), at + TOKEN_LIFETIME
        claims = {"max": 1, "sub": "patient_registration", "mod": "n", "jti": number}
        token = _signed({**claims, "exp": int(expires.timestamp()), "iat": int(at.timestamp())})
        self._by_token[token] = Registration(patient_id, kit_type, expires)
        return str(number), token

    def look_up(self, token: str, *, at: datetime) -> Registration:
        """Return what the token is for.

        Raises:
            ValueError: it was never issued, has been used, or has expired at that instant.
        """
        found = self._by_token.get(token)
        if found is None:
            raise ValueError("this registration token was never issued")
        if found.is_used:
            raise ValueError("this registration token has been used: it is for one use")
        if at > found.expires:
            raise ValueError("this registration token is older than 10 minutes")
        return found

    def __repr__(self) -> str:
        return f"<Registrations: {len(self._by_token)}>"


def _signed(claims: Mapping[str, Any]) -> str:
    header, body = (
        json.dumps(part, separators=(",", ":")).encode() for part in ({"typ": "JWT", "alg": "HS256"}, claims)
    )
    parts = (header, body, secrets.token_bytes(32))
    return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts)


# --- Operations -------------------------------------------------------------------------------------------------------


def create_patient(state: "SpotState", call: Call) -> Answer:
    """Create a patient, and answer with it.

    Assumed: a second patient with the same fields is a different patient.
    """
    sent = bodies.checked(call.body, fields(person_fields(state.today()), {"phone": text}))
    patient = state.patients.add(state.patients.free_id(), document=dict(sent))
    state.record_creation("patient", patient.patient_id, call)
    return patient.answer()


def create_registration_token(state: "SpotState", call: Call) -> Answer:
    """Issue a token that registers a kit to the patient once, within ten minutes."""
    sent = bodies.checked(call.body, fields({"patient_id": text}, {"kit_type": one_of(*state.kit_types)}))
    patient = state.patients.find(sent["patient_id"])
    number, token = state.registrations.issue(patient.patient_id, sent.get("kit_type"), at=state.instant())
    state.record_creation("registration token", number, call)
    return json_answer(201, {"token": token})


def activate_kit(state: "SpotState", call: Call) -> Answer:
    """Register a kit to a patient, by ``patient_id`` or by the details of a new patient.

    Assumed: where both are given, or the kit is registered or canceled, it is a bad request; a patient whose state is
        not known may be tested; ``public_id`` must be the path's.
    """
    kit_id = call.params["kit_id"]
    _check_query(call.query, kit_id)
    kit = state.kits.find(kit_id)
    sent = bodies.checked(call.body, _activation_check(state, call.body))
    known = state.patients.find(sent["patient_id"]) if "patient_id" in sent else None
    if not kit.can_be_activated:
        return state.refuse(400, f"Kit id {kit_id} cannot be activated: it is {kit.status}")
    home = sent.get("state") if known is None else known.address.get("state")
    if state.is_without_testing(home):
        where = _STATE_NAMES.get(str(home).upper(), home)
        return state.refuse(403, f"At-home testing is not available to residents of {where} state")
    kit.activate(_new_patient(state, sent) if known is None else known)
    state.record_creation("activation", kit_id, call)
    return json_answer(200, {"data": {"result": "success"}})


_ACTIVATION_QUERY = ("public_id",)
PATIENT_ROUTES = (
    Route("patients.create", "POST", "/api/v2/patients/", create_patient),
    Route("registration_tokens.create", "POST", "/api/v2/tokens/patient_registration/", create_registration_token),
    Route("kits.activate", "POST", "/api/v3/kits/{kit_id}/activate/", activate_kit, query=_ACTIVATION_QUERY),
)


def _check_query(query: Mapping[str, str], kit_id: str) -> None:
    listing.refuse_unknown(query, _ACTIVATION_QUERY)
    if "public_id" not in query:
        raise listing.BadQueryError("public_id: Field is required")
    if query["public_id"] != kit_id:
        raise listing.BadQueryError("public_id: Must be the kit id of the path")


def _activation_check(state: "SpotState", body: Any) -> Check:
    """Return the check: of an id alone, or of details, of which ``activation_requires`` are required."""
    details = {**person_fields(state.today()), "phone": text, **dict.fromkeys(_ADDRESS, text)}
    consent = {"research_consent": bodies.boolean}
    if isinstance(body, dict) and "patient_id" in body:
        return fields({"patient_id": text}, {**dict.fromkeys(details, _refuse_beside_an_id), **consent})
    required = {name: details[name] for name in state.activation_requires}
    return fields(required, {**details, **consent})


def _refuse_beside_an_id(_: Any, path: str) -> Iterator[str]:
    yield f"{path}: Must not be given beside patient_id"


def _new_patient(state: "SpotState", sent: Mapping[str, Any]) -> FakePatient:
    address = {name: sent[name] for name in _ADDRESS if name in sent}
    document = {name: value for name, value in sent.items() if name not in {*_ADDRESS, "research_consent"}}
    return state.patients.add(state.patients.free_id(), address=address, document=document)
