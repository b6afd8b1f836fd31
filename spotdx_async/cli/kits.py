"""``spotdx kits``: update, get, reports, list, types and activate.

Only ``get`` is here: each other command is imported when it is first used, as its options take long to make.
"""

from cyclopts import App

from spotdx_async.cli.lookups import add_get

kits: App = App(
    name="kits",
    help="""Kits: set their metadata, show one, list them, list their types, activate one or many.

    Example: spotdx kits list --kit-status delivered --limit 20
    """,
)

kits.command("spotdx_async.cli.kit_updates:update", name="update")
add_get(kits, "kits", lambda spot: spot.kits.get, "SPOT123456", "SPOT123456 SPOT234567", "- --json --rate 20 < ids.txt")
kits.command("spotdx_async.cli.report_files:reports", name="reports")
kits.command("spotdx_async.cli.kit_lists:list_kits", name="list")
kits.command("spotdx_async.cli.kit_lists:types", name="types")
kits.command("spotdx_async.cli.activations:activate", name="activate")
