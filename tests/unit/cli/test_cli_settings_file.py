"""The settings file: where it is, whom it is taken from, what it may say, and what is said of one that is wrong."""

import os
from pathlib import Path

import pytest

from spotdx_async import ConfigError
from spotdx_async.cli.settings_file import EXAMPLE, find_file, read_settings

CANARY = "canary-token-41"


@pytest.fixture
def settings_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "config.toml"
    monkeypatch.setenv("SPOTDX_CONFIG", str(path))
    return path


@pytest.mark.parametrize(
    ("environment", "place"),
    [
        ({"SPOTDX_CONFIG": "/x/mine.toml", "XDG_CONFIG_HOME": "/xdg", "HOME": "/home/me"}, "/x/mine.toml"),
        ({"XDG_CONFIG_HOME": "/xdg", "HOME": "/home/me"}, "/xdg/spotdx/config.toml"),
        ({"XDG_CONFIG_HOME": "relative", "HOME": "/home/me"}, "/home/me/.config/spotdx/config.toml"),
        ({"SPOTDX_CONFIG": "", "XDG_CONFIG_HOME": "", "HOME": "/home/me"}, "/home/me/.config/spotdx/config.toml"),
        ({"SPOTDX_CONFIG": os.devnull, "HOME": "/home/me"}, None),
    ],
)
def test_the_file_is_where_the_environment_says(
    environment: dict[str, str], place: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("SPOTDX_CONFIG", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)

    assert find_file() == (None if place is None else Path(place))


def test_the_example_is_a_file_that_is_right(settings_file: Path) -> None:
    settings_file.write_text(EXAMPLE, encoding="utf-8")

    said = read_settings()

    assert (said.path, said.default, list(said.profiles)) == (settings_file, "production", ["production", "staging"])
    production, staging = said.profiles.values()
    assert (production.rate, production.concurrency, production.timeout) == (20, 32, 30)
    assert (production.token_env, staging.token_command) == ("SPOTDX_TOKEN", ("pass", "show", "spot/staging"))


def test_no_file_at_the_usual_place_is_no_trouble(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SPOTDX_CONFIG")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))

    assert read_settings().path is None


def test_a_home_that_is_no_folder_holds_no_file(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SPOTDX_CONFIG", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", os.devnull)

    assert read_settings().path is None


def test_a_file_that_was_named_and_is_not_there_is_said(settings_file: Path) -> None:
    with pytest.raises(ConfigError, match=r"SPOTDX_CONFIG names .*config\.toml, which does not exist: create it"):
        read_settings()
    settings_file.mkdir()
    with pytest.raises(ConfigError, match=r"Is a directory|is not a regular file"):
        read_settings()


@pytest.mark.parametrize("key", ["token", "TOKEN", "api_key", "password"])
@pytest.mark.parametrize("place", ["", "[profiles.p]\n"])
def test_a_token_in_the_file_is_refused_unseen_with_what_to_do(settings_file: Path, key: str, place: str) -> None:
    settings_file.write_text(f'{place}{key} = "{CANARY}"\n')

    with pytest.raises(ConfigError, match=r"no token belongs in this file: remove the line.*token_env =") as caught:
        read_settings()

    assert CANARY not in str(caught.value)
    assert caught.value.__context__ is None or CANARY not in str(caught.value.__context__)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('profil = "p"', "has the unknown key profil; did you mean profile"),
        ("[profiles.p]\nrat = 5", r"\[profiles\.p\] has the unknown key rat; did you mean rate\?"),
        ("[profiles.p]\nzzz = 5", r"\[profiles\.p\] has the unknown key zzz; it may have base_url, rate"),
        ("[profiles.p]\nrate = 0", "rate must be a number above 0: requests a second"),
        ("[profiles.p]\nrate = inf", "rate must be a number above 0"),
        ("[profiles.p]\nrate = 1e-320", "rate must be a number above 0"),
        ("[profiles.p]\ntimeout = nan", "timeout must be a number above 0"),
        ("[profiles.p]\nrate = true", "rate must be a number above 0"),
        ('[profiles.p]\ntimeout = "5"', "timeout must be a number above 0: seconds"),
        ("[profiles.p]\nconcurrency = 1.5", "concurrency must be a whole number from 1 to 1,000"),
        ("[profiles.p]\nbase_url = 5", "base_url must be text"),
        ('[profiles.p]\nbase_url = "http://example.org"', r"\[profiles\.p\] base_url must use https"),
        (f'[profiles.p]\ntoken_env = "{CANARY}"', "token_env must be the name of an environment variable"),
        (f'[profiles.p]\ntoken_command = "echo {CANARY}"', "token_command must be a list of words"),
        ("[profiles.p]\ntoken_command = []", "token_command must be a list of words"),
        ('[profiles.p]\ntoken_env = "A"\ntoken_command = ["a"]', "has token_env and token_command: remove one of them"),
        ("profile = 5", "profile must be the name of one"),
        ("profiles = 5", r"profiles are tables, such as \[profiles.production\]"),
        ("[profiles]\np = 5", "profiles are tables"),
        (f"rate = = {CANARY}", "is not TOML at line 1, column 8: see spotdx config --example"),
    ],
)
def test_what_is_wrong_is_said_with_its_place_and_no_value(settings_file: Path, text: str, told: str) -> None:
    settings_file.write_text(text)

    with pytest.raises(ConfigError, match=told) as caught:
        read_settings()

    assert str(settings_file) in str(caught.value)
    assert CANARY not in str(caught.value)


def test_what_is_no_text_is_said(settings_file: Path) -> None:
    settings_file.write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="is not UTF-8 text"):
        read_settings()
    settings_file.write_bytes(b"#" * (2 * 1024 * 1024))
    with pytest.raises(ConfigError, match="far too large"):
        read_settings()


@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666])
def test_a_file_that_others_can_write_is_refused_with_the_command_that_mends_it(settings_file: Path, mode: int) -> None:
    settings_file.write_text(EXAMPLE)
    settings_file.chmod(mode)

    with pytest.raises(ConfigError, match=r"others can write .* chmod go-w .*config\.toml"):
        read_settings()


def test_a_file_that_others_can_only_read_is_taken(settings_file: Path) -> None:
    settings_file.write_text(EXAMPLE)
    settings_file.chmod(0o644)

    assert read_settings().path == settings_file


def test_a_file_in_a_folder_that_others_can_write_is_refused_unless_it_is_sticky(
    settings_file: Path, tmp_path: Path
) -> None:
    settings_file.write_text(EXAMPLE)
    tmp_path.chmod(0o777)
    with pytest.raises(ConfigError, match=f"others can replace .* chmod go-w {tmp_path}"):
        read_settings()
    tmp_path.chmod(0o1777)
    assert read_settings().path == settings_file


def test_a_link_in_a_folder_that_others_can_write_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine.toml").write_text(EXAMPLE)
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared").chmod(0o777)
    link = tmp_path / "shared" / "config.toml"
    link.symlink_to(tmp_path / "mine.toml")
    monkeypatch.setenv("SPOTDX_CONFIG", str(link))

    with pytest.raises(ConfigError, match="others can replace"):
        read_settings()


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a file away")
def test_a_file_of_another_user_is_refused(settings_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings_file.write_text(EXAMPLE)
    os.chown(settings_file, 12345, -1)

    with pytest.raises(ConfigError, match="belongs to another user"):
        read_settings()
    monkeypatch.setattr(os, "getuid", lambda: 12345)
    assert read_settings().path == settings_file


def test_a_profile_that_is_not_there_is_said_with_those_that_are(settings_file: Path) -> None:
    settings_file.write_text(EXAMPLE)

    told = r'--profile names the profile "stagin", which .* does not have; did you mean staging\? \(it has prod'
    with pytest.raises(ConfigError, match=told):
        read_settings().profile("stagin", named_by="--profile")


def test_a_profile_without_a_file_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPOTDX_CONFIG", os.devnull)

    with pytest.raises(ConfigError, match=r'SPOTDX_PROFILE names the profile ".*", but there is no settings file'):
        read_settings().profile("night", named_by="SPOTDX_PROFILE")
