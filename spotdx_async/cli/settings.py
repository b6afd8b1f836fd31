"""The settings in force: options before the environment, that before a profile, that before what is usual."""

import os
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar

from attrs import field, frozen

from spotdx_async.cli.exit_codes import naming_server
from spotdx_async.cli.settings_file import Profile, SettingsFile, read_settings
from spotdx_async.cli.token_source import TokenCommand, TokenSource, TokenVariable
from spotdx_async.config import PRODUCTION_URL, RateLimit, check_base_url
from spotdx_async.own_loop import run_in_own_loop

if TYPE_CHECKING:
    from spotdx_async import SpotClient

__all__ = ["Setting", "Settings", "settle"]

T = TypeVar("T")

_TIMEOUT_S, _CONCURRENCY = 30.0, 64
_BY_DEFAULT = "default"


@frozen
class Setting(Generic[T]):
    """A value, and who has said so."""

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
    token: TokenSource
    profile: Setting[str | None] = Setting(None)
    file: SettingsFile = field(factory=SettingsFile)
    _known_token: list[str | Callable[[], Awaitable[str]]] = field(factory=list, repr=False)

    @classmethod
    def for_server(cls, base_url: str, token: str, *, rate: float | None = None) -> Self:
        """Make those for a server of our own, whatever the environment and the settings file say."""
        here = "here"
        made = cls(
            base_url=Setting(base_url, here), rate=Setting(rate, here), token=TokenVariable("SPOTDX_TOKEN", here)
        )
        made._known_token.append(token)
        return made

    @property
    def name(self) -> str:
        """Which server it is, in words."""
        is_usual = self.base_url.value == PRODUCTION_URL and self.base_url.origin == _BY_DEFAULT
        return "the production server" if is_usual else self.base_url.value

    def client(self, token: str | None = None, **options: Any) -> "SpotClient":
        """Make a client; without ``token`` the source is asked, once for all clients.

        Args:
            token: one that is known.
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
            rate_limit=None if self.rate.value is None else RateLimit(self.rate.value),
            **options,
        )

    def ask(self, question: Callable[["SpotClient"], Awaitable[T]]) -> T:
        """Run one call, or a few, on a client of its own, in a loop of its own.

        Raises:
            SpotError: as the call raises it, or as ``client`` does.
        """

        async def answer() -> T:
            async with self.client() as spot:
                return await question(spot)

        with naming_server(self.base_url.value):
            return run_in_own_loop(answer())


def settle(
    *,
    profile: str | None = None,
    base_url: str | None = None,
    timeout_s: float | None = None,
    rate: float | None = None,
    concurrency: int | None = None,
    allow_any_id: bool = False,
) -> Settings:
    """Find what is in force; the arguments are the options, None where one was not given.

    Raises:
        ConfigError: the settings file cannot be used, the profile is unknown, or the server's address is none.
    """
    file = read_settings()
    chosen, said = _profile(file, profile)
    origin = f"profile {said.name}"
    url: Setting[str] = _first(
        (base_url, "--base-url"),
        (os.environ.get("SPOTDX_BASE_URL") or None, "SPOTDX_BASE_URL"),
        (said.base_url, origin),
        usual=PRODUCTION_URL,
    )
    return Settings(
        base_url=Setting(check_base_url(url.value), url.origin),
        timeout_s=_first((timeout_s, "--timeout"), (said.timeout, origin), usual=_TIMEOUT_S),
        rate=_first((rate, "--rate"), (said.rate, origin), usual=None),
        concurrency=_first((concurrency, "--concurrency"), (said.concurrency, origin), usual=_CONCURRENCY),
        allow_any_id=allow_any_id,  # said anew for each run, neither in the environment nor in a profile
        token=_token(said, origin),
        profile=chosen,
        file=file,
    )


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


def _first(*sayings: tuple[Any, str], usual: Any) -> Setting[Any]:
    return next((Setting(value, origin) for value, origin in sayings if value is not None), Setting(usual))
