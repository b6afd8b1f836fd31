"""For tests of your own code: a fake Spot API on loopback, faults to play on it, made-up models, and virtual time.

With pytest and pytest-asyncio, installing the package is enough to have the fixtures ``fake_spot``, ``spot_client``,
``spot_expect`` and ``spot_clock``.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from spotdx_async.testing import factories, faults
    from spotdx_async.testing.clock import VirtualClock, VirtualTimeLoop, run_virtual
    from spotdx_async.testing.expectations import ExpectedRequests
    from spotdx_async.testing.fake_spot import FakeSpot
    from spotdx_async.testing.fault_plan import FaultPlan
    from spotdx_async.testing.faults import Fault, HttpDateAhead
    from spotdx_async.testing.kits import FakeKit, Kits
    from spotdx_async.testing.orders import FakeOrder, Orders
    from spotdx_async.testing.patients import FakePatient, Patients
    from spotdx_async.testing.records import Creation, Creations, LedgerEntry, OrderLedgerEntry, ReceivedRequest
    from spotdx_async.testing.report_files import ReportFiles
    from spotdx_async.testing.requisitions import FakeRequisition, Requisitions
    from spotdx_async.testing.server import SpotServer
    from spotdx_async.testing.state import OPERATIONS

__all__ = [
    "OPERATIONS",
    "Creation",
    "Creations",
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
    "ReportFiles",
    "Requisitions",
    "SpotServer",
    "VirtualClock",
    "VirtualTimeLoop",
    "factories",
    "faults",
    "run_virtual",
]

_MODULES = {
    "clock": ("VirtualClock", "VirtualTimeLoop", "run_virtual"),
    "expectations": ("ExpectedRequests",),
    "fault_plan": ("FaultPlan",),
    "faults": ("Fault", "HttpDateAhead"),
    "fake_spot": ("FakeSpot",),
    "kits": ("FakeKit", "Kits"),
    "orders": ("FakeOrder", "Orders"),
    "patients": ("FakePatient", "Patients"),
    "records": ("Creation", "Creations", "LedgerEntry", "OrderLedgerEntry", "ReceivedRequest"),
    "report_files": ("ReportFiles",),
    "requisitions": ("FakeRequisition", "Requisitions"),
    "server": ("SpotServer",),
    "state": ("OPERATIONS",),
}
_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names}


# On first use, since pytest imports this package, with the plugin in it, in every run of every user.
if not TYPE_CHECKING:  # a checker that saw it would take any name for one of these

    def __getattr__(name: str) -> Any:
        if name in {"factories", "faults"}:
            return import_module(f"{__name__}.{name}")
        if name in _MODULE_OF:
            return getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
