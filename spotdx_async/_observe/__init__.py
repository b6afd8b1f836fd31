"""How observers are told what happens, and what is kept from error trackers; private."""
