"""Nouns as attributes of a client: for mocks of it, for subclasses, and for views by ``with_options``."""

import inspect
from functools import cached_property
from typing import Any
from unittest.mock import AsyncMock, MagicMock, create_autospec, patch

import pytest

from spotdx_async import BulkRun, Kit, Outcome, Pages, SpotClient
from spotdx_async.resources import Kits, Orders

NOUNS = ("kits", "orders", "patients", "registration_tokens", "reports", "requisitions")
KIT = Kit(kit_id="SPOT000001")


def client_mocks() -> list[Any]:
    return [
        create_autospec(SpotClient, instance=True),
        create_autospec(SpotClient),
        create_autospec(SpotClient)("a-token"),
    ]


@pytest.mark.parametrize("client", client_mocks(), ids=["instance", "class", "called"])
async def test_an_autospec_reaches_the_methods_of_nouns(client: Any) -> None:
    client.kits.update_metadata.return_value = KIT

    assert await client.kits.update_metadata("SPOT000001", {"cohort": "A"}) is KIT
    client.kits.update_metadata.assert_awaited_once_with("SPOT000001", {"cohort": "A"})
    assert isinstance(client.kits, Kits)


@pytest.mark.parametrize("client", client_mocks(), ids=["instance", "class", "called"])
def test_an_autospec_refuses_what_a_noun_does_not_take(client: Any) -> None:
    with pytest.raises(TypeError, match="metadata"):
        client.kits.update_metadata("SPOT000001")
    with pytest.raises(AttributeError, match="update_metadta"):
        _ = client.kits.update_metadta
    with pytest.raises(AttributeError, match="kit"):
        _ = client.kit
    with pytest.raises(TypeError, match="not callable"):
        client.kits()


@pytest.mark.parametrize("noun", NOUNS)
def test_every_call_of_a_noun_can_be_awaited_and_every_other_method_cannot(noun: str) -> None:
    mock = getattr(create_autospec(SpotClient, instance=True), noun)
    kind = type(getattr(SpotClient, noun))
    methods = [name for name, _ in inspect.getmembers(kind, callable) if not name.startswith("_")]

    assert methods
    for name in methods:
        is_run = name.endswith("_many") or name in {"list", "changes"}
        assert isinstance(getattr(mock, name), AsyncMock) is not is_run, name


async def test_a_mock_of_lists_and_runs_gives_what_the_test_says() -> None:
    client = create_autospec(SpotClient, instance=True)
    pages = client.kits.list.return_value = create_autospec(Pages, instance=True)
    pages.__aiter__.return_value = [KIT]
    pages.first.return_value = [KIT]
    run = client.kits.update_metadata_many.return_value = create_autospec(BulkRun, instance=True)
    run.__aenter__.return_value = run
    run.__aiter__.return_value = [Outcome(index=0, key="SPOT000001", state="ok")]

    assert [kit async for kit in client.kits.list(kit_type="X")] == [KIT]
    assert await client.kits.list().first(1) == [KIT]
    async with client.kits.update_metadata_many([("SPOT000001", {})], concurrency=2) as rows:
        assert [row.state async for row in rows] == ["ok"]
    assert [kit async for kit in create_autospec(SpotClient, instance=True).kits.list()] == []


async def test_a_plain_async_mock_has_nouns_whose_calls_can_be_awaited() -> None:
    client = AsyncMock(spec=SpotClient)
    client.kits.get.return_value = KIT

    assert await client.kits.get("SPOT000001") is KIT
    assert await client.close() is client.close.return_value
    with pytest.raises(AttributeError):
        _ = client.kit


async def test_a_noun_can_be_patched_on_the_class_and_comes_back() -> None:
    client = SpotClient("a-token")
    with patch.object(SpotClient, "orders", MagicMock(spec=Orders)):
        assert isinstance(client.orders, MagicMock)

    assert type(client.orders) is Orders


@pytest.mark.parametrize("noun", NOUNS)
def test_a_patch_that_would_reach_no_client_is_refused(noun: str) -> None:
    method = "get" if noun in {"kits", "orders", "requisitions"} else "create" if noun != "reports" else "save"

    with (
        pytest.raises(AttributeError, match=f"SpotClient.{noun} belongs to no client: patch .*, or the {noun} of one"),
        patch(f"spotdx_async.SpotClient.{noun}.{method}", AsyncMock()),
    ):
        pass
    with patch(f"spotdx_async.SpotClient.{noun}", AsyncMock()) as mock:
        assert getattr(SpotClient("a-token"), noun) is mock


async def test_a_noun_of_the_class_says_that_it_has_no_client() -> None:
    with pytest.raises(
        AttributeError, match=r"SpotClient\.kits belongs to no client, and has no .*: make a SpotClient"
    ):
        await SpotClient.kits.get("SPOT000001")
    assert isinstance(SpotClient.kits, Kits)
    assert not hasattr(SpotClient.kits, "gett")


async def test_a_method_patched_on_the_class_of_a_noun_reaches_every_client() -> None:
    with patch("spotdx_async.resources.Kits.get", AsyncMock(return_value=KIT)):
        assert await SpotClient("a-token").kits.get("SPOT000001") is KIT


def test_a_noun_is_made_once_and_documented() -> None:
    client = SpotClient("a-token")

    assert client.kits is client.kits
    assert type(client.kits) is Kits
    assert "metadata" in (inspect.getattr_static(SpotClient, "kits").__doc__ or "")


class Study:
    """What a subclass makes of a client."""

    def __init__(self, client: SpotClient) -> None:
        self.kits = client.kits


class StudyClient(SpotClient):
    """A subclass with attributes of its own."""

    __slots__ = ("site",)
    cohort = "A"

    def __init__(self, study: str) -> None:
        super().__init__("a-token", timeout_s=5)
        self.study = study
        self.site = "Basel"
        self.__hidden = {"n": 1}

    @cached_property
    def own(self) -> Study:
        return Study(self)

    def hidden(self) -> dict[str, int]:
        return self.__hidden


class PlainSubclass(SpotClient):
    """A subclass without anything."""


def test_a_view_of_a_subclass_has_its_type_and_attributes() -> None:
    client = StudyClient("flu")
    _ = client.kits, client.own
    view = client.with_options(timeout_s=1)

    assert type(view) is StudyClient
    assert (view.study, view.site, view.cohort) == ("flu", "Basel", "A")
    assert view.hidden() is client.hidden()
    assert view.stats == client.stats
    assert type(PlainSubclass("a-token").with_options()) is PlainSubclass


def test_a_view_makes_nouns_and_cached_properties_anew() -> None:
    client = StudyClient("flu")
    _ = client.kits, client.own
    view = client.with_options(timeout_s=1, max_wait_s=2)
    again = view.with_options(deadline_s=9)

    assert view.kits is not client.kits
    assert view.own.kits is view.kits
    assert view.kits._runner.options.timeout_s == 1
    assert client.kits._runner.options.timeout_s == 5
    assert (again.kits._runner.options.max_wait_s, again.kits._runner.options.deadline_s) == (2, 9)
    assert again.kits._runner.state is client.kits._runner.state


def test_a_view_has_the_nouns_that_its_client_was_given() -> None:
    client: Any = SpotClient("a-token")
    made, client.orders = client.kits, MagicMock(spec=Orders)
    with patch.object(client, "kits", AsyncMock(spec=Kits)) as mock:
        assert client.with_options(timeout_s=1).with_options(timeout_s=2).kits is mock
    view = client.with_options(timeout_s=1)

    assert view.orders is client.orders
    assert type(view.kits) is Kits
    assert client.kits is made is not view.kits


def test_a_view_can_be_made_while_another_thread_asks_for_nouns() -> None:
    client = SpotClient("a-token")

    class Asking(str):
        """An attribute's name, at which another thread comes in while the attributes are gone through."""

        __slots__ = ()

        def __hash__(self) -> int:
            if is_asked:
                _ = client.kits, client.patients
            return super().__hash__()

    is_asked = False
    client.__dict__[Asking("study")] = "flu"
    is_asked = True

    assert vars(client.with_options(timeout_s=1))["study"] == "flu"


async def test_a_view_of_a_subclass_does_not_close_the_client() -> None:
    async with StudyClient("flu") as client:
        await client.with_options().close()

        assert client._state.is_open


def test_a_subclass_is_specced_with_its_own_attributes() -> None:
    client: Any = create_autospec(StudyClient, instance=True)

    assert client.cohort is not None
    assert client.hidden is not None
    with pytest.raises(TypeError, match="kit_id"):
        client.kits.get()
