"""What the server speaks of: frozen attrs classes that know no wire rules, fields named as in the vendor's contract."""

from .enums import Carrier, KitStatus, SampleStatus, SampleType, Sex
from .kits import Kit, KitEvent, KitSummary, Sample, SampleEvent, Shipment
from .model import Model
from .orders import Address, Country, Order, OrderStatus, Recipient
from .people import Registrant
from .privacy import phi_fields
from .reports import (
    GenotypeResult,
    QuantityResult,
    RangeLimit,
    ReactivityResult,
    Report,
    Result,
    UnknownResult,
)

__all__ = [
    "Address",
    "Carrier",
    "Country",
    "GenotypeResult",
    "Kit",
    "KitEvent",
    "KitStatus",
    "KitSummary",
    "Model",
    "Order",
    "OrderStatus",
    "QuantityResult",
    "RangeLimit",
    "ReactivityResult",
    "Recipient",
    "Registrant",
    "Report",
    "Result",
    "Sample",
    "SampleEvent",
    "SampleStatus",
    "SampleType",
    "Sex",
    "Shipment",
    "UnknownResult",
    "phi_fields",
]
