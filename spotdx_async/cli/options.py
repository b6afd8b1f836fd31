"""Options that many commands share. A class of them is flattened into a command: the line beneath each is its help."""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias, TypeVar

import attrs
from attrs import frozen
from cyclopts import Parameter

from spotdx_async.cli.settings import Settings, settle

if TYPE_CHECKING:
    from spotdx_async import SpotClient

__all__ = [
    "ALL",
    "HIDING",
    "USUAL_SERVER",
    "Filtered",
    "Filters",
    "Flag",
    "Json",
    "OnServer",
    "Server",
    "Shown",
    "View",
]

T = TypeVar("T")

Flag: TypeAlias = Annotated[bool, Parameter(show_default=False)]
Json: TypeAlias = Annotated[bool, Parameter(name="--json", show_default=False)]


@frozen(kw_only=True)
class Server:
    """Which server is asked, and how patiently."""

    profile: str | None = None
    """Take the settings of this profile. Default: SPOTDX_PROFILE, else what the settings file names."""
    base_url: str | None = None
    """The server. Default: SPOTDX_BASE_URL, else the profile's, else the production server."""
    timeout_s: Annotated[float | None, Parameter(name="--timeout")] = None
    """The longest that one attempt may take, in seconds. Default: the profile's, else 30."""
    allow_any_id: Flag = False
    """Take ids that hold a slash, a backslash, a semicolon or only dots, which a proxy may lead to another object."""

    def settle(self, *, rate: float | None = None, concurrency: int | None = None) -> Settings:
        """Find the settings in force.

        Raises:
            ConfigError: the settings file cannot be used, the profile is unknown, or the server's address is none.
        """
        return settle(
            profile=self.profile,
            base_url=self.base_url,
            timeout_s=self.timeout_s,
            rate=rate,
            concurrency=concurrency,
            allow_any_id=self.allow_any_id,
        )

    def ask(self, question: "Callable[[SpotClient], Awaitable[T]]") -> T:
        """Run one call, or a few, on a client of its own, in a loop of its own.

        Raises:
            SpotError: as the call raises it; or a setting is wrong, or there is no token.
        """
        return self.settle().ask(question)


@frozen(kw_only=True)
class View:
    """In which form an answer is shown."""

    show_phi: Flag = False
    """Show patient data as well."""
    as_json: Json = False
    """Write JSON."""


@frozen(kw_only=True)
class Filters:
    """What all lists can be narrowed by. Other users of this machine can see arguments."""

    created_after: str | None = None
    """Only those created on this day or later."""
    created_before: str | None = None
    """Only those created on this day or earlier."""
    updated_after: str | None = None
    """Only those updated on this day or later."""
    updated_before: str | None = None
    """Only those updated on this day or earlier."""
    email: str | None = None
    """Only those of the person with this e-mail address. Other users of this machine can see arguments."""
    first_name: str | None = None
    """Only those of persons with this given name."""
    last_name: str | None = None
    """Only those of persons with this family name."""
    phone: str | None = None
    """Only those of the person with this telephone number."""

    @property
    def query(self) -> dict[str, Any]:
        """The filters as a list call takes them."""
        return attrs.asdict(self)


OnServer: TypeAlias = Annotated[Server, Parameter(name="*")]
Shown: TypeAlias = Annotated[View, Parameter(name="*")]
Filtered: TypeAlias = Annotated[Filters, Parameter(name="*")]
USUAL_SERVER, HIDING, ALL = Server(), View(), Filters()
