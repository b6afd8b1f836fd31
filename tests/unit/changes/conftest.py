"""What all tests of feeds stand on."""

from collections.abc import Iterator

import pytest

from tests.model.creates_server import client_clock


@pytest.fixture(autouse=True)
def _clock_of_the_world() -> Iterator[None]:
    """Let our wall clock go with the virtual time of the server."""
    with client_clock(0.0):
        yield
