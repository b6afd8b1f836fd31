"""What the API talks about: frozen attrs classes with the vendor's field names; they know no wire rules.

Names are imported on first use: a program that reads kits makes no classes of orders.
"""

from spotdx_async._lazy import names_from

TYPE_CHECKING = False
if TYPE_CHECKING:
    from spotdx_async.models.enums import (
        Carrier,
        Country,
        KitStatus,
        OrderStatus,
        RequisitionStatus,
        SampleStatus,
        SampleType,
        Sex,
    )
    from spotdx_async.models.kits import (
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
    from spotdx_async.models.model import Model, phi_fields
    from spotdx_async.models.orders import NewOrder, Order, OrderSummary
    from spotdx_async.models.people import Address, NewPatient, Patient, PatientAddress, Recipient, Registrant
    from spotdx_async.models.reports import (
        GenotypeResult,
        QuantityResult,
        RangeLimit,
        ReactivityResult,
        Report,
        Result,
        UnknownResult,
    )
    from spotdx_async.models.requisitions import (
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

if not TYPE_CHECKING:  # a checker that saw it would take any name for one of these
    __getattr__ = names_from(
        __name__,
        {
            "models.enums": "Carrier Country KitStatus OrderStatus RequisitionStatus SampleStatus SampleType Sex",
            "models.kits": "Activation ActivationResult Kit KitEvent KitSummary RegistrationToken Sample SampleEvent "
            "Shipment",
            "models.model": "Model phi_fields",
            "models.orders": "NewOrder Order OrderSummary",
            "models.people": "Address NewPatient Patient PatientAddress Recipient Registrant",
            "models.reports": "GenotypeResult QuantityResult RangeLimit ReactivityResult Report Result UnknownResult",
            "models.requisitions": "NewRequisition Requisition RequisitionAttributes RequisitionEvent "
            "RequisitionSummary Tracking",
        },
    )


def __dir__() -> list[str]:
    return __all__
