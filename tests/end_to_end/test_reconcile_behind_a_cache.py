"""A cache between the client and the API never makes "not found" of what is there."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve

from spotdx_async import OutcomeUnknownError, Reconciliation, SpotClient
from spotdx_async._http import clock
from spotdx_async.resources import kits, orders, requisitions
from spotdx_async.testing import FakeSpot
from tests.end_to_end.caching_proxy import cached, path_alone
from tests.new_objects import ORDER, PATIENT, REQUISITION
from tests.programs import find, free_port, running

virtual_time = pytest.mark.virtual_time

KIT = "SPOT234567"
Doubtful = Callable[[SpotClient, int], Awaitable[Any]]
CREATES: dict[str, Doubtful] = {
    "orders": lambda spot, number: spot.orders.create(ORDER, client_ref=f"job-{number}"),
    "requisitions": lambda spot, number: spot.requisitions.create(
        evolve(REQUISITION, barcode=f"7774293832{number}"), client_ref=f"job-{number}"
    ),
}
ACTS: dict[str, Doubtful] = {
    **CREATES,
    "kits": lambda spot, _number: spot.kits.activate(KIT, patient=PATIENT),
}


@pytest.fixture
def one_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the time of day go with the virtual one."""
    began = datetime.now(UTC)
    monkeypatch.setattr(clock, "wall", lambda: began + timedelta(seconds=clock.now()))


async def doubt(spot: SpotClient, fake: FakeSpot, noun: str, number: int, fault: str) -> OutcomeUnknownError:
    fake.faults.add(fault, method="POST")
    with pytest.raises(OutcomeUnknownError) as caught:
        await ACTS[noun](spot, number)
    return caught.value


async def asked(spot: SpotClient, noun: str, error: OutcomeUnknownError) -> Reconciliation[Any]:
    found: Reconciliation[Any] = await getattr(spot, noun).reconcile(error)
    return found


@virtual_time
@pytest.mark.parametrize("dates_anew", [True, False])
@pytest.mark.parametrize("noun", CREATES)
async def test_a_cache_that_obeys_nothing_cannot_answer_a_look_from_an_earlier_one(
    noun: str, *, dates_anew: bool
) -> None:
    async with FakeSpot() as fake, cached(fake, dates_anew=dates_anew) as proxy:
        spot = fake.client(base_url=proxy.url)
        assert (await asked(spot, noun, await doubt(spot, fake, noun, 1, "drop_before"))).state == "not found"
        error = await doubt(spot, fake, noun, 2, "drop_after")

        found = await asked(spot, noun, error)

        assert (found.state, len(fake.creations)) == ("found", 1)


@virtual_time
@pytest.mark.parametrize("noun", ACTS)
async def test_a_cache_that_obeys_is_told_to_ask_the_server(noun: str) -> None:
    async with FakeSpot() as fake, cached(fake, key=path_alone, obeys=True) as proxy:
        spot = fake.client(base_url=proxy.url)
        assert (await asked(spot, noun, await doubt(spot, fake, noun, 1, "drop_before"))).state == "not found"
        error = await doubt(spot, fake, noun, 2, "drop_after")

        assert (await asked(spot, noun, error)).state == "found"
        assert proxy.hits == []


@virtual_time
@pytest.mark.parametrize("noun", ACTS)
async def test_what_is_told_to_be_old_is_no_proof_of_absence(noun: str) -> None:
    async with FakeSpot() as fake, cached(fake, key=path_alone, tells_age=True, dates_anew=True) as proxy:
        spot = fake.client(base_url=proxy.url)
        await asked(spot, noun, await doubt(spot, fake, noun, 1, "drop_before"))
        error = await doubt(spot, fake, noun, 2, "drop_after")

        found = await asked(spot, noun, error)

        assert (found.state, found.value) == ("unknown", None)
        assert "cache" in str(found.error)
        assert proxy.hits != []


@virtual_time
@pytest.mark.usefixtures("one_clock")
@pytest.mark.parametrize("noun", ACTS)
async def test_what_is_dated_before_an_earlier_look_is_no_proof_of_absence(noun: str) -> None:
    async with FakeSpot() as fake, cached(fake, key=path_alone) as proxy:
        spot = fake.client(base_url=proxy.url)
        missing = await asked(spot, noun, await doubt(spot, fake, noun, 1, "drop_before"))
        error = await doubt(spot, fake, noun, 2, "drop_after")

        found = await asked(spot, noun, error)

        # The first one, too: its last look was answered from its first, so nobody knows what landed since.
        assert (missing.state, found.state) == ("unknown", "unknown")
        assert "Date" in str(found.error)


def first_pages_apart(target: str) -> str:
    return target if "offset=0" in target else "another page"


@virtual_time
async def test_a_page_out_of_a_cache_is_no_proof_of_absence() -> None:
    async with FakeSpot() as fake, cached(fake, key=first_pages_apart, tells_age=True, dates_anew=True) as proxy:
        spot = fake.client(base_url=proxy.url)
        for number in range(130):
            await spot.orders.create(ORDER, client_ref=f"another-{number}")

        found = await asked(spot, "orders", await doubt(spot, fake, "orders", 1, "drop_before"))

        assert proxy.hits != []
        assert found.state == "unknown"
        # A page that was cached in the same second has the Age 0, and only shows that it is the same for every offset.
        assert any(why in str(found.error) for why in ("cache", "the same page for every offset"))


READS: dict[str, Callable[[SpotClient], Awaitable[Any]]] = {
    "kits.get": lambda spot: spot.kits.get(KIT),
    "kits.list": lambda spot: spot.kits.list().first(1),
    "kits.types": lambda spot: spot.kits.types(),
    "orders.get": lambda spot: spot.orders.get("ORDER123456"),
    "orders.list": lambda spot: spot.orders.list().first(1),
    "requisitions.list": lambda spot: spot.requisitions.list().first(1),
    "request": lambda spot: spot.request("GET", "/api/v2/kits/"),
}


@virtual_time
@pytest.mark.parametrize("name", READS)
async def test_every_read_asks_caches_for_the_servers_own_answer(name: str) -> None:
    async with FakeSpot() as fake:
        await READS[name](fake.client())

        assert [request.headers.get("cache-control") for request in fake.requests] == ["no-cache"]


@virtual_time
async def test_what_changes_something_says_nothing_to_caches() -> None:
    async with FakeSpot() as fake:
        await fake.client().kits.update_metadata(KIT, {})
        await fake.client().patients.create(PATIENT)

        assert all("cache-control" not in request.headers for request in fake.requests)


@virtual_time
@pytest.mark.parametrize("noun", CREATES)
async def test_no_two_looks_have_the_same_url_and_all_keep_to_the_contract(noun: str) -> None:
    documented = {"orders": orders.LIST.query, "requisitions": requisitions.LIST.query, "kits": kits.LIST.query}[noun]
    async with FakeSpot() as fake:
        spot = fake.client()
        for number in range(2):
            for _ in range(10):
                await asked_at_once(spot, noun, number)
        looks = [request for request in fake.requests if request.path == f"/api/v2/{noun}/"]

        targets = [str(sorted(request.query.items())) for request in looks]  # as a cache would that sorts the query
        assert len(looks) >= 20
        assert len(set(targets)) >= len(targets) - 1  # one in some hundred thousand may be drawn twice
        for request in looks:
            assert set(request.query) <= {*documented}
            assert 1 <= int(request.query["results"]) <= 100
            assert date.fromisoformat(request.query["created_before"]).year >= 2100


async def asked_at_once(spot: SpotClient, noun: str, number: int) -> None:
    sent_at = datetime.now(UTC) - timedelta(hours=1)
    found = await getattr(spot, noun).reconcile(client_ref=f"job-{number}", sent_at=sent_at)
    assert found.state == "not found"


# A real one

NGINX = """daemon off; master_process off; pid {at}/pid; error_log {at}/error.log; events {{}}
http {{
  access_log off; client_body_temp_path {at}/b; proxy_temp_path {at}/p; fastcgi_temp_path {at}/f;
  uwsgi_temp_path {at}/u; scgi_temp_path {at}/s; proxy_cache_path {at}/cache keys_zone=z:1m;
  server {{ listen 127.0.0.1:{port}; location / {{
    proxy_pass {to}; proxy_cache z; proxy_cache_valid 200 10m; proxy_next_upstream off; }} }}
}}"""


@asynccontextmanager
async def nginx_before(url: str, folder: Path) -> AsyncIterator[str]:
    """Let nginx with a cache, in its usual settings, stand before a server."""
    program, port = find("nginx", "nginx"), free_port()
    settings = folder / "nginx.conf"
    settings.write_text(NGINX.format(at=folder, port=port, to=url))
    async with running(program, "-c", str(settings), "-e", str(folder / "error.log"), port=port):
        yield f"http://127.0.0.1:{port}"


@pytest.mark.parametrize("noun", CREATES)
async def test_nginx_with_a_cache_hides_nothing_that_was_created(noun: str, tmp_path: Path) -> None:
    async with FakeSpot() as fake, nginx_before(fake.url, tmp_path) as url:
        async with fake.client(base_url=url, lands_within_s=1, timeout_s=1) as spot:
            missing = await asked(spot, noun, await doubt(spot, fake, noun, 1, "drop_before"))
            found = await asked(spot, noun, await doubt(spot, fake, noun, 2, "drop_after"))

        assert (missing.state, found.state, len(fake.creations)) == ("not found", "found", 1)
