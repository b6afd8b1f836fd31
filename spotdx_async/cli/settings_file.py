"""The settings file with its profiles: found, checked for who can write it, read, validated; no value is shown."""

import os
import re
import stat
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from attrs import field, frozen

from spotdx_async.config import CallOptions, RateLimit, check_base_url, check_count, check_seconds
from spotdx_async.errors import ConfigError
from spotdx_async.network import check_open_proxy

EXAMPLE = """\
# Settings of spotdx: ~/.config/spotdx/config.toml, or the file that SPOTDX_CONFIG names.
# An option on the command line overrides the environment, which overrides a profile. No token belongs in here.

profile = "production"          # used unless --profile or SPOTDX_PROFILE names another

[profiles.production]
base_url = "https://app.spotdx.com"
rate = 20                       # the most requests a second
concurrency = 32                # requests in flight at once
timeout = 30                    # the longest that one attempt may take, in seconds
token_env = "SPOTDX_TOKEN"      # the environment variable that holds the token

[profiles.staging]
base_url = "https://staging.example.com"
token_command = ["pass", "show", "spot/staging"]    # its first line is the token; run without a shell
proxy = "http://proxy.example.com:3128"             # one with user and password belongs into SPOTDX_PROXY
ca_file = "/etc/ssl/example-ca.pem"                 # in place of the system's authorities; "system" needs truststore
client_cert = "/etc/ssl/etl.pem"                    # where the server asks for one
client_key = "/etc/ssl/etl.key"                     # unless it is in client_cert
"""

_ADVICE = (
    'no token belongs in this file: remove the line, and name where the token is: token_env = "NAME" for an '
    'environment variable, or token_command = ["program", "word"]'
)
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_WRITABLE_BY_OTHERS = stat.S_IWGRP | stat.S_IWOTH
_MAX_BYTES = 1024 * 1024
_MOST_CONCURRENCY = 1000
"""A choice: beyond about 200 in flight each request costs twice the CPU, and 1,024 open files are a usual limit."""


@frozen(kw_only=True)
class Profile:
    """Settings under one name; None: not set here."""

    name: str
    base_url: str | None = None
    rate: float | None = None
    concurrency: int | None = None
    timeout: float | None = None
    proxy: str | None = None
    ca_file: str | None = None
    client_cert: str | None = None
    client_key: str | None = None
    token_env: str | None = None
    token_command: tuple[str, ...] | None = field(default=None, repr=False)


@frozen(kw_only=True)
class SettingsFile:
    """The contents of a settings file."""

    path: Path | None = None
    """None if there is none."""
    default: str | None = None
    """The profile that is used unless one is named."""
    profiles: dict[str, Profile] = field(factory=dict)

    def profile(self, name: str, *, named_by: str) -> Profile:
        """Return a profile.

        Raises:
            ConfigError: there is none with that name.
        """
        if (found := self.profiles.get(name)) is not None:
            return found
        said = f'{named_by} names the profile "{name}"'
        if self.path is None:
            raise ConfigError(f"{said}, but there is no settings file: see spotdx config")
        known = ", ".join(self.profiles) or "none"
        raise ConfigError(f"{said}, which {self.path} does not have{_guess(name, self.profiles)} (it has {known})")


def find_file() -> Path | None:
    """Return the path of the settings file, whether or not it exists; None if there can be none."""
    named = os.environ.get("SPOTDX_CONFIG")
    if named == os.devnull:
        return None
    if named:
        return Path(named)
    folder = os.environ.get("XDG_CONFIG_HOME")
    if folder and Path(folder).is_absolute():  # the XDG specification says to ignore others
        return Path(folder, "spotdx", "config.toml")
    try:
        return Path.home() / ".config" / "spotdx" / "config.toml"
    except RuntimeError:
        return None


def read_settings() -> SettingsFile:
    """Read the settings file; return an empty one if there is none.

    Raises:
        ConfigError: it cannot be read, others could have written it, or it is not valid.
    """
    path = find_file()
    if path is None:
        return SettingsFile()
    try:
        with path.open("rb") as file:
            _check_trust(path, os.fstat(file.fileno()))
            data = file.read(_MAX_BYTES + 1)
    except (FileNotFoundError, NotADirectoryError):  # the latter where HOME is /dev/null, as for system services
        if os.environ.get("SPOTDX_CONFIG"):
            raise ConfigError(f"SPOTDX_CONFIG names {path}, which does not exist: create it, or unset it") from None
        return SettingsFile()
    except OSError as error:
        raise ConfigError(f"{path} cannot be read ({error.strerror}): fix that, or move it away") from None
    if len(data) > _MAX_BYTES:
        raise ConfigError(f"{path} is far too large for settings: does SPOTDX_CONFIG name the right file?")
    return _parse(path, data)


def _check_trust(path: Path, about: os.stat_result) -> None:
    """Refuse a file that others can change: it names a command to run and the server that gets the token.

    Raises:
        ConfigError: others can change it.
    """
    if not stat.S_ISREG(about.st_mode):
        raise ConfigError(f"{path} is not a regular file: name one with SPOTDX_CONFIG")
    # On Windows the mode says nothing about who can write.
    if not hasattr(os, "getuid"):
        return
    if about.st_uid not in {0, os.getuid()}:
        raise ConfigError(f"{path} belongs to another user, who could name a command in it: create one of your own")
    if about.st_mode & _WRITABLE_BY_OTHERS:
        raise ConfigError(f"others can write {path}, and so name a command that is run: chmod go-w {path}")
    for folder in (path.absolute().parent, path.resolve().parent):  # of a symlink, and of its target
        mode = folder.stat().st_mode
        # In a sticky folder, such as /tmp, only a file's owner can replace it.
        if mode & _WRITABLE_BY_OTHERS and not mode & stat.S_ISVTX:
            raise ConfigError(f"others can replace {path}, and so name a command that is run: chmod go-w {folder}")


def _parse(path: Path, data: bytes) -> SettingsFile:
    import tomllib  # for those who have such a file

    try:
        # Editors on Windows begin a file with a BOM, which TOML does not allow.
        said = tomllib.loads(data.decode("utf-8-sig"))
    except UnicodeDecodeError:
        raise ConfigError(f"{path} is not UTF-8 text: rewrite it (spotdx config --example)") from None
    except tomllib.TOMLDecodeError as error:
        place = re.search(r"at line \d+, column \d+|at end of document", str(error))
        raise ConfigError(f"{path} is not TOML {place[0] if place else ''}: see spotdx config --example") from None
    _check_keys(path, "", said, ("profile", "profiles"))
    default, profiles = said.get("profile"), said.get("profiles", {})
    if default is not None and not isinstance(default, str):
        raise ConfigError(f'{path}: profile must be the name of one, such as profile = "production"')
    if not isinstance(profiles, dict) or not all(isinstance(one, dict) for one in profiles.values()):
        raise ConfigError(f"{path}: profiles are tables, such as [profiles.production]")
    read = {name: _profile(path, name, said) for name, said in profiles.items()}
    return SettingsFile(path=path, default=default, profiles=read)


def _profile(path: Path, name: str, said: dict[str, Any]) -> Profile:
    where = f"[profiles.{name}] "
    _check_keys(path, where, said, _RULES)
    for key, value in said.items():
        is_right, form = _RULES[key]
        if not is_right(value):
            raise ConfigError(f"{path}: {where}{key} must be {form}")
    if {"token_env", "token_command"} <= said.keys():
        raise ConfigError(f"{path}: {where}has token_env and token_command: remove one of them")
    if "base_url" in said:
        try:
            check_base_url(said["base_url"])
        except ConfigError as error:
            raise ConfigError(f"{path}: {where}{error}") from None
    command = said.get("token_command")
    return Profile(name=name, **{**said, "token_command": None if command is None else tuple(command)})


def _check_keys(path: Path, where: str, said: dict[str, Any], known: Iterable[str]) -> None:
    for key in said:
        if key.lower() in {"token", "api_token", "api_key", "password", "secret"}:
            raise ConfigError(f"{path}: {where}{key}: {_ADVICE}")
        if key not in known:
            step = _guess(key, known) or f"; it may have {', '.join(known)}"
            raise ConfigError(f"{path}: {where}has the unknown key {key}{step}")


def _guess(word: str, known: Iterable[str]) -> str:
    from difflib import get_close_matches  # of no use where nothing is wrong

    near = get_close_matches(word, list(known), n=1)
    return f"; did you mean {near[0]}?" if near else ""


def check_rate(value: Any) -> float:
    """Return requests a second unchanged.

    Raises:
        ConfigError: they are out of range.
    """
    RateLimit(value)
    return float(value)


def check_timeout(value: Any) -> float:
    """Return the seconds of one attempt unchanged.

    Raises:
        ConfigError: they are out of range.
    """
    CallOptions(timeout_s=value)
    return float(value)


def check_concurrency(value: Any) -> int:
    """Return the requests in flight unchanged.

    Raises:
        ConfigError: they are out of range.
    """
    count = check_count("concurrency", value)
    if count > _MOST_CONCURRENCY:
        raise ConfigError(f"at most {_MOST_CONCURRENCY:,} requests can be in flight at once")
    return count


def check_lands_within(value: Any) -> float:
    """Return the seconds in which a request lands unchanged.

    Raises:
        ConfigError: they are out of range.
    """
    return check_seconds("lands_within", value)


def _passes(check: Callable[[Any], object]) -> Callable[[Any], bool]:
    """Return whether a value is one that the client takes."""

    def does(value: Any) -> bool:
        try:
            check(value)
        except ConfigError:
            return False
        return True

    return does


def _is_text(value: object) -> bool:
    return isinstance(value, str) and value != ""


def _is_argv(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(word, str) for word in value) and bool(value and value[0])


_RULES: dict[str, tuple[Callable[[Any], bool], str]] = {
    "base_url": (lambda value: isinstance(value, str), "text, such as https://app.spotdx.com"),
    "rate": (_passes(check_rate), "a number above 0: requests a second"),
    "concurrency": (_passes(check_concurrency), f"a whole number from 1 to {_MOST_CONCURRENCY:,}"),
    "timeout": (_passes(check_timeout), "a number above 0: seconds"),
    "proxy": (
        _passes(check_open_proxy),
        "a proxy without credentials, such as http://proxy.example.com:3128; one with them belongs into SPOTDX_PROXY",
    ),
    "ca_file": (_is_text, 'the path of a file with certificates in PEM, or "system"'),
    "client_cert": (_is_text, "the path of a file with a certificate in PEM"),
    "client_key": (_is_text, "the path of a file with a private key in PEM"),
    "token_env": (
        lambda value: isinstance(value, str) and _VARIABLE.fullmatch(value) is not None,
        "the name of an environment variable, such as SPOTDX_TOKEN, never the token itself",
    ),
    "token_command": (_is_argv, 'a list of words, such as ["pass", "show", "spot"]; run without a shell'),
}
