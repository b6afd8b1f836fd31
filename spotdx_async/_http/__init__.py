"""The way of a call: permit, rate limit, token, attempt, verdict and repeat, one stage a file; private."""
