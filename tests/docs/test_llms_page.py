"""The page for language models, and the list of pages, are what the package and the pages make."""

import re

import pytest

import spotdx_async
from tests.docs.llms_page import LIST, MOST_BYTES, PAGE, page, pages
from tests.docs.pages import DOCS, every_page


@pytest.fixture(scope="module")
def made() -> str:
    return page()


def test_the_page_is_as_the_package_makes_it(made: str) -> None:
    assert PAGE.read_text(encoding="utf-8") == made, "run: make llms"


def test_the_list_is_as_the_pages_make_it() -> None:
    assert LIST.read_text(encoding="utf-8") == pages(), "run: make llms"


def test_the_page_fits_a_context_and_names_everything_public(made: str) -> None:
    assert len(made.encode()) <= MOST_BYTES
    assert [name for name in spotdx_async.__all__ if re.search(rf"\b{name}\b", made) is None] == []


def test_the_page_says_what_calls_take_and_what_they_end_with(made: str) -> None:
    for line in (
        "await spot.kits.update_metadata(kit_id: str, metadata: Mapping[str, Any]) -> Kit",
        "await spot.orders.create(order: NewOrder, *, client_ref: str | None=None) -> Order",
        "  journal: str | os.PathLike[str] | Journal | None  # A file in which the run records which rows are done.",
        "NewOrder(kit_types*: tuple[str, ...], recipient*: Recipient, metadata: Mapping[str, Any])",
        "class NotFoundError(StatusError)",
        "- `unknown`: perhaps executed: no usable answer, or a server error (5xx)",
        "- What was sent is known, not guessed.",
        "- Exactly once: the API has no idempotency keys.",
    ):
        assert line in made.split("\n")


def test_the_list_names_every_page() -> None:
    listed = re.findall(r"\]\(([^)]+)\)", LIST.read_text(encoding="utf-8"))
    found = {path.relative_to(DOCS).as_posix() for path in every_page() if DOCS in path.parents} - {"index.md"}

    assert {*listed} == found | {PAGE.name}
    assert all((DOCS / name).is_file() for name in listed)
