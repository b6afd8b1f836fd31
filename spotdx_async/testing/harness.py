"""The fake server together with clients of it: what tests and demonstrations use."""

from contextlib import suppress
from typing import TYPE_CHECKING, Any

from spotdx_async.testing.server import SpotServer

if TYPE_CHECKING:
    from spotdx_async import SpotClient

__all__ = ["FakeSpot"]


class FakeSpot(SpotServer):
    """A Spot API on loopback that also makes clients of itself.

    It takes what ``SpotServer`` takes::

        async with FakeSpot() as fake:
            spot = fake.client()
            await spot.kits.update_metadata("SPOT123456", {"cohort": "A"})
            assert fake.kits["SPOT123456"].metadata == {"cohort": "A"}

    Where that would block the loop that it serves in, ``with`` gives it a thread::

        with FakeSpot() as fake:
            asyncio.run(my_job(fake.url, fake.token))
    """

    def client(self, **options: Any) -> "SpotClient":
        """Make a client of this server, closed when the fake is closed.

        Use it as a context manager where its loop ends before that, as with ``asyncio.run``: its connections belong to
        that loop.

        Args:
            options: what ``SpotClient`` takes; ``token`` and ``base_url`` are this server's where they are not given.
        """
        # Here, not above: the other modules of the fake must not need the SDK.
        from spotdx_async import ConfigError, SpotClient  # noqa: PLC0415

        async def close() -> None:
            with suppress(ConfigError):  # in use in another loop, that of a thread: it is closed by whoever uses it
                await client.close()

        client = SpotClient(**{"token": self.token, "base_url": self.url, **options})
        self._closing.push_async_callback(close)
        return client
