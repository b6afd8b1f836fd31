"""``spotdx config``: the settings in force and where each comes from, or an example of a settings file."""

from typing import Any

from spotdx_async.cli.exit_codes import Exit
from spotdx_async.cli.options import USUAL_SERVER, Flag, Json, OnServer
from spotdx_async.cli.settings import Setting, Settings
from spotdx_async.cli.streams import OurScreen

__all__ = ["config", "settings_in_words"]


def config(*, example: Flag = False, as_json: Json = False, server: OnServer = USUAL_SERVER, streams: OurScreen) -> int:
    """Show the settings in force, and where each comes from. The token itself is never shown.

    An option on the line comes before the environment (SPOTDX_BASE_URL, SPOTDX_TOKEN), and that before a profile of the
    settings file. The file is ~/.config/spotdx/config.toml, or the one that SPOTDX_CONFIG names. It holds profiles,
    each with base_url, rate, concurrency, timeout, and where the token comes from: token_env or token_command.

    Example: spotdx config --profile staging
    Example: mkdir -p ~/.config/spotdx && spotdx config --example > ~/.config/spotdx/config.toml

    Args:
        example: Print an example of a settings file instead.
        as_json: Write one JSON object.
        server: The server.
        streams: Where to write; no argument of the command line.
    """
    if example:
        from spotdx_async.cli.settings_file import EXAMPLE

        streams.out.write_raw(EXAMPLE)
        return Exit.OK
    settings = server.settle()
    if as_json:
        streams.write_json({name: {"value": value, "from": origin} for name, value, origin in _figures(settings)})
        return Exit.OK
    from spotdx_async.cli.tables import plain_table

    streams.show(plain_table(("setting", "value", "from"), settings_in_words(settings)))
    return Exit.OK


def settings_in_words(settings: Settings) -> list[tuple[str, str, str]]:
    """Give each setting with its value and its origin, as they are shown."""
    rows = []
    for name, value, origin in _figures(settings):
        usual = {"rate": "no limit"}.get(name, "none")
        unit = {"rate": " a second", "timeout": " s"}.get(name, "")
        rows.append((name, usual if value is None else f"{value:g}{unit}" if unit else str(value), origin))
    return rows


def _figures(settings: Settings) -> list[tuple[str, Any, str]]:
    path, token = settings.file.path, settings.token
    facts: list[tuple[str, Setting[Any]]] = [
        ("file", Setting(None if path is None else str(path), _where_files_are(settings))),
        ("profile", settings.profile),
        ("base_url", settings.base_url),
        ("rate", settings.rate),
        ("concurrency", settings.concurrency),
        ("timeout", settings.timeout_s),
        ("token", Setting(f"{token.text}{' (not set)' if token.is_empty else ''}", token.origin)),
    ]
    return [(name, setting.value, setting.origin) for name, setting in facts]


def _where_files_are(settings: Settings) -> str:
    from spotdx_async.cli.settings_file import find_file

    if settings.file.path is not None:
        return f"it has {', '.join(settings.file.profiles) or 'no profiles'}"
    place = find_file()
    return "switched off by SPOTDX_CONFIG" if place is None else f"it would be {place}"
