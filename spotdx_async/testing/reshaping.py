"""What faults make of a success that the fake would have answered with. Pure."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from spotdx_async.testing.answers import Answer

_STATUSES = ("status", "kit_status", "sample_status")
_IDS = ("kit_id", "order_id", "requisition_id", "patient_id")


def on_success(change: Callable[[Answer], Answer]) -> Callable[[Answer | None], Answer | None]:
    """Return the change, for successes alone."""
    return lambda answer: change(answer) if answer is not None and answer.is_success else answer


def halve(answer: Answer) -> Answer:
    """Return the first half of the body, as a whole answer."""
    return replace(answer, body=answer.body[: len(answer.body) // 2])


def add_unknown(answer: Answer, value: str, field: str) -> Answer:
    """Return it with this value for each status, and with a field more."""
    read: Any = json.loads(answer.body)
    for item in read if isinstance(read, list) else [read]:
        if isinstance(item, dict):
            item |= {name: value for name in _STATUSES if name in item}
            item[field] = {"of": "a later version"}
    return _with(answer, read)


def replace_identity(answer: Answer, value: str) -> Answer:
    """Return it with this value for all that identifies the object."""
    read: Any = json.loads(answer.body)
    if isinstance(read, dict):
        read |= {name: value for name in (*_IDS, "barcode", "last_name") if name in read}
        if isinstance(read.get("metadata"), dict):
            read["metadata"] = dict.fromkeys(read["metadata"], value)
    return _with(answer, read)


def remove_ids(answer: Answer) -> Answer:
    """Return it without the object's id."""
    read: Any = json.loads(answer.body)
    if isinstance(read, dict):
        read = {name: value for name, value in read.items() if name not in _IDS}
    return _with(answer, read)


def wrap(answer: Answer) -> Answer:
    """Return it one level deeper."""
    return _with(answer, {"data": json.loads(answer.body)})


def _with(answer: Answer, value: Any) -> Answer:
    return replace(answer, body=json.dumps(value, ensure_ascii=False).encode())
