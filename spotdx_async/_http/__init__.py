"""The pipeline of a call: permit, rate limit, token, attempt, verdict and retry, one stage per file; private."""
