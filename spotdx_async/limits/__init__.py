"""Limits that many clients share: slots come in blocks from a Redis server or from a run's own ledger."""
