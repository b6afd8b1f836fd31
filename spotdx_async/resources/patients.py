"""Patients: creating them."""

from collections.abc import AsyncIterable, Iterable
from functools import partial
from typing import Unpack

from attrs import evolve

from spotdx_async._codec import codec
from spotdx_async._http import clock
from spotdx_async._http.messages import Request
from spotdx_async._http.runner import Runner
from spotdx_async._observe.scrub import Prepared, scrubs_traceback, scrubs_traceback_of_call
from spotdx_async._requests.identity import Echo, any_id
from spotdx_async._requests.operation import Operation
from spotdx_async._requests.validation import PATIENT, check
from spotdx_async.errors import Clue
from spotdx_async.models import NewPatient, Patient
from spotdx_async.resources import lazy

__all__ = ["OPERATIONS", "Patients"]

CREATE = Operation("POST", "/api/v2/patients/", is_replay_safe=False, answer=Patient, identity=any_id("patient_id"))
OPERATIONS = (CREATE,)
"""Source: the patient endpoint of the vendor's API reference, version 2. The list in its OpenAPI document is wrong."""


class Patients:
    """Operations on patients. Reached as ``spot.patients``."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner

    @scrubs_traceback_of_call
    def create(self, patient: NewPatient) -> Prepared[Patient]:
        """Create a patient, and return what the vendor now knows, with the ``patient_id`` if the answer includes it.

        It is done at most once: nothing is repeated that may have been executed.

        Args:
            patient: checked as a whole before anything is sent; without an address.

        Raises:
            InvalidInputError: the patient is wrong; ``faults`` lists all faults; nothing was sent.
            BadRequestError: the server found the patient wrong; ``details`` says what.
            OutcomeUnknownError: sent, and no usable answer. The API has no list of patients, so only the vendor can
                tell whether there is one now; creating the patient again may make a second one.
            SpotError: any other, as the error tree says.
        """
        return partial(self._runner.call, _checked_creation(patient), CREATE.decode)

    @scrubs_traceback
    def create_many(
        self,
        rows: "Iterable[lazy.PatientCreateRow] | AsyncIterable[lazy.PatientCreateRow]",
        *,
        batch: str,
        **options: "Unpack[lazy.CreateOptions]",
    ) -> "lazy.BulkRun[Patient]":
        """Create very many patients, each at most once; yields one Outcome for every row, in flat memory.

        Everything that ``spot.orders.create_many`` says applies, but nobody can settle what is in doubt, since the API
        has no list of patients: such a row ends ``unknown``, and is never sent again, by the same call either.

        Args:
            rows: ``(key, NewPatient)`` or ``NewPatientRow``, from an iterable or an async one.
            batch: a name of yours for these rows; the journal belongs to it.
            **options: any of CreateOptions; ``journal`` must be passed, ``look_first`` is not for patients.

        Raises:
            InvalidInputError: at once, if ``rows``, ``batch`` or an option is unusable; a bad row is an outcome.
            JournalError: from the loop, if the journal cannot be used.
            BulkStopped: from the loop, after a problem that every further row would meet.
            BaseException: whatever the input, a hook or ``progress`` raises, after the outcomes of all rows read.
        """
        creation: lazy.Creation[Patient] = lazy.Creation(
            noun="patient",
            row_type=lazy.NewPatientRow,
            request_of=lambda patient, _: _checked_creation(patient),
            id_of=lambda patient: patient.patient_id,
            id_name="patient_id",
            batch=lazy.checked_batch(batch),
        )
        return lazy.create_run(
            rows,
            call="create_many",
            operation=CREATE,
            runner=self._runner,
            creation=creation,
            new_look=None,
            options=options,
        )


_TELLING = {"email": False, "last_name": True, "date_of_birth": False}
"""What identifies an answer whose patient has no id, as the documented one has none, and which parts may come back
cut."""


def _checked_creation(patient: NewPatient) -> Request:
    check(patient, PATIENT, CREATE.name)
    return _creation(patient)


def _creation(patient: NewPatient) -> Request:
    body = codec.tree(patient)
    echoes = tuple(
        Echo((name,), body[name], is_enough=True, ignores_case=True, may_be_cut=may_be_cut)
        for name, may_be_cut in _TELLING.items()
    )
    return evolve(CREATE.request(json=body), clue=Clue(began_at=clock.wall()), echoes=echoes)
