"""Registration tokens: secrets with which patients register kits themselves."""

from functools import partial

from spotdx_async._http.runner import Runner
from spotdx_async._observe.scrub import Prepared, scrubs_traceback_of_call
from spotdx_async._requests.identity import any_id
from spotdx_async._requests.operation import Operation, check_id
from spotdx_async.models import RegistrationToken

__all__ = ["OPERATIONS", "RegistrationTokens"]

CREATE = Operation(
    "POST",
    "/api/v2/tokens/patient_registration/",
    is_replay_safe=True,
    answer=RegistrationToken,
    identity=any_id("token"),
)
OPERATIONS = (CREATE,)
"""Source: the token endpoint of the vendor's API reference, version 2."""


class RegistrationTokens:
    """Operations on registration tokens. Reached as ``spot.registration_tokens``."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner

    @scrubs_traceback_of_call
    def create(self, patient_id: str, kit_type: str | None = None) -> Prepared[RegistrationToken]:
        """Create a token with which a patient registers a kit on the vendor's page: it works once, for 10 minutes.

        Repeating is safe and the SDK does so; each repeat creates a new secret, and earlier ones expire unused.

        Args:
            patient_id: of a patient that the vendor knows.
            kit_type: the type that a multi-purpose kit is to become; None leaves it out.

        Raises:
            InvalidInputError: an argument is wrong; nothing was sent.
            NotFoundError: the server does not know the patient.
            SpotError: any other, as the error tree says.
        """
        body = {"patient_id": check_id("patient_id", patient_id, CREATE.name, allow_any_id=self._runner.allow_any_id)}
        if kit_type is not None:
            body["kit_type"] = check_id("kit_type", kit_type, CREATE.name, allow_any_id=True)
        return partial(self._runner.call, CREATE.request(json=body), CREATE.decode)
