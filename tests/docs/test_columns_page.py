"""The reference of columns is the one that ``TABLES`` makes."""

from spotdx_async.tables import TABLES
from tests.docs.columns_page import MARK, PAGE, page, sections


def test_the_page_shows_every_column_as_it_is() -> None:
    text = PAGE.read_text(encoding="utf-8")

    assert text.count(MARK) == 1
    assert text == page(), "run: make columns"


def test_a_section_says_what_is_patient_data_and_what_is_never_null() -> None:
    made = sections()

    assert made.count("\n### ") == len([*TABLES, "pulls"])
    assert "| `kit_id` | text, not null | The kit's id, such as `SPOT123456`. |" in made
    assert "| `email` | text, **phi** | The registrant's e-mail address. |" in made
    assert made.count("**phi**") == sum(column.is_phi for table in TABLES.values() for column in table.columns)
