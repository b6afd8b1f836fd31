"""``spotdx doctor``: checks step by step that everything is set up, and says what to do where it is not."""

from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from platform import python_version

from attrs import asdict

from spotdx_async.cli.connection_checks import PATIENCE_S, Finding, check_way
from spotdx_async.cli.exit_codes import Exit, message_of, next_step, reasons_of
from spotdx_async.cli.options import HIDING, Shown, View
from spotdx_async.cli.output import OurScreen, Streams, counted
from spotdx_async.cli.settings import USUAL_SERVER, OnServer, Server, Settings
from spotdx_async.cli.token_source import TokenVariable
from spotdx_async.errors import AuthenticationError, ConfigError, DecodeError, PermissionDeniedError, SpotError

_IN_BETWEEN = (
    "something else answers in its place, such as a proxy, a sign-in page or a maintenance page: check the "
    "base_url, or try again later"
)


def doctor(*, view: Shown = HIDING, server: OnServer = USUAL_SERVER, streams: OurScreen) -> int:
    """Check that everything is set up: settings, the connection to the server, its certificate, the clock, the token.

    Each line says ok, warn or FAIL, and what to do next. The token is used for one request only, the list of kit
    types, and is never shown.

    Exit codes: 0 nothing failed; 1 something did.

    Example: spotdx doctor
    Example: spotdx doctor --profile staging --json

    Args:
        view: How to show what was found.
        server: The server.
        streams: Where to write; no argument of the command line.
    """
    findings = []
    for finding in _examine(server, view):
        findings.append(finding)
        if not view.as_json:
            _show(finding, streams)
    if view.as_json:
        streams.write_json([asdict(one) for one in findings])
    return Exit.FAILED if any(one.state == "FAIL" for one in findings) else Exit.OK


def _examine(server: Server, view: View) -> Iterator[Finding]:
    """Check one thing after another; skip what cannot work after a failure."""
    yield check_versions()
    try:
        settings = server.settings()
    except ConfigError as error:
        yield Finding("settings", "FAIL", str(error), _step_about(str(error)))
        return
    yield check_settings(settings)
    for finding in check_way(settings):
        yield finding
        if finding.state == "FAIL":
            return
    yield check_token(settings, show_phi=view.show_phi)


def _step_about(fault: str) -> str:
    """Return what to do about a fault of the settings, which begins with where the setting comes from."""
    origin = fault.partition(" ")[0].removesuffix(":")
    if origin.startswith("--") and origin != "--profile":
        return f"correct {origin}"
    if origin.startswith("SPOTDX_") and origin not in {"SPOTDX_CONFIG", "SPOTDX_PROFILE"}:
        return f"correct {origin}, or unset it"
    return "spotdx config --example shows a correct file"


def _show(finding: Finding, streams: Streams) -> None:
    colour = {"ok": "green", "warn": "yellow", "FAIL": "bold red"}[finding.state]
    streams.tell(f"{finding.check:<9} {finding.text}", marked=(f"{finding.state:<5}", colour))
    if finding.next is not None:
        streams.tell(f"{'':<15} next: {finding.next}")


def check_versions() -> Finding:
    """Report which versions are installed."""
    names = ("spotdx-async", "aiohttp", "cyclopts", "rich")
    found = ", ".join(f"{name} {_version(name)}" for name in names)
    return Finding("version", "ok", f"{found}, Python {python_version()}")


def check_settings(settings: Settings) -> Finding:
    """Report the settings in force; warn if a token in the environment overrides the profile's."""
    profile = settings.profile.value
    place = "no profile" if profile is None else f"profile {profile} ({settings.profile.origin})"
    unset = ", which is not set" if settings.token.is_empty else ""
    text = f"{place}, {settings.base_url.value} ({settings.base_url.origin}), token from {settings.token.text}{unset}"
    for name in ("ca_file", "client_cert"):
        if (one := getattr(settings, name)).value is not None:
            text += f", {name} {one.value} ({one.origin})"
    if profile is not None and settings.token.origin == "environment":
        said = settings.file.profile(profile, named_by="the profile")
        if said.token_command is not None or said.token_env not in {None, "SPOTDX_TOKEN"}:
            return Finding(
                "settings",
                "warn",
                f"{text}, although the profile names another source",
                "unset SPOTDX_TOKEN to use the profile's token",
            )
    return Finding("settings", "ok", text)


def check_token(settings: Settings, *, show_phi: bool = False) -> Finding:
    """Report whether the server accepts the token, by a harmless request."""
    source = settings.token.text
    try:
        kinds = settings.ask(lambda spot: spot.with_options(deadline_s=2 * PATIENCE_S).kits.types())
    except ConfigError as error:
        step = "run it by hand: its first line must be the token and nothing else"
        if isinstance(settings.token, TokenVariable):
            step = "export it, or name another source in a profile: spotdx config --example"
        return Finding("token", "FAIL", str(error), step)
    except AuthenticationError:
        return Finding("token", "FAIL", "the server does not accept the token (401)", f"put a valid one into {source}")
    except PermissionDeniedError as error:
        text = "the server knows the token, but does not let it list kit types (403)"
        text = "; ".join([text, *reasons_of(error, show_phi=show_phi)])
        return Finding("token", "FAIL", text, "ask the vendor for permission, or use another profile's token")
    except DecodeError as error:
        text = f"the API did not answer, so the token could not be tested: {error.args[0] if error.args else error}"
        return Finding("api", "FAIL", text, _IN_BETWEEN)
    except SpotError as error:
        text = "; ".join([message_of(error), *reasons_of(error, show_phi=show_phi)])
        return Finding("token", "FAIL", text, next_step(error) or "run the command again")
    if not kinds:
        text = "accepted, but with no kit types, an answer that could have come from something else"
        return Finding("token", "warn", text, "run the command again once the account has kit types")
    return Finding("token", "ok", f"accepted ({counted(len(kinds), 'kit type')})")


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "unknown"
