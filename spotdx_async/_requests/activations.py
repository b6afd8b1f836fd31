"""Whether a kit is registered to the patient of an activation. Pure."""

from collections.abc import Mapping
from typing import Any

from spotdx_async._codec import codec
from spotdx_async.models import Kit, KitStatus

__all__ = ["TELLING", "is_registered"]

TELLING = ("patient_id", "last_name", "date_of_birth")
"""What a kit's registrant is compared by."""


def is_registered(kit: Kit, subject: Mapping[str, Any]) -> bool | None:
    """Whether the kit is registered to the patient of the activation; None where it contradicts itself."""
    is_registered = kit.status == KitStatus.REGISTERED
    has_event = any(event.status == KitStatus.REGISTERED for event in kit.events)
    if kit.registered_to is None:  # an event alone may be of an earlier registration that was taken back
        is_surely_nobody = codec.has_come_as_null(kit, "registered_to") or not has_event
        return False if is_surely_nobody and not is_registered else None
    registrant = codec.tree(kit.registered_to)
    known = [
        (str(subject[name]), str(registrant[name])) for name in TELLING if subject.get(name) and registrant.get(name)
    ]
    is_ours = all(ours.strip().casefold() == theirs.strip().casefold() for ours, theirs in known)
    return None if is_ours and not (is_registered or has_event) else is_ours
