"""Options of lists. A class is flattened into a command: the line beneath each option is its help."""

from typing import Annotated, Any, TypeAlias

import attrs
from attrs import frozen
from cyclopts import Parameter

from spotdx_async.cli.options import Day, Flag, View, Whole


@frozen(kw_only=True)
class ListView(View):
    """How much of a list is shown, and how."""

    limit: Whole | None = None
    """The most to list. Default: 100."""
    is_whole: Annotated[Flag, Parameter(name="--all")] = False
    """List all there are, page by page as they come; with --json one object a line."""
    columns: Annotated[str | None, Parameter(metavar="NAMES")] = None
    """Show these fields, separated by commas, such as created,status; a field of a field is written
    recipient.address.state."""


@frozen(kw_only=True)
class Filters:
    """What all lists can be filtered by. Other users of this machine can see arguments."""

    created_after: Day = None
    """Only those created on this day or later."""
    created_before: Day = None
    """Only those created on this day or earlier."""
    updated_after: Day = None
    """Only those updated on this day or later."""
    updated_before: Day = None
    """Only those updated on this day or earlier."""
    email: str | None = None
    """Only those of the person with this e-mail address. Other users of this machine can see arguments."""
    first_name: str | None = None
    """Only those of people with this given name."""
    last_name: str | None = None
    """Only those of people with this family name."""
    phone: str | None = None
    """Only those of the person with this telephone number."""

    @property
    def query(self) -> dict[str, Any]:
        """The filters as a list call takes them."""
        return attrs.asdict(self)


ListShown: TypeAlias = Annotated[ListView, Parameter(name="*")]
Filtered: TypeAlias = Annotated[Filters, Parameter(name="*")]
FIRST, ALL = ListView(), Filters()
