"""A call of every operation, made from its name and from what its arguments are named."""

import asyncio
import inspect
import re
import sys
from collections.abc import Awaitable
from types import SimpleNamespace
from typing import Any

from spotdx_async import Pages
from spotdx_async._http.runner import Runner
from spotdx_async.resources.kits import Kits
from spotdx_async.resources.orders import Orders
from spotdx_async.resources.patients import Patients
from spotdx_async.resources.registration_tokens import RegistrationTokens
from spotdx_async.resources.requisitions import Requisitions
from spotdx_async.testing import OPERATIONS
from tests.facts import FACTS
from tests.new_objects import ORDER, PATIENT, REQUISITION

__all__ = ["call", "is_async", "name_of", "nouns"]

is_async = inspect.iscoroutinefunction if sys.version_info >= (3, 12) else asyncio.iscoroutinefunction
"""Whether frameworks and mocks take something for a coroutine function."""

A_UUID = "7563e8e2-7fbd-480c-9b8b-2070eda884bf"
# What is not given as its body has it: ids, and objects of the SDK.
ARGUMENTS: dict[str, Any] = {
    "kit_id": "SPOT123456",
    "order_id": "ORDER123456",
    "requisition_id": A_UUID,
    "patient_id": A_UUID,
    "order": ORDER,
    "requisition": REQUISITION,
    "patient": PATIENT,
}
A_GOOD_ONE = object()
# What a call needs that its signature does not require.
BESIDE = {"kits.activate": {"patient_id": A_UUID}}


def nouns(runner: Runner) -> Any:
    """Return what a client has, on a runner of the test's own."""
    return SimpleNamespace(
        kits=Kits(runner),
        orders=Orders(runner, "client_ref"),
        requisitions=Requisitions(runner, "client_ref"),
        patients=Patients(runner),
        registration_tokens=RegistrationTokens(runner),
    )


def call(spot: Any, name: str, an_id: Any = A_GOOD_ONE) -> Awaitable[Any]:
    """Call an operation by its name in ``spotdx_async.testing.OPERATIONS``, with this id if it takes one."""
    noun, _, method = name.partition(".")
    ask = getattr(getattr(spot, noun), method)
    required = [
        parameter.name
        for parameter in inspect.signature(ask).parameters.values()
        if parameter.kind is parameter.POSITIONAL_OR_KEYWORD and parameter.default is parameter.empty
    ]
    body = _body_of(*OPERATIONS[name])
    given = {argument: ARGUMENTS[argument] if argument in ARGUMENTS else body[argument] for argument in required}
    if an_id is not A_GOOD_ONE and required and required[0].endswith("_id"):
        given[required[0]] = an_id
    asked = ask(**given, **BESIDE.get(name, {}))
    answer: Awaitable[Any] = asked.first(10) if isinstance(asked, Pages) else asked
    return answer


def name_of(method: str, path: str) -> str | None:
    """Return an operation's name, whatever its placeholder is called."""
    return next((name for name, row in OPERATIONS.items() if (row[0], _blank(row[1])) == (method, _blank(path))), None)


def _body_of(method: str, path: str) -> dict[str, Any]:
    row = next(row for row in FACTS["operations"] if (row["method"], row["path"]) == (method, path))
    body: dict[str, Any] = row.get("body", {})
    return body


def _blank(path: str) -> str:
    return re.sub(r"\{\w+\}", "{}", path)
