"""The settings in force, from the line, the environment or a profile, and ``spotdx config``, which shows them."""

import os
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated, Any, Generic, Self, TypeAlias, TypeVar

from attrs import field, frozen
from cyclopts import Parameter

from spotdx_async.cli.exit_codes import Exit, naming_server
from spotdx_async.cli.options import UNLIMITED, AtMost, Flag, Json, Number
from spotdx_async.cli.output import OurScreen
from spotdx_async.cli.settings_file import (
    EXAMPLE,
    Profile,
    SettingsFile,
    check_concurrency,
    check_lands_within,
    check_rate,
    check_timeout,
    find_file,
    read_settings,
)
from spotdx_async.cli.tables import show_rows
from spotdx_async.cli.token_source import TokenCommand, TokenSource, TokenVariable
from spotdx_async.config import PRODUCTION_URL, RateLimit, base_url_from_environment, check_base_url
from spotdx_async.errors import ConfigError
from spotdx_async.network import check_proxy, proxy_from_environment, ssl_context_of
from spotdx_async.own_loop import run_in_own_loop

if TYPE_CHECKING:
    import ssl

    from spotdx_async import SpotClient

T = TypeVar("T")

_FILES = ("ca_file", "client_cert", "client_key")
_TIMEOUT_S, _CONCURRENCY, _LANDS_WITHIN_S = 30.0, 64, 60.0
_BY_DEFAULT = "default"


@frozen
class Setting(Generic[T]):
    """A value and its origin."""

    value: T
    origin: str = _BY_DEFAULT


@frozen(kw_only=True)
class Settings:
    """What a command runs with."""

    base_url: Setting[str]
    timeout_s: Setting[float] = Setting(_TIMEOUT_S)
    rate: Setting[float | None] = Setting(None)
    concurrency: Setting[int] = Setting(_CONCURRENCY)
    allow_any_id: bool = False
    proxy: Setting[str | None] = field(default=Setting(None), repr=False)
    ca_file: Setting[str | None] = Setting(None)
    client_cert: Setting[str | None] = Setting(None)
    client_key: Setting[str | None] = Setting(None)
    token: TokenSource
    profile: Setting[str | None] = Setting(None)
    file: SettingsFile = field(factory=SettingsFile)
    _known_token: list[str | Callable[[], Awaitable[str]]] = field(factory=list, repr=False)

    @classmethod
    def for_server(cls, base_url: str, token: str, *, rate: float | None = None) -> Self:
        """Build those for a server of our own, whatever the environment and the settings file say."""
        here = "here"
        made = cls(
            base_url=Setting(base_url, here), rate=Setting(rate, here), token=TokenVariable("SPOTDX_TOKEN", here)
        )
        made._known_token.append(token)
        return made

    @property
    def name(self) -> str:
        """The server, in words."""
        is_usual = self.base_url.value == PRODUCTION_URL and self.base_url.origin == _BY_DEFAULT
        return "the production server" if is_usual else self.base_url.value

    def client(self, token: str | None = None, **options: Any) -> "SpotClient":
        """Build a client. Without ``token`` the token source is read, once for all clients.

        Args:
            token: a token that is already known.
            options: of the client, besides those that are settings.

        Raises:
            ConfigError: a setting is wrong, or there is no token.
        """
        from spotdx_async import SpotClient

        if token is None and not self._known_token:
            self._known_token.append(self.token.for_client())
        return SpotClient(
            self._known_token[0] if token is None else token,
            base_url=self.base_url.value,
            timeout_s=self.timeout_s.value,
            concurrency=self.concurrency.value,
            allow_any_id=self.allow_any_id,
            proxy=self.proxy.value,
            ssl_context=self.ssl_context(),
            rate_limit=None if self.rate.value is None else RateLimit(self.rate.value),
            **options,
        )

    def ssl_context(self) -> "ssl.SSLContext | None":
        """Return what verifies the server, from the files that the settings name; None: Python's own.

        Raises:
            ConfigError: one of the files cannot be used; the message says which setting names it.
        """
        files = (self.ca_file, self.client_cert, self.client_key)
        named = {name: _named(name, one.origin) for name, one in zip(_FILES, files, strict=True)}
        return ssl_context_of(*(one.value for one in files), names=named)

    def ask(self, question: Callable[["SpotClient"], Awaitable[T]]) -> T:
        """Run one call, or a few, on a client and an event loop of its own.

        Raises:
            SpotError: as the call raises it, or as ``client`` does.
        """

        async def answer() -> T:
            async with self.client() as spot:
                return await question(spot)

        with naming_server(self.base_url.value):
            return run_in_own_loop(answer())


@frozen(kw_only=True)
class Server:
    """Options of every command that talks to a server; the line beneath each is its help."""

    profile: Annotated[str | None, Parameter(metavar="NAME")] = None
    """Use the settings of this profile. Default: SPOTDX_PROFILE, else what the settings file names."""
    base_url: Annotated[str | None, Parameter(metavar="URL")] = None
    """The server. Default: SPOTDX_BASE_URL, else the profile's, else the production server."""
    timeout_s: Annotated[Number | None, Parameter(name="--timeout", metavar="SECONDS")] = None
    """The longest that one attempt may take, in seconds. Default: the profile's, else 30."""

    @property
    def _takes_any_id(self) -> bool:
        return False

    def settings(self, *, rate: float | None = None, concurrency: int | None = None) -> Settings:
        """Find the settings in force.

        Raises:
            ConfigError: the settings file cannot be used, the profile is unknown, or a value is out of range.
        """
        file = read_settings()
        chosen, said = _profile(file, self.profile)
        origin = f"profile {said.name}"
        url: Setting[str] = _first(
            (self.base_url, "--base-url"),
            # An option overrides the variable, whatever is wrong with that.
            (base_url_from_environment() if self.base_url is None else None, "SPOTDX_BASE_URL"),
            (said.base_url, origin),
            usual=PRODUCTION_URL,
        )
        return Settings(
            base_url=_checked(url, check_base_url),
            timeout_s=_checked(
                _first((self.timeout_s, "--timeout"), (said.timeout, origin), usual=_TIMEOUT_S), check_timeout
            ),
            rate=_checked(_first((rate, "--rate"), (said.rate, origin), usual=None), check_rate),
            concurrency=_checked(
                _first((concurrency, "--concurrency"), (said.concurrency, origin), usual=_CONCURRENCY),
                check_concurrency,
            ),
            allow_any_id=self._takes_any_id,  # must be given for each run: neither in the environment nor in a profile
            proxy=_checked(
                _first((proxy_from_environment(url.value), "SPOTDX_PROXY"), (said.proxy, origin), usual=None),
                _check_proxy_text,
            ),
            **_files(said, origin),
            token=_token(said, origin),
            profile=chosen,
            file=file,
        )

    def ask(self, question: "Callable[[SpotClient], Awaitable[T]]") -> T:
        """Run one call, or a few, with the settings in force.

        Raises:
            SpotError: as the call raises it; or a setting is wrong, or there is no token.
        """
        return self.settings().ask(question)


@frozen(kw_only=True)
class ServerOfIds(Server):
    """Options of the commands that ask for an object by its id."""

    allow_any_id: Flag = False
    """Accept ids with a slash, a backslash, a semicolon or only dots, which a proxy may route to another object."""

    @property
    def _takes_any_id(self) -> bool:
        return self.allow_any_id


OnServer: TypeAlias = Annotated[Server, Parameter(name="*")]
OnServerOfIds: TypeAlias = Annotated[ServerOfIds, Parameter(name="*")]
USUAL_SERVER, USUAL_SERVER_OF_IDS = Server(), ServerOfIds()


def _checked(setting: Setting[T], check: Callable[[Any], T]) -> Setting[T]:
    """Return a setting whose value is in range, whether it is used or only shown.

    Raises:
        ConfigError: it is not; the message says where it comes from.
    """
    if setting.value is None:
        return setting
    try:
        return Setting(check(setting.value), setting.origin)
    except ConfigError as error:
        fault = str(error)
    name, _, rest = fault.partition(" ")
    # An option and its setting have the same name, which is said once.
    name = name.removesuffix("_s")
    is_named = setting.origin in {f"--{name.replace('_', '-')}", f"SPOTDX_{name.upper()}"}
    raise ConfigError(
        f"{setting.origin} {rest}" if is_named and rest.startswith("must ") else f"{setting.origin}: {fault}"
    )


def _files(said: Profile, origin: str) -> dict[str, Any]:
    """Return the files that a connection needs; a key belongs to the certificate that is named in the same place."""
    has_own = bool(os.environ.get("SPOTDX_CLIENT_CERT") or os.environ.get("SPOTDX_CLIENT_KEY"))
    found = {}
    for name in _FILES:
        variable = f"SPOTDX_{name.upper()}"
        of_profile = None if has_own and name != "ca_file" else getattr(said, name)
        found[name] = _first((os.environ.get(variable) or None, variable), (of_profile, origin), usual=None)
    return found


def _check_proxy_text(value: str) -> str:
    """Return a proxy's address unchanged.

    Raises:
        ConfigError: it is none; the message does not show it.
    """
    check_proxy(value)
    return value


def _named(name: str, origin: str) -> str:
    """Return what a message calls the setting that names a file."""
    if origin == _BY_DEFAULT:
        return name
    return origin if origin == f"SPOTDX_{name.upper()}" else f"{name} of {origin}"


def _profile(file: SettingsFile, option: str | None) -> tuple[Setting[str | None], Profile]:
    chosen: Setting[str | None] = _first(
        (option, "--profile"),
        (os.environ.get("SPOTDX_PROFILE") or None, "SPOTDX_PROFILE"),
        (file.default, f"{file.path}"),
        usual=None,
    )
    if chosen.value is None:
        return chosen, Profile(name="")
    return chosen, file.profile(chosen.value, named_by=chosen.origin)


def _token(said: Profile, origin: str) -> TokenSource:
    if os.environ.get("SPOTDX_TOKEN"):
        return TokenVariable("SPOTDX_TOKEN", "environment")
    if said.token_command is not None:
        return TokenCommand(said.token_command, origin)
    if said.token_env is not None:
        return TokenVariable(said.token_env, origin)
    return TokenVariable("SPOTDX_TOKEN", _BY_DEFAULT)


def _first(*candidates: tuple[Any, str], usual: Any) -> Setting[Any]:
    return next((Setting(value, origin) for value, origin in candidates if value is not None), Setting(usual))


def config(
    *,
    example: Flag = False,
    limits: AtMost = UNLIMITED,
    lands_within_s: Annotated[Number | None, Parameter(name="--lands-within")] = None,
    as_json: Json = False,
    server: OnServerOfIds = USUAL_SERVER_OF_IDS,
    streams: OurScreen,
) -> int:
    """Show the settings in force, and where each comes from. The token itself is never shown.

    An option on the command line overrides the environment (SPOTDX_BASE_URL, SPOTDX_TOKEN, SPOTDX_PROXY,
    SPOTDX_CA_FILE, SPOTDX_CLIENT_CERT, SPOTDX_CLIENT_KEY), which overrides a profile of the settings file. The file is
    ~/.config/spotdx/config.toml, or the one that SPOTDX_CONFIG names. It holds profiles, each with base_url, rate,
    concurrency, timeout, proxy, ca_file, client_cert, client_key, and where the token comes from: token_env or
    token_command. This command takes the options of the one that you are about to run, and refuses values out of range.

    Example: spotdx config --profile staging
    Example: mkdir -p ~/.config/spotdx && spotdx config --example > ~/.config/spotdx/config.toml

    Args:
        example: Print an example of a settings file instead.
        limits: How fast requests are sent.
        lands_within_s: How long a request that got no answer may still be executed, in seconds.
        as_json: Write one JSON object.
        server: The server.
        streams: Where to write; no argument of the command line.
    """
    if example:
        streams.out.write_raw(EXAMPLE)
        return Exit.OK
    settings = server.settings(rate=limits.rate, concurrency=limits.concurrency)
    lands_within = _checked(_first((lands_within_s, "--lands-within"), usual=_LANDS_WITHIN_S), check_lands_within)
    found = _by_name(settings, lands_within)
    if as_json:
        streams.write_json({name: {"value": one.value, "from": one.origin} for name, one in found.items()})
    else:
        rows = [(name, _in_words(name, one.value), one.origin) for name, one in found.items()]
        show_rows(streams, ("setting", "value", "from"), rows)
    return Exit.OK


def _by_name(settings: Settings, lands_within: Setting[float]) -> dict[str, Setting[Any]]:
    path, token, proxy = settings.file.path, settings.token, check_proxy(settings.proxy.value)
    return {
        "file": Setting(None if path is None else str(path), _about_file(settings.file)),
        "profile": settings.profile,
        "base_url": settings.base_url,
        "rate": settings.rate,
        "concurrency": settings.concurrency,
        "timeout": settings.timeout_s,
        "lands_within": lands_within,
        "proxy": Setting(None if proxy is None else proxy.url, settings.proxy.origin),
        **{name: getattr(settings, name) for name in _FILES},
        "allow_any_id": Setting(settings.allow_any_id, "--allow-any-id" if settings.allow_any_id else _BY_DEFAULT),
        "token": Setting(f"{token.text}{' (not set)' if token.is_empty else ''}", token.origin),
    }


def _in_words(name: str, value: Any) -> str:
    if value is None:
        return "no limit" if name == "rate" else "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    unit = {"rate": " a second", "timeout": " s", "lands_within": " s"}.get(name)
    return f"{value:g}{unit}" if unit else str(value)


def _about_file(file: SettingsFile) -> str:
    if file.path is not None:
        return f"it has {', '.join(file.profiles) or 'no profiles'}"
    place = find_file()
    return "disabled by SPOTDX_CONFIG" if place is None else f"it would be {place}"
