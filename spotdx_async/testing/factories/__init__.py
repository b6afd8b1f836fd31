"""Models full of made-up data, one function for each, for tests of your own code.

The same number makes an equal model, a different number a different one. Nobody in them exists: names, numbers and
addresses are reserved ones.
"""

from spotdx_async.testing.factories.kits import (
    make_activation,
    make_activation_result,
    make_genotype_result,
    make_kit,
    make_kit_event,
    make_kit_summary,
    make_new_order,
    make_order,
    make_order_summary,
    make_quantity_result,
    make_reactivity_result,
    make_report,
    make_sample,
    make_sample_event,
    make_shipment,
    make_unknown_result,
)
from spotdx_async.testing.factories.people import (
    make_address,
    make_new_patient,
    make_patient,
    make_recipient,
    make_registrant,
    make_registration_token,
)
from spotdx_async.testing.factories.requisitions import (
    make_new_requisition,
    make_requisition,
    make_requisition_attributes,
    make_requisition_event,
    make_requisition_summary,
    make_tracking,
)

__all__ = [
    "make_activation",
    "make_activation_result",
    "make_address",
    "make_genotype_result",
    "make_kit",
    "make_kit_event",
    "make_kit_summary",
    "make_new_order",
    "make_new_patient",
    "make_new_requisition",
    "make_order",
    "make_order_summary",
    "make_patient",
    "make_quantity_result",
    "make_reactivity_result",
    "make_recipient",
    "make_registrant",
    "make_registration_token",
    "make_report",
    "make_requisition",
    "make_requisition_attributes",
    "make_requisition_event",
    "make_requisition_summary",
    "make_sample",
    "make_sample_event",
    "make_shipment",
    "make_tracking",
    "make_unknown_result",
]
