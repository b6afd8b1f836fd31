"""Settings: what is taken, what is refused, and that nothing secret is shown."""

import math
from collections.abc import Callable
from decimal import Decimal
from functools import partial
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spotdx_async._http.transport import Transport
from spotdx_async.config import (
    PRODUCTION_URL,
    AdaptiveRateLimit,
    CallOptions,
    Limiter,
    RateLimit,
    RetryPolicy,
    check_base_url,
    check_count,
    check_token,
    token_from_environment,
)
from spotdx_async.errors import ConfigError, InvalidInputError

NO_NUMBERS: list[Any] = [
    True,
    False,
    math.nan,
    math.inf,
    -math.inf,
    "1",
    "",
    b"1",
    [1],
    {},
    object(),
    1j,
    Decimal(1),
    10**400,
]
NO_COUNTS: list[Any] = [*NO_NUMBERS[:-1], 0, -1, 1.0, 1.5, None]
NOT_POSITIVE: list[Any] = [*NO_NUMBERS, 0, 0.0, -1, -0.001]
NEGATIVE: list[Any] = [*NO_NUMBERS, -1, -0.001]


def refusing(make: Callable[..., Any], name: str, values: list[Any]) -> list[Any]:
    return [pytest.param(make, name, bad, id=f"{name}={bad!r:.20}") for bad in values]


@pytest.mark.parametrize(
    ("make", "name", "bad"),
    [
        *refusing(RateLimit, "rate", [*NOT_POSITIVE, None]),
        *refusing(partial(RateLimit, 1), "per_s", [*NOT_POSITIVE, None]),
        *refusing(partial(RateLimit, 1), "burst", [*NEGATIVE, 0, 0.999]),
        *refusing(AdaptiveRateLimit, "start", [*NOT_POSITIVE, None, 0.4]),
        *refusing(AdaptiveRateLimit, "floor", [*NOT_POSITIVE, None, 1e-320, 10.1]),
        *refusing(AdaptiveRateLimit, "ceiling", [*NOT_POSITIVE, 9.9]),
        *refusing(RetryPolicy, "base_s", [*NEGATIVE, None]),
        *refusing(RetryPolicy, "throttle_base_s", [*NEGATIVE, None]),
        *refusing(RetryPolicy, "cap_s", [*NEGATIVE, None]),
        *refusing(RetryPolicy, "max_attempts", NO_COUNTS),
        *refusing(RetryPolicy, "budget", ["no", 1, 0, None, math.nan]),
        *refusing(CallOptions, "timeout_s", [*NOT_POSITIVE, None]),
        *refusing(CallOptions, "deadline_s", NOT_POSITIVE),
        *refusing(CallOptions, "max_wait_s", NEGATIVE),
        *refusing(CallOptions, "retry", [None, 3, RetryPolicy, {}]),
    ],
)
def test_a_bad_setting_is_refused_by_name(make: Callable[..., Any], name: str, bad: object) -> None:
    with pytest.raises(ConfigError, match=name) as caught:
        make(**{name: bad})

    assert caught.value.__cause__ is None


@pytest.mark.parametrize(
    ("make", "good"),
    [
        (RateLimit, {"rate": 1}),
        (RateLimit, {"rate": 0.01, "per_s": 3600, "burst": 1}),
        (RateLimit, {"rate": 50.5, "burst": 1.5}),
        (AdaptiveRateLimit, {"start": 0.5, "floor": 0.5, "ceiling": 0.5}),
        (AdaptiveRateLimit, {"start": 500, "floor": 1, "ceiling": 1000.0}),
        (RetryPolicy, {"max_attempts": 1, "base_s": 0, "throttle_base_s": 0.0, "cap_s": 0, "budget": False}),
        (CallOptions, {"timeout_s": 0.001, "deadline_s": 1, "max_wait_s": 0}),
        (CallOptions, {"deadline_s": None, "max_wait_s": None}),
    ],
)
def test_a_good_setting_is_kept(make: Callable[..., Any], good: dict[str, Any]) -> None:
    made = make(**good)

    assert {name: getattr(made, name) for name in good} == good


def test_the_defaults_are_the_promised_ones() -> None:
    assert attrs.asdict(RetryPolicy()) == {
        "max_attempts": 4,
        "base_s": 0.05,
        "throttle_base_s": 1.0,
        "cap_s": 20.0,
        "budget": True,
    }
    assert CallOptions() == CallOptions(timeout_s=30.0, deadline_s=None, retry=RetryPolicy(), max_wait_s=None)
    assert (RateLimit(5).per_s, RateLimit(5).burst) == (1.0, None)
    assert AdaptiveRateLimit() == AdaptiveRateLimit(start=10.0, floor=0.5, ceiling=None)


@pytest.mark.parametrize("settings", [RateLimit(1), AdaptiveRateLimit(), RetryPolicy(), CallOptions()])
def test_settings_cannot_be_changed(settings: object) -> None:
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        settings.rate = 2  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("limit", "burst"),
    [
        (RateLimit(1), 1),
        (RateLimit(10), 1),
        (RateLimit(25), 2.5),
        (RateLimit(50), 5),
        (RateLimit(100), 10),
        (RateLimit(5000), 10),
        (RateLimit(60, per_s=60), 1),
        (RateLimit(3000, per_s=60), 5),
        (RateLimit(1, burst=7), 7),
    ],
)
def test_the_burst_is_a_tenth_of_a_second_between_one_and_ten(limit: RateLimit, burst: float) -> None:
    assert limit.burst_size == pytest.approx(burst)


@given(
    st.floats(min_value=0, exclude_min=True, allow_infinity=False),
    st.floats(min_value=0, exclude_min=True, allow_infinity=False),
)
def test_a_rate_beyond_what_floats_can_count_is_refused_and_not_wrong(rate: float, per_s: float) -> None:
    try:
        limit = RateLimit(rate, per_s)
    except ConfigError:
        return

    assert 0 < limit.interval_s < math.inf
    assert 1 <= limit.burst_size <= 10


class Paced:
    async def acquire(self) -> None: ...

    def pause(self, seconds: float) -> None: ...


def test_any_object_that_paces_is_a_limiter() -> None:
    assert isinstance(Paced(), Limiter)
    assert not isinstance(object(), Limiter)


@pytest.mark.parametrize("bad", NO_COUNTS, ids=lambda bad: f"{bad!r:.20}")
def test_a_count_is_a_whole_number_of_at_least_one(bad: object) -> None:
    with pytest.raises(InvalidInputError, match="concurrency must be a whole number of at least 1"):
        check_count("concurrency", bad, error=InvalidInputError)


def test_a_good_count_comes_back() -> None:
    assert check_count("concurrency", 10**30) == 10**30


# Tokens


@pytest.mark.parametrize("bad", ["", None, 5, b"token", ["token"]])
def test_what_is_no_text_is_no_token(bad: object) -> None:
    with pytest.raises(ConfigError, match="token"):
        check_token(bad)


@given(st.text(min_size=1).filter(lambda text: any(not "!" <= char <= "~" for char in text)))
def test_a_token_that_no_header_can_carry_is_refused_unseen(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        check_token(f"canary{text}")

    assert "canary" not in f"{caught.value!r}{caught.value.args}"


@given(st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1))
def test_a_token_of_visible_ascii_comes_back(text: str) -> None:
    assert check_token(text) == text


def test_the_token_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPOTDX_TOKEN", "from-environment")

    assert token_from_environment() == "from-environment"


def test_a_missing_token_is_told_with_the_way_to_give_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SPOTDX_TOKEN", raising=False)

    with pytest.raises(ConfigError, match=r"no token: pass token= or set .* SPOTDX_TOKEN"):
        token_from_environment()


@pytest.mark.parametrize("bad", ["", "canary with spaces", "canary\n", "canary\u00e9"])
def test_a_bad_token_in_the_environment_is_refused_unseen(monkeypatch: pytest.MonkeyPatch, bad: str) -> None:
    monkeypatch.setenv("SPOTDX_TOKEN", bad)

    with pytest.raises(ConfigError) as caught:
        token_from_environment()

    assert "canary" not in repr(caught.value)


# Addresses


@pytest.mark.parametrize(
    ("given_url", "url"),
    [
        ("https://app.spotdx.com", "https://app.spotdx.com"),
        ("https://app.spotdx.com/", "https://app.spotdx.com"),
        ("https://app.spotdx.com//", "https://app.spotdx.com"),
        ("HTTPS://App.Spotdx.com", "HTTPS://App.Spotdx.com"),
        ("https://proxy.example:8443/spot/v1/", "https://proxy.example:8443/spot/v1"),
        ("https://10.0.0.1", "https://10.0.0.1"),
        ("https://[2001:db8::1]:8443", "https://[2001:db8::1]:8443"),
        ("https://xn--bcher-kva.example", "https://xn--bcher-kva.example"),
        ("https://under_score.example.", "https://under_score.example."),
        ("http://localhost", "http://localhost"),
        ("http://LOCALHOST:1", "http://LOCALHOST:1"),
        ("http://127.0.0.1:65535", "http://127.0.0.1:65535"),
        ("http://127.255.255.254", "http://127.255.255.254"),
        ("http://[::1]:8080/", "http://[::1]:8080"),
    ],
)
def test_a_good_address_comes_back_without_its_last_slash(given_url: str, url: str) -> None:
    assert check_base_url(given_url) == url


@pytest.mark.parametrize(
    "bad",
    [
        "",
        "/",
        "canary",
        "app.canary.com",
        "//app.canary.com",
        "https:",
        "https://",
        "https:///canary",
        "https:/canary.com",
        "https:canary.com",
        "https://:8443/canary",
        "ftp://canary.com",
        "file:///canary",
        "ws://localhost",
        "http+unix://canary",
        "unix://canary",
        "javascript:canary",
        "https://canary.com:port",
        "https://canary.com:-1",
        "https://canary.com:65536",
        "https://canary.com:8443:1",
        "https://canary com",
        " https://canary.com",
        "https://canary.com ",
        "https://canary.com\n",
        "https://canary.com\t",
        "https://canary.com/\x00",
        "https://b\u00fccher.canary",
        "https://canary.com/\u20ac",
        "https://[::1",
        "https://::1",
        "https://[canary]",
        "https://[::1]canary.com",
        "https://[::1]]",
        "https://canary..com",
        "https://.canary.com",
        "https://canary\\@evil.com",
        "https://canary%2ecom",
        "https://canary|com",
        'https://"canary"',
        "https://canary<x>",
        "https://canary,com",
        f"https://{'canary' * 50}.com",
    ],
)
def test_what_is_no_address_of_a_server_is_refused_unseen(bad: str) -> None:
    with pytest.raises(ConfigError, match="base_url") as caught:
        check_base_url(bad)

    assert "canary" not in repr(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None


@pytest.mark.parametrize(
    "bad",
    [
        "http://app.spotdx.com",
        "http://10.0.0.1",
        "http://192.168.0.1:8080",
        "http://0.0.0.0",
        "http://128.0.0.1",
        "http://126.255.255.255",
        "http://[::]",
        "http://[::2]",
        "http://[fe80::1]",
        "http://localhost.evil.com",
        "http://localhost.",
        "http://127.0.0.1.evil.com",
        "http://127.1",
        "http://2130706433",
        "http://0x7f000001",
        "http://0177.0.0.1",
        "http://127.0.0.1@evil.com",
        "http://evil.com#@127.0.0.1",
        "http://evil.com?@127.0.0.1",
        "http://evil.com\\@127.0.0.1",
        "http://127.0.0.1\\@evil.com",
        "http://[::1]evil.com",
        "http://[::1%25eth0]",
    ],
)
def test_http_is_for_loopback_alone(bad: str) -> None:
    with pytest.raises(ConfigError, match="base_url"):
        check_base_url(bad)


@pytest.mark.parametrize(
    "bad",
    [
        "https://user@app.spotdx.com",
        "https://user:canary@app.spotdx.com",
        "https://@app.spotdx.com",
        "https://:canary@app.spotdx.com",
        "http://user:canary@127.0.0.1",
        "https://app.spotdx.com?canary=1",
        "https://app.spotdx.com/?",
        "https://app.spotdx.com/#canary",
        "https://app.spotdx.com#",
    ],
)
def test_an_address_carries_no_user_query_or_fragment(bad: str) -> None:
    with pytest.raises(ConfigError, match="base_url") as caught:
        check_base_url(bad)

    assert "canary" not in repr(caught.value)


@pytest.mark.parametrize("bad", [5, b"https://app.spotdx.com", ["https://app.spotdx.com"], True])
def test_an_address_is_a_string(bad: Any) -> None:
    with pytest.raises(ConfigError, match="base_url must be a string"):
        check_base_url(bad)


@given(st.text(st.sampled_from("ahx019.:/@[]%\\-_,;?#*|<>^`{}\"'+=&!~$()"), max_size=12))
def test_an_address_that_passes_is_one_that_the_transport_takes(rest: str) -> None:
    for scheme in ("https://", "https://a", "http://localhost", "http://127.0.0.1", "http://[::1]"):
        try:
            url = check_base_url(scheme + rest)
        except ConfigError:
            continue
        Transport(url, max_body_bytes=1, user_agent="test")


def test_the_environment_gives_the_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPOTDX_BASE_URL", "http://127.0.0.1:8080/")

    assert check_base_url(None) == "http://127.0.0.1:8080"


def test_an_empty_address_in_the_environment_is_refused_since_another_server_was_meant(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SPOTDX_BASE_URL", "")

    with pytest.raises(ConfigError, match="SPOTDX_BASE_URL is empty"):
        check_base_url(None)
    assert check_base_url("https://example.com") == "https://example.com"


@pytest.mark.parametrize("path", ["/api/v2", "/api/v2/", "/API/v2", "/spot/api/v3", "/api/v2/kits/", "//api/v2//"])
def test_the_path_that_each_request_adds_is_refused(path: str) -> None:
    with pytest.raises(ConfigError, match="base_url must end before /api/v2, which is added to it"):
        check_base_url(f"https://app.spotdx.com{path}")


@pytest.mark.parametrize("path", ["", "/api", "/spot/api", "/api/vendor", "/v2", "/myapi/v2"])
def test_another_path_is_a_gateways(path: str) -> None:
    assert check_base_url(f"https://example.com{path}") == f"https://example.com{path}"


def test_without_one_it_is_the_production_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SPOTDX_BASE_URL", raising=False)

    assert check_base_url(None) == PRODUCTION_URL == "https://app.spotdx.com"


def test_a_bad_address_in_the_environment_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPOTDX_BASE_URL", "http://app.spotdx.com")

    with pytest.raises(ConfigError, match="https"):
        check_base_url(None)


def test_an_address_that_is_given_goes_before_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPOTDX_BASE_URL", "http://app.spotdx.com")

    assert check_base_url("https://app.spotdx.com") == "https://app.spotdx.com"
