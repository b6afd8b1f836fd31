"""``spotdx doctor``: looks whether everything is in place, step by step, and says what to do where it is not."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from spotdx_async.cli.exit_codes import Exit
from spotdx_async.cli.options import USUAL_SERVER, Json, OnServer, Server
from spotdx_async.cli.streams import OurScreen, Streams
from spotdx_async.errors import ConfigError

if TYPE_CHECKING:
    from spotdx_async.cli.doctor_checks import Finding

__all__ = ["doctor"]


def doctor(*, as_json: Json = False, server: OnServer = USUAL_SERVER, streams: OurScreen) -> int:
    """Look whether everything is in place: settings, the way to the server, its certificate, the clock, the token.

    Each line says ok, warn or FAIL, and what to do next. The only thing asked of the server with the token is its list
    of kit types. The token is never shown.

    Exit codes: 0 nothing failed; 1 something did.

    Example: spotdx doctor
    Example: spotdx doctor --profile staging --json

    Args:
        as_json: Write one JSON array.
        server: The server.
        streams: Where to write; no argument of the command line.
    """
    findings = []
    for finding in _examine(server):
        findings.append(finding)
        if not as_json:
            _tell(finding, streams)
    if as_json:
        streams.write_json(
            [{"check": one.check, "state": one.state, "text": one.text, "next": one.next} for one in findings]
        )
    return Exit.FAILED if any(one.state == "FAIL" for one in findings) else Exit.OK


def _examine(server: Server) -> "Iterator[Finding]":
    """Check one thing after the other; what cannot work after a failure is not tried."""
    from spotdx_async.cli.doctor_checks import Finding, check_settings, check_token, check_versions, check_way

    yield check_versions()
    try:
        settings = server.settle()
    except ConfigError as error:
        yield Finding("settings", "FAIL", str(error), "spotdx config --example shows a file that is right")
        return
    yield check_settings(settings)
    for finding in check_way(settings.base_url.value):
        yield finding
        if finding.state == "FAIL":
            return
    yield check_token(settings)


def _tell(finding: "Finding", streams: Streams) -> None:
    colour = {"ok": "green", "warn": "yellow", "FAIL": "bold red"}[finding.state]
    streams.tell(f"{finding.check:<9} {finding.text}", marked=(f"{finding.state:<5}", colour))
    if finding.next is not None:
        streams.tell(f"{'':<15} next: {finding.next}")
