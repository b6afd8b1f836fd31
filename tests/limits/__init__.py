"""One limit for many processes, on a real server of the Redis protocol."""
