"""Kits, orders and requisitions as rows of tables, without a database.

Pure: nothing is read, written or asked. Equal objects make equal rows. Without ``phi`` the columns that are marked as
safe decide what is written, and nothing that names a patient is.
"""
