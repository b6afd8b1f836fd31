"""The README's examples, run as they stand."""

import asyncio
import re
from pathlib import Path

import pytest

from spotdx_async.testing import FakeSpot

README = Path(__file__).parents[2] / "README.md"
EXAMPLE, TEST = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)


def test_the_first_example_runs(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    async def main() -> FakeSpot:
        async with FakeSpot() as fake:
            fake.kits.add("SPOT654321")
            monkeypatch.setenv("SPOTDX_BASE_URL", fake.url)
            monkeypatch.setenv("SPOTDX_TOKEN", fake.token)
            await asyncio.to_thread(exec, EXAMPLE, {})
            return fake

    fake = asyncio.run(main())

    assert capsys.readouterr().out == "preparing quantity\n"
    assert [entry.metadata for entry in fake.ledger] == [{"cohort": "A"}, {"cohort": "B"}, {"cohort": "B"}]


def test_the_example_test_passes(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(TEST)
    result = pytester.runpytest_subprocess("-o", "asyncio_mode=auto", "-p", "no:cacheprovider")
    result.assert_outcomes(passed=1)
