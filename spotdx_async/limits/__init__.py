"""Limits that many clients keep together: slots come in blocks from a Redis server or from a run's own ledger."""
