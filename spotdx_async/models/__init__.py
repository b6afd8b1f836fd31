"""What the server speaks of: frozen attrs classes that know no wire rules, fields named as in the vendor's contract."""

from .enums import Carrier, Country, KitStatus, OrderStatus, RequisitionStatus, SampleStatus, SampleType, Sex
from .kits import Kit, KitEvent, KitSummary, Sample, SampleEvent, Shipment
from .model import Model
from .orders import NewOrder, Order, OrderSummary
from .people import Address, NewPatient, Patient, PatientAddress, Recipient, Registrant
from .privacy import phi_fields
from .registration import Activation, ActivationResult, RegistrationToken
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
