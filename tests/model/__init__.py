"""A model of the server, its network and the callers: what the SDK promises, held over thousands of random runs."""
