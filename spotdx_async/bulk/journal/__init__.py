"""The journal of a bulk run: an SQLite file that records which rows are done."""
