"""Options before the environment, that before a profile, that before what is usual; and who has said what."""

from pathlib import Path
from typing import Any

import pytest

from spotdx_async import ConfigError
from spotdx_async.cli.settings import Server, Setting, Settings

FILE = """
profile = "usual"
[profiles.usual]
base_url = "https://usual.example.com"
rate = 5
concurrency = 6
timeout = 7
token_env = "USUAL_TOKEN"
[profiles.other]
base_url = "https://other.example.com"
token_command = ["show-token"]
[profiles.bare]
"""


@pytest.fixture(autouse=True)
def settings_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "config.toml"
    path.write_text(FILE)
    monkeypatch.setenv("SPOTDX_CONFIG", str(path))
    for name in ("SPOTDX_BASE_URL", "SPOTDX_TOKEN", "SPOTDX_PROFILE", "USUAL_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    return path


def said(settings: Settings, name: str) -> tuple[Any, str]:
    setting: Setting[Any] = getattr(settings, name)
    return setting.value, setting.origin


def test_an_option_comes_before_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPOTDX_BASE_URL", "https://environment.example.com")

    found = Server(base_url="https://option.example.com/", timeout_s=1).settings(rate=2, concurrency=3)

    assert said(found, "base_url") == ("https://option.example.com", "--base-url")
    assert said(found, "timeout_s") == (1, "--timeout")
    assert said(found, "rate") == (2, "--rate")
    assert said(found, "concurrency") == (3, "--concurrency")


def test_the_environment_comes_before_a_profile(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPOTDX_BASE_URL", "https://environment.example.com")
    monkeypatch.setenv("SPOTDX_TOKEN", "t")

    found = Server(profile="other").settings()

    assert said(found, "base_url") == ("https://environment.example.com", "SPOTDX_BASE_URL")
    assert (found.token.text, found.token.origin) == ("the environment variable SPOTDX_TOKEN", "environment")


def test_a_profile_comes_before_what_is_usual() -> None:
    found = Server().settings()

    assert said(found, "base_url") == ("https://usual.example.com", "profile usual")
    assert [said(found, name)[0] for name in ("rate", "concurrency", "timeout_s")] == [5, 6, 7]
    assert (found.token.text, found.token.origin) == ("the environment variable USUAL_TOKEN", "profile usual")


def test_what_nobody_says_is_as_usual() -> None:
    found = Server(profile="bare").settings()

    assert said(found, "base_url") == ("https://app.spotdx.com", "default")
    assert [said(found, name) for name in ("rate", "concurrency", "timeout_s")] == [
        (None, "default"),
        (64, "default"),
        (30.0, "default"),
    ]
    assert found.name == "the production server"
    assert found.token.origin == "default"


def test_the_profile_is_named_by_the_option_then_the_environment_then_the_file(
    settings_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert said(Server().settings(), "profile") == ("usual", str(settings_file))
    monkeypatch.setenv("SPOTDX_PROFILE", "other")
    assert said(Server().settings(), "profile") == ("other", "SPOTDX_PROFILE")
    assert said(Server(profile="bare").settings(), "profile") == ("bare", "--profile")


def test_a_wrong_address_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPOTDX_BASE_URL", "http://example.org")
    with pytest.raises(ConfigError, match="must use https"):
        Server().settings()


async def test_the_token_of_a_profile_is_what_the_client_sends(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(
        ConfigError, match="no token: set the environment variable USUAL_TOKEN, which profile usual names"
    ):
        Server().settings().client()
    monkeypatch.setenv("USUAL_TOKEN", "tok-en")
    async with Server().settings().client() as spot:
        assert spot.stats.rate == 5


@pytest.mark.parametrize(
    ("options", "limits", "reason"),
    [
        ({"timeout_s": 0}, {}, "--timeout must be a number above 0"),
        ({"timeout_s": float("nan")}, {}, "--timeout must be a number above 0"),
        ({}, {"rate": 0}, "--rate must be a number above 0"),
        ({}, {"rate": 1e-320}, "--rate: rate and per_s are too far apart"),
        ({}, {"concurrency": 0}, "--concurrency must be a whole number of at least 1"),
    ],
)
def test_a_value_out_of_range_is_refused_before_it_is_used(
    options: dict[str, Any], limits: dict[str, Any], reason: str
) -> None:
    with pytest.raises(ConfigError, match=reason):
        Server(**options).settings(**limits)


def test_settings_of_our_own_server_ask_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPOTDX_BASE_URL", "https://environment.example.com")

    ours = Settings.for_server("http://127.0.0.1:1", "made-up", rate=9)

    assert (ours.base_url.value, ours.rate.value, ours.concurrency.value) == ("http://127.0.0.1:1", 9, 64)
    assert "made-up" not in repr(ours)


def test_more_requests_in_flight_than_make_sense_are_refused() -> None:
    assert Server().settings(concurrency=1000).concurrency.value == 1000
    with pytest.raises(ConfigError, match="--concurrency: at most 1,000 requests can be in flight at once"):
        Server().settings(concurrency=1001)


def test_the_way_out_of_a_network_is_a_setting_too(settings_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with settings_file.open("a") as file:
        file.write('[profiles.lab]\nproxy = "http://proxy.lab:3128"\nca_file = "lab.pem"\nclient_key = "lab.key"\n')
    of_profile = Server(profile="lab").settings()
    assert said(of_profile, "proxy") == ("http://proxy.lab:3128", "profile lab")
    assert said(of_profile, "ca_file") == ("lab.pem", "profile lab")

    monkeypatch.setenv("SPOTDX_PROXY", "http://me:s3cret@proxy.example:3128")
    monkeypatch.setenv("SPOTDX_CLIENT_CERT", "env.pem")
    found = Server(profile="lab").settings()
    assert said(found, "proxy")[1] == "SPOTDX_PROXY"
    assert said(found, "client_cert") == ("env.pem", "SPOTDX_CLIENT_CERT")
    assert said(found, "client_key") == (None, "default")  # a key belongs to the certificate of the same place
    assert "s3cret" not in repr(found)
    assert said(Server(profile="lab", base_url="http://127.0.0.1:1").settings(), "proxy")[1] == "profile lab"

    with pytest.raises(ConfigError, match="client_key of profile lab is set without client_cert: name"):
        of_profile.client("token")


@pytest.mark.parametrize("value", ["proxy.lab:3128", "http://me:s3cret@proxy.lab:3128", ""])
def test_a_profile_holds_no_password_of_a_proxy(settings_file: Path, value: str) -> None:
    settings_file.write_text(f'[profiles.lab]\nproxy = "{value}"\n')
    with pytest.raises(ConfigError, match="proxy must be a proxy without credentials") as caught:
        Server(profile="lab").settings()
    assert "s3cret" not in str(caught.value)
