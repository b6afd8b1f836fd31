"""Keywords that are said once, in a TypedDict: a wrong one is refused at the call, as Python refuses it."""

from collections.abc import Callable
from typing import Any

import pytest

from spotdx_async import InvalidInputError, SpotClient

CALLS: dict[str, Callable[..., Any]] = {
    "list of kits": lambda spot, **keywords: spot.kits.list(**keywords),
    "list of orders": lambda spot, **keywords: spot.orders.list(**keywords),
    "list of requisitions": lambda spot, **keywords: spot.requisitions.list(**keywords),
    "update_metadata_many of kits": lambda spot, **keywords: spot.kits.update_metadata_many([], **keywords),
    "update_metadata_many of orders": lambda spot, **keywords: spot.orders.update_metadata_many([], **keywords),
}


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("keyword", ["concurency", "results", "offset"])
def test_a_keyword_that_does_not_exist_is_refused_at_the_call_that_names_it(name: str, keyword: str) -> None:
    call = name.partition(" ")[0]

    with pytest.raises(TypeError, match=rf"^{call}\(\) got an unexpected keyword argument '{keyword}'$"):
        CALLS[name](SpotClient("token"), **{keyword: 1})


@pytest.mark.parametrize("name", [name for name in CALLS if name.startswith("list")])
def test_a_filter_that_is_none_is_left_out(name: str) -> None:
    CALLS[name](SpotClient("token"), email=None, created_after=None)

    with pytest.raises(InvalidInputError, match="email must not be empty"):
        CALLS[name](SpotClient("token"), email="")
