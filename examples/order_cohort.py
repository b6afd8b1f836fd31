"""Order kits for a cohort: from a CSV file to tracking numbers, each order placed once, whatever happens meanwhile.

To try it:

    $ pip install '.[cli]'    # in a checkout, as docs/install.md says
    $ spotdx sandbox --port 8123 --ship-after 20    # in another terminal; then set the two variables that it prints
    $ python examples/order_cohort.py cohort-7 cohort.csv

Kill it, and give the same command again: it goes on with ``cohort-7.journal``, and then tells what was shipped.
Exit codes: 0 everything is placed, 1 rows are left over or in doubt, 3 stopped: give the same command again.
"""

import asyncio
import csv
import json
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

from spotdx_async import BulkStopped, NewOrder, NewOrderRow, RateLimit, SpotClient, loads, read_journal


def read(path: Path) -> Iterator[NewOrderRow]:
    """Yield the orders one by one, each with the key that the list gives it."""
    with path.open(newline="", encoding="utf-8") as file:
        for line in csv.DictReader(file):
            street = {"street1": line["street1"], "street2": line["street2"] or None}
            town = {name: line[name] for name in ("city", "state", "country", "zip")}
            person = {name: line[name] for name in ("first_name", "last_name", "email", "phone")}
            order = {
                "kit_types": line["kit_types"].split(";"),
                "recipient": {**person, "address": {**street, **town}},
                "metadata": {"site": line["metadata.site"]},
            }
            yield NewOrderRow(line["key"], loads(json.dumps(order), NewOrder), source=line["key"])


async def place(spot: SpotClient, batch: str, path: Path) -> tuple[dict[str, str], bool]:
    """Place all orders; return the key of each by its id, and whether nothing is left to do."""
    keys: dict[str, str] = {}
    is_all_done, journal = True, f"{batch}.journal"
    run = spot.orders.create_many(read(path), batch=batch, journal=journal)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, run.stop)  # what is under way is finished
    async with run:
        async for outcome in run:
            if outcome.object_id is not None:  # placed, now or in an earlier session
                keys[outcome.object_id] = outcome.source
            if not outcome.is_done:
                is_all_done = False
                print(f"{outcome.source}: {outcome.state}: {outcome.error}")
    for one, other in run.duplicates:
        print(f"placed twice: {one} and {other}; ask the vendor to cancel one")
    return keys, is_all_done and not run.duplicates and read_journal(journal).ending == "complete"


async def main(batch: str, path: Path) -> int:
    """Place the orders, then tell their tracking numbers."""
    async with SpotClient(rate_limit=RateLimit(20)) as spot:
        try:
            keys, is_all_done = await place(spot, batch, path)
        except BulkStopped as stopped:
            print(stopped)
            return 3
        async with spot.orders.get_many([*keys]) as run:
            async for outcome in run:
                kits = outcome.value.kits if outcome.value else ()
                parcels = [kit.shipment_to_customer for kit in kits if kit.shipment_to_customer]
                print(keys[outcome.key or ""], *[parcel.tracking_number for parcel in parcels] or ["not shipped yet"])
    return 0 if is_all_done else 1


if __name__ == "__main__":
    sys.exit(asyncio.run(main(sys.argv[1], Path(sys.argv[2]))))
