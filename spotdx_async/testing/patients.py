"""The patients of the fake: what a test adds, looks at and changes. Pure; knows no HTTP and no rules."""

from typing import Any, ClassVar

from spotdx_async.testing.answers import Answer, json_answer
from spotdx_async.testing.example_kit import example
from spotdx_async.testing.made_up import PERSON, new_uuid
from spotdx_async.testing.store import Store, check_id, refuse_unknown_fields

__all__ = ["EXAMPLE_PATIENT_ID", "FakePatient", "Patients"]

EXAMPLE_PATIENT_ID = "7563e8e2-7fbd-480c-9b8b-2070eda884bf"
_FIELDS = ("first_name", "last_name", "date_of_birth", "sex", "email", "phone")
_SHAPE = frozenset(_FIELDS)
_ABOUT = frozenset({"address", "document"})


class FakePatient:
    """One patient on the fake; the attributes may be changed at any time. ``repr`` shows nothing of the patient.

    Attributes:
        patient_id: the id; fixed.
        document: the patient as "create patient" answers, but for the id.
        address: where the patient lives, as far as known: an activation tells it; empty otherwise.
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
        refuse_unknown_fields(shape, _SHAPE, _ABOUT)
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

        Assumed: ``patient_id`` is in it; the document's answer does not name it, and without it nothing could follow.
        """
        return json_answer(200, {"patient_id": self._patient_id, **self.document})

    def registrant(self) -> dict[str, Any]:
        """Give the patient as a kit's ``registered_to``, without the fields that the document lacks."""
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
                ``document``, all of the former, where fields shall be missing.

        Raises:
            ValueError: the id is taken or no path segment, or something else was given.
        """
        return self._put(patient_id, FakePatient(patient_id, **about))

    def free_id(self) -> str:
        """Make up a UUID."""
        return new_uuid()

    def add_default_world(self) -> None:
        """Add the patient of the documented kit."""
        registrant = dict(example()["registered_to"])
        self.add(registrant.pop("patient_id"), document=registrant)
