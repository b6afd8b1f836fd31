"""What the SDK adds to a call, in instructions: the only figure of speed that is the same on every machine."""

import os
import shutil
import sys

import pytest

pytest.importorskip("orjson", reason="the bars hold for JSON by orjson")
from bench_instructions import BARS, PLAIN, instructions_a_call


@pytest.mark.skipif(
    sys.version_info >= (3, 12), reason="the bars hold for the interpreter that they were measured with"
)
def test_a_call_and_a_row_take_few_instructions_more_than_plain_aiohttp() -> None:
    if shutil.which("valgrind") is None:
        if os.environ.get("SPOTDX_NEED_VALGRIND"):
            pytest.fail("SPOTDX_NEED_VALGRIND is set, and there is no valgrind")
        pytest.skip("there is no valgrind to count with")

    found = {kind: values[0] for kind, values in instructions_a_call([PLAIN, *BARS], calls=600).items()}

    shares = {kind: found[kind] / found[PLAIN] for kind in BARS}
    assert {kind: share for kind, share in shares.items() if share > BARS[kind]} == {}, shares
