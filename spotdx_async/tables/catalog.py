"""Every table, and the rows of results of any object."""

from collections.abc import Mapping

from spotdx_async.models import Kit, Requisition
from spotdx_async.tables.kits import KIT_EVENTS, KITS, SAMPLE_EVENTS, SAMPLES, SHIPMENTS
from spotdx_async.tables.orders import ORDER_KITS, ORDERS
from spotdx_async.tables.reports import REPORTS, REQUISITION_REPORTS
from spotdx_async.tables.requisitions import REQUISITION_EVENTS, REQUISITIONS
from spotdx_async.tables.results import RESULTS, results_of
from spotdx_async.tables.schema import Table, Value

TABLES: Mapping[str, Table] = {
    table.name: table
    for table in (
        *(KITS, KIT_EVENTS, SAMPLES, SAMPLE_EVENTS, SHIPMENTS, REPORTS, RESULTS),
        *(ORDERS, ORDER_KITS),
        *(REQUISITIONS, REQUISITION_EVENTS, REQUISITION_REPORTS),
    )
}
"""Every table by its name."""


def result_rows(kit: Kit | Requisition, *, phi: bool = False) -> list[dict[str, Value]]:
    """Return the results of a kit or a requisition, one dict each, with the columns of ``TABLES["results"]``.

    They are in the server's order, report by report; an object without a report has none.

    Args:
        kit: the kit, or a requisition.
        phi: whether to fill in the columns of patient data; without it they are None.

    Raises:
        InvalidInputError: with ``phi``, a model that you built yourself holds what has no JSON form.
    """
    if isinstance(kit, Requisition):
        return RESULTS.as_dicts(results_of("requisition", kit.requisition_id, None, kit.reports, phi=phi))
    if kit.sample is None:
        return []
    return RESULTS.as_dicts(results_of("kit", kit.kit_id, kit.sample.sample_id, kit.sample.reports, phi=phi))
