"""Activations of kits: their request, and how a kit shows that it was executed. Pure."""

from collections.abc import Mapping
from typing import Any

from attrs import evolve

from spotdx_async._codec import codec
from spotdx_async._http import clock
from spotdx_async._http.messages import Reply, Request
from spotdx_async._requests.answers import ServerClock, decoder_of, is_from_cache, server_clock
from spotdx_async._requests.arguments import refuse
from spotdx_async._requests.identity import any_id, tidied
from spotdx_async._requests.operation import Operation, check_id
from spotdx_async.errors import Clue, DecodeError
from spotdx_async.models import Activation, Kit, KitStatus, NewPatient

_A_RESULT = any_id("data", "result")  # the answer names neither the kit nor the patient
ACTIVATE = Operation(
    "POST",
    "/api/v3/kits/{kit_id}/activate/",
    is_replay_safe=False,
    answer=Activation,
    query=("public_id",),
    identity=_A_RESULT,
)
_decode_kit = decoder_of(Kit)

_SUCCESS = "success"
"""The one documented result of an activation."""
_REGISTRANT = ("patient_id", "last_name", "date_of_birth")
"""The fields by which a kit's registrant is compared."""


def is_registered(kit: Kit, subject: Mapping[str, Any]) -> bool | None:
    """Return whether the kit is registered to the patient of the activation; None if that cannot be told.

    It cannot where the kit contradicts itself, and where it shows nothing of its registrant that the activation names.
    An error that was pickled names nothing: then whoever is registered counts.
    """
    is_registered = kit.status == KitStatus.REGISTERED
    has_event = any(event.status == KitStatus.REGISTERED for event in kit.events)
    if kit.registered_to is None:  # an event alone may belong to an earlier registration that was undone
        # A missing field proves nothing: only an explicit null says that nobody is registered.
        is_surely_nobody = codec.has_come_as_null(kit, "registered_to") or not has_event
        return False if is_surely_nobody and not is_registered else None
    registrant = codec.tree(kit.registered_to)
    named = [name for name in _REGISTRANT if subject.get(name)]
    known = [(str(subject[name]), str(registrant[name])) for name in named if registrant.get(name)]
    # Only what both sides show is compared, and loosely: the server may change case, accents or spaces of a name.
    if not all(tidied(ours) == tidied(theirs) for ours, theirs in known):
        return False
    return True if (known or not named) and (is_registered or has_event) else None


def decode_dated(reply: Reply) -> tuple[Kit, ServerClock | None, bool]:
    """Decode a kit, with the server's clock, and whether the answer came from a cache."""
    return _decode_kit(reply), server_clock(reply.headers, clock.wall()), is_from_cache(reply.headers)


def decode_success(reply: Reply) -> Activation:
    """Decode an answer that says that the activation was executed.

    Raises:
        DecodeError: it does not say so.
    """
    answer = ACTIVATE.decode(reply)
    if answer.data is None or answer.data.result != _SUCCESS:
        raise DecodeError("the answer does not say that it was executed", path="data.result", outcome="unknown")
    return answer


def activation_request(
    kit_id: str,
    patient_id: str | None,
    patient: NewPatient | None,
    research_consent: bool | None,
    *,
    allow_any_id: bool,
) -> Request:
    """Return the request for an activation.

    It is outside the frames that an error passes through: patient data must not stay in a traceback.

    Raises:
        InvalidInputError: something of it is wrong.
    """
    body = _activation_body(patient_id, patient, research_consent, allow_any_id=allow_any_id)
    request = ACTIVATE.request(kit_id, query={"public_id": kit_id}, json=body, allow_any_id=allow_any_id)
    subject = {"kit_id": kit_id, **{name: body[name] for name in _REGISTRANT if name in body}}
    return evolve(request, clue=Clue(began_at=clock.wall(), subject=subject))


def _activation_body(
    patient_id: str | None, patient: NewPatient | None, research_consent: object, *, allow_any_id: bool
) -> dict[str, Any]:
    if (patient_id is None) == (patient is None):
        refuse((("patient_id or patient", "must be given, and never both"),), ACTIVATE.name)
    if research_consent is not None and not isinstance(research_consent, bool):
        refuse((("research_consent", "must be True, False or None"),), ACTIVATE.name)
    if patient is None:
        public_id = check_id("patient_id", patient_id, ACTIVATE.name, allow_any_id=allow_any_id)
        body: dict[str, Any] = {"patient_id": public_id}
    else:
        # Here, since the models of orders and requisitions come with it, which most programs of kits do without.
        from spotdx_async._requests.validation import ACTIVATION_PATIENT, check  # noqa: PLC0415

        check(patient, ACTIVATION_PATIENT, ACTIVATE.name)
        body = codec.tree(patient)
        body |= body.pop("address", {})
        body.pop("country", None)
    return body if research_consent is None else {**body, "research_consent": research_consent}
