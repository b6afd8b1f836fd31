"""Kits, orders and requisitions as rows of tables, without a database.

Pure: nothing is read, written or asked. Equal objects make equal rows. Without ``phi`` the columns that are marked as
safe decide what is written, and nothing that names a patient is.
"""

from spotdx_async._lazy import names_from

TYPE_CHECKING = False
if TYPE_CHECKING:
    from spotdx_async.tables.catalog import TABLES, result_rows
    from spotdx_async.tables.cells import Pseudonym
    from spotdx_async.tables.kits import kit_rows
    from spotdx_async.tables.orders import order_rows
    from spotdx_async.tables.requisitions import requisition_rows
    from spotdx_async.tables.schema import Column, ColumnType, Row, Table, Value

__all__ = [
    "TABLES",
    "Column",
    "ColumnType",
    "Pseudonym",
    "Row",
    "Table",
    "Value",
    "kit_rows",
    "order_rows",
    "requisition_rows",
    "result_rows",
]

if not TYPE_CHECKING:
    __getattr__ = names_from(
        __name__,
        {
            "tables.catalog": "TABLES result_rows",
            "tables.cells": "Pseudonym",
            "tables.kits": "kit_rows",
            "tables.orders": "order_rows",
            "tables.requisitions": "requisition_rows",
            "tables.schema": "Column ColumnType Row Table Value",
        },
    )
