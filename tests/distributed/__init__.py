"""Runs on an existing engine: shards, their reports, leases, and Dask itself."""
