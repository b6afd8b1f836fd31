"""The journal of a bulk run: an SQLite file that tells which rows are done."""
