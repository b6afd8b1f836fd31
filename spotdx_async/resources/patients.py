"""Patients: creating them."""

from functools import partial

from attrs import evolve

from spotdx_async._codec import codec
from spotdx_async._http import clock
from spotdx_async._http.messages import Request
from spotdx_async._http.runner import Runner
from spotdx_async._observe.scrub import Prepared, scrubs_traceback_of_call
from spotdx_async._requests.identity import Echo, any_id
from spotdx_async._requests.operation import Operation
from spotdx_async._requests.validation import PATIENT, check
from spotdx_async.errors import Clue
from spotdx_async.models import NewPatient, Patient

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
        check(patient, PATIENT, CREATE.name)
        return partial(self._runner.call, _creation(patient), CREATE.decode)


_TELLING = {"email": False, "last_name": True, "date_of_birth": False}
"""What identifies an answer whose patient has no id, as the documented one has none, and which parts may come back
cut."""


def _creation(patient: NewPatient) -> Request:
    body = codec.tree(patient)
    echoes = tuple(
        Echo((name,), body[name], is_enough=True, ignores_case=True, may_be_cut=may_be_cut)
        for name, may_be_cut in _TELLING.items()
    )
    return evolve(CREATE.request(json=body), clue=Clue(began_at=clock.wall()), echoes=echoes)
