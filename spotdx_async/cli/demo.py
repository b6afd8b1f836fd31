"""``spotdx demo``: the main job on a fake server that misbehaves; then its ledger is compared with the input."""

from spotdx_async.cli.streams import OurScreen
from spotdx_async.errors import InvalidInputError

__all__ = ["demo"]


def demo(*, kits: int = 5000, seed: int | None = None, rate: float | None = None, streams: OurScreen) -> int:
    """Update kits on a bundled fake server that misbehaves, then compare its ledger with the input.

    Needs neither token nor network. The exit code is 0 only if every kit holds exactly its value.

    Example: spotdx demo --kits 1000 --seed 7

    Args:
        kits: How many kits to update.
        seed: Which values and troubles; the same ones for the same seed. Default: any, told at the start.
        rate: The most requests a second. Default: no limit.
        streams: Where to write; no argument of the command line.
    """
    if kits < 1:
        raise InvalidInputError("--kits must be at least 1")
    from spotdx_async.cli.demo_run import demonstrate

    return demonstrate(kits, seed, rate, streams)
