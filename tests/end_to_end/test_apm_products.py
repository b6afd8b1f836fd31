"""Beside the real Sentry, Datadog and Elastic, which patch aiohttp: what goes out, and what is known of it."""

import json
import os
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
# A folder of their own, since their entry points would otherwise load into every pytest here.
PACKAGES = ROOT / ".venv" / "apm"
OURS = {
    "accept",
    "accept-encoding",
    "authorization",
    "cache-control",
    "connection",
    "content-length",
    "content-type",
    "host",
    "user-agent",
}
THEIRS = {"sentry": "sentry-trace", "datadog": "x-datadog-trace-id", "elastic": "traceparent"}
SILENT = {
    "DD_INSTRUMENTATION_TELEMETRY_ENABLED": "false",
    "DD_REMOTE_CONFIGURATION_ENABLED": "false",
    "DD_TRACE_AGENT_URL": "http://127.0.0.1:9",
}

pytestmark = [
    pytest.mark.skipif(
        not PACKAGES.exists() and "SPOTDX_NEED_APM" not in os.environ,
        reason="the group apm is not installed into .venv/apm, as `make test` does",
    ),
    pytest.mark.parametrize("aiohttp_release", ["known", "unknown"]),
    pytest.mark.parametrize("product", THEIRS),
]


@cache
def seen_beside(product: str, aiohttp_release: str) -> dict[str, Any]:
    done = subprocess.run(  # noqa: S603 - our own program
        [sys.executable, "-m", "tests.end_to_end.apm_products", product, aiohttp_release],
        cwd=ROOT,
        env={**os.environ, **SILENT, "PYTHONPATH": f"{ROOT}{os.pathsep}{PACKAGES}"},
        stdout=subprocess.PIPE,
        timeout=120,
        check=True,
    )
    return json.loads(done.stdout)  # type: ignore[no-any-return]


def test_our_own_sessions_send_our_headers_alone_and_tell_of_no_url(product: str, aiohttp_release: str) -> None:
    own = seen_beside(product, aiohttp_release)["own"]

    assert set(own["headers"]) == OURS
    assert "robin" not in own["told"]
    assert "SPOT123456" not in own["told"]


def test_a_callers_session_is_the_products(product: str, aiohttp_release: str) -> None:
    callers = seen_beside(product, aiohttp_release)["callers"]

    assert {*callers["headers"]} > OURS
    assert THEIRS[product] in callers["headers"]
    assert "SPOT123456" in callers["told"]


def test_a_callers_session_may_send_what_must_not_be_repeated(product: str, aiohttp_release: str) -> None:
    ends = seen_beside(product, aiohttp_release)["ends"]

    assert ends == {"refused": "NotSentError", "dropped": "OutcomeUnknownError", "executed": 1}
