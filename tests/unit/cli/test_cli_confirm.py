"""Acts that must not be done twice: what is said of a no that may not be the whole truth."""

import asyncio
from typing import Any, cast

import pytest

from spotdx_async import BadRequestError, SpotClient
from spotdx_async.cli.confirm import ConfirmedAction, _carry_out
from spotdx_async.cli.exit_codes import Exit
from spotdx_async.cli.options import View
from spotdx_async.cli.settings import Settings
from spotdx_async.cli.streams import Streams
from spotdx_async.models import Model

ADVICE = "look before you give this command again"


class SettingsOfNobody:
    """Makes a client that sends nothing."""

    def client(self) -> SpotClient:
        return SpotClient("token", base_url="http://127.0.0.1:1")


@pytest.mark.parametrize("may_be_executed", [True, False])
def test_a_no_after_an_attempt_that_may_have_been_carried_out_says_so(
    capsys: pytest.CaptureFixture[str], *, may_be_executed: bool
) -> None:
    async def do(_: SpotClient) -> Model:
        error = BadRequestError("the server answered 400", status=400)
        error.may_be_executed = may_be_executed
        raise error

    act = ConfirmedAction(question="?", do=do, look=None, advice=ADVICE)
    settings: Any = SettingsOfNobody()

    code = asyncio.run(_carry_out(act, cast("Settings", settings), Streams(), View()))

    assert code is Exit.FAILED
    assert (f"may have been carried out all the same: {ADVICE}" in capsys.readouterr().err) is may_be_executed
