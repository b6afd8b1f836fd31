"""The stages of a call: permit, rate limit, token, attempt, verdict and repeat, one per file; private."""
