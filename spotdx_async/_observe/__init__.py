"""How observers learn what happens, and what is kept from error trackers; private."""
