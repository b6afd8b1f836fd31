"""The road of a call, one stage a file; private."""
