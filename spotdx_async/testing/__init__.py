"""For the tests of your own code: a fake Spot API on loopback, faults to play on it, models, and a clock that jumps.

With pytest and pytest-asyncio the fixtures ``fake_spot``, ``spot_client``, ``spot_expect`` and ``spot_clock`` are there
once the package is installed.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from spotdx_async.testing import factories, faults
    from spotdx_async.testing.clock import VirtualTimeLoop, run_virtual
    from spotdx_async.testing.expectations import ExpectedRequests
    from spotdx_async.testing.fault_plan import FaultPlan
    from spotdx_async.testing.faults import Fault, HttpDateAhead
    from spotdx_async.testing.harness import FakeSpot
    from spotdx_async.testing.kits import FakeKit, Kits
    from spotdx_async.testing.ledgers import Creation, LedgerEntry, OrderLedgerEntry
    from spotdx_async.testing.operations import OPERATIONS
    from spotdx_async.testing.orders import FakeOrder, Orders
    from spotdx_async.testing.patients import FakePatient, Patients
    from spotdx_async.testing.records import ReceivedRequest
    from spotdx_async.testing.requisitions import FakeRequisition, Requisitions
    from spotdx_async.testing.server import SpotServer
    from spotdx_async.testing.virtual_clock import VirtualClock

__all__ = [
    "OPERATIONS",
    "Creation",
    "ExpectedRequests",
    "FakeKit",
    "FakeOrder",
    "FakePatient",
    "FakeRequisition",
    "FakeSpot",
    "Fault",
    "FaultPlan",
    "HttpDateAhead",
    "Kits",
    "LedgerEntry",
    "OrderLedgerEntry",
    "Orders",
    "Patients",
    "ReceivedRequest",
    "Requisitions",
    "SpotServer",
    "VirtualClock",
    "VirtualTimeLoop",
    "factories",
    "faults",
    "run_virtual",
]

_HOMES = {
    "Creation": "ledgers",
    "ExpectedRequests": "expectations",
    "FakeKit": "kits",
    "FakeOrder": "orders",
    "FakePatient": "patients",
    "FakeRequisition": "requisitions",
    "FakeSpot": "harness",
    "Fault": "faults",
    "FaultPlan": "fault_plan",
    "HttpDateAhead": "faults",
    "Kits": "kits",
    "LedgerEntry": "ledgers",
    "OPERATIONS": "operations",
    "OrderLedgerEntry": "ledgers",
    "Orders": "orders",
    "Patients": "patients",
    "ReceivedRequest": "records",
    "Requisitions": "requisitions",
    "SpotServer": "server",
    "VirtualClock": "virtual_clock",
    "VirtualTimeLoop": "clock",
    "run_virtual": "clock",
}


# Imported when first used: pytest imports this package in every run of its users, by the plugin beside it.
def __getattr__(name: str) -> Any:
    if name in {"factories", "faults"}:
        return import_module(f"{__name__}.{name}")
    if name in _HOMES:
        return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
