"""What tests of canaries share."""

import pytest


@pytest.fixture
def everything_logged(caplog: pytest.LogCaptureFixture) -> None:
    """Log at every level, of the whole process, until the test ends."""
    caplog.set_level(1)
