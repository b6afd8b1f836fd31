"""An asyncio client for the Spot home-testing API."""
