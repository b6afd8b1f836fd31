"""What the API talks about: frozen attrs classes with the vendor's field names; they know no wire rules."""

from .enums import Carrier, Country, KitStatus, OrderStatus, RequisitionStatus, SampleStatus, SampleType, Sex
from .kits import (
    Activation,
    ActivationResult,
    Kit,
    KitEvent,
    KitSummary,
    RegistrationToken,
    Sample,
    SampleEvent,
    Shipment,
)
from .model import Model, phi_fields
from .orders import NewOrder, Order, OrderSummary
from .people import Address, NewPatient, Patient, PatientAddress, Recipient, Registrant
from .reports import GenotypeResult, QuantityResult, RangeLimit, ReactivityResult, Report, Result, UnknownResult
from .requisitions import (
    NewRequisition,
    Requisition,
    RequisitionAttributes,
    RequisitionEvent,
    RequisitionSummary,
    Tracking,
)

__all__ = [
    "Activation",
    "ActivationResult",
    "Address",
    "Carrier",
    "Country",
    "GenotypeResult",
    "Kit",
    "KitEvent",
    "KitStatus",
    "KitSummary",
    "Model",
    "NewOrder",
    "NewPatient",
    "NewRequisition",
    "Order",
    "OrderStatus",
    "OrderSummary",
    "Patient",
    "PatientAddress",
    "QuantityResult",
    "RangeLimit",
    "ReactivityResult",
    "Recipient",
    "Registrant",
    "RegistrationToken",
    "Report",
    "Requisition",
    "RequisitionAttributes",
    "RequisitionEvent",
    "RequisitionStatus",
    "RequisitionSummary",
    "Result",
    "Sample",
    "SampleEvent",
    "SampleStatus",
    "SampleType",
    "Sex",
    "Shipment",
    "Tracking",
    "UnknownResult",
    "phi_fields",
]
