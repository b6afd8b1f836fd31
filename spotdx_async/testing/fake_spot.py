"""The fake server that also makes clients of itself; the only module of the fake that needs the SDK."""

from contextlib import suppress
from typing import TYPE_CHECKING, Any

from spotdx_async.testing.server import SpotServer

if TYPE_CHECKING:
    from spotdx_async import SpotClient


class FakeSpot(SpotServer):
    """A Spot API on loopback that also makes clients of itself.

    It takes the arguments of ``SpotServer``::

        async with FakeSpot() as fake:
            spot = fake.client()
            await spot.kits.update_metadata("SPOT123456", {"cohort": "A"})
            assert fake.kits["SPOT123456"].metadata == {"cohort": "A"}

    Where the caller would block the loop that it serves in, ``with`` gives it a thread of its own::

        with FakeSpot() as fake:
            asyncio.run(my_job(fake.url, fake.token))
    """

    def client(self, **options: Any) -> "SpotClient":
        """Return a client of this server, closed with the fake.

        Its connections belong to the loop that uses it: where that loop ends first, as with ``asyncio.run``, use the
        client as a context manager.

        Args:
            options: the arguments of ``SpotClient``; ``token`` and ``base_url`` default to this server's.
        """
        # Not at the top, so that importing the fake does not import the SDK.
        from spotdx_async import ConfigError, SpotClient  # noqa: PLC0415

        async def close() -> None:
            with suppress(ConfigError):  # in use in another loop, that of a thread, where its user closes it
                await client.close()

        client = SpotClient(**{"token": self.token, "base_url": self.url, **options})
        self._closing.push_async_callback(close)
        return client
