"""What a user asks about kits, against the fake server."""

import asyncio
from datetime import date, datetime

import pytest

from spotdx_async import InvalidInputError, KitStatus, NotFoundError, SpotClient
from spotdx_async.testing import FakeSpot, faults


async def test_an_update_sets_the_metadata_and_gives_the_kit(fake_spot: FakeSpot, spot_client: SpotClient) -> None:
    kit = await spot_client.kits.update_metadata("SPOT123456", {"cohort": "A", "visit": 2})

    assert fake_spot.kits["SPOT123456"].metadata == {"cohort": "A", "visit": 2}
    assert kit.kit_id == "SPOT123456"
    assert kit.status is KitStatus.PREPARING
    assert kit.sample is not None
    report = kit.sample.reports[0]
    assert report is not None
    assert [result.result for result in report.results] == [123, "<10", "negative", "TT"]


async def test_a_gathered_batch_updates_every_kit(fake_spot: FakeSpot, spot_client: SpotClient) -> None:
    kit_ids = [f"SPOT{n}" for n in range(300)]
    fake_spot.kits.add_many(kit_ids)

    kits = await asyncio.gather(*(spot_client.kits.update_metadata(k, {"of": k}) for k in kit_ids))

    assert [kit.kit_id for kit in kits] == kit_ids
    assert all(fake_spot.kits[k].metadata == {"of": k} for k in kit_ids)


async def test_a_kit_that_the_server_does_not_know_is_a_not_found_error(spot_client: SpotClient) -> None:
    with pytest.raises(NotFoundError) as caught:
        await spot_client.kits.get("SPOTZZZZZZ")

    assert (caught.value.status, caught.value.type, caught.value.attempts) == (404, "not_found", 1)
    assert caught.value.operation == "GET /api/v2/kits/{kit_id}/"
    assert "SPOTZZZZZZ" in caught.value.details[0]
    assert "SPOTZZZZZZ" not in f"{caught.value} {caught.value!r} {caught.value.args}"


@pytest.mark.parametrize("kit_id", ["a/b", "ä ö", "50%", "?x=1", "#", "%2e%2e", "a+b&c;d"])
async def test_any_id_arrives_as_one_path_segment(fake_spot: FakeSpot, kit_id: str) -> None:
    fake_spot.kits.add(kit_id)

    kit = await fake_spot.client(allow_any_id=True).kits.update_metadata(kit_id, {"x": 1})

    assert kit.kit_id == kit_id
    assert fake_spot.kits[kit_id].metadata == {"x": 1}


@pytest.mark.parametrize("kit_id", ["", ".", "..", "a\nb", "a\x7f", "\ud800", None, 7])
async def test_an_unusable_id_is_refused_before_sending(
    fake_spot: FakeSpot, spot_client: SpotClient, kit_id: str
) -> None:
    with pytest.raises(InvalidInputError, match="kit_id"):
        await spot_client.kits.update_metadata(kit_id, {})
    assert fake_spot.counts["requests"] == 0


@pytest.mark.parametrize("metadata", [{"x": float("nan")}, {"x": float("inf")}, {1: 2}, {"x": {1, 2}}, [], None, "x"])
async def test_unusable_metadata_is_refused_before_sending(
    fake_spot: FakeSpot, spot_client: SpotClient, metadata: dict[str, object]
) -> None:
    with pytest.raises(InvalidInputError):
        await spot_client.kits.update_metadata("SPOT123456", metadata)
    assert fake_spot.counts["requests"] == 0


async def test_the_list_comes_in_pages_and_is_given_whole_and_in_order(
    fake_spot: FakeSpot, spot_client: SpotClient
) -> None:
    fake_spot.kits.add_many(250)

    listed = [kit.kit_id async for kit in spot_client.kits.list()]

    assert len(listed) == len(set(listed)) == 253
    assert [(r.query["results"], r.query["offset"]) for r in fake_spot.requests] == [
        ("100", "0"),
        ("100", "100"),
        ("100", "200"),
    ]
    assert len(await spot_client.kits.list().first(120)) == 120


async def test_filters_go_out_in_the_forms_of_the_contract(fake_spot: FakeSpot, spot_client: SpotClient) -> None:
    listing = spot_client.kits.list(
        email="a+b@example.org",
        has_order=False,
        kit_status=KitStatus.PREPARING,
        created_after=date(2023, 1, 1),
        created_before="2023-12-31",
    )
    await listing.first(5)

    assert fake_spot.requests[0].query == {
        "email": "a+b@example.org",
        "has_order": "false",
        "kit_status": "preparing",
        "created_after": "2023-01-01",
        "created_before": "2023-12-31",
        "results": "100",
        "offset": "0",
    }


@pytest.mark.parametrize(
    "filters",
    [
        {"created_after": "1.1.2023"},
        {"created_after": "2023-02-30"},
        {"updated_before": datetime(2023, 1, 1)},  # noqa: DTZ001 - a datetime is refused, with a zone or without
        {"email": "a\r\nb"},
        {"kit_type": ["x"]},
    ],
)
async def test_an_unusable_filter_is_refused_at_once(
    fake_spot: FakeSpot, spot_client: SpotClient, filters: dict[str, object]
) -> None:
    with pytest.raises(InvalidInputError):
        spot_client.kits.list(**filters)  # type: ignore[arg-type]  # what the test is about
    assert fake_spot.counts["requests"] == 0


async def test_the_types_come_as_a_list(spot_client: SpotClient) -> None:
    types = await spot_client.kits.types()

    assert isinstance(types, list)
    assert "health_kit_1" in types


async def test_an_unknown_status_and_field_are_data(fake_spot: FakeSpot, spot_client: SpotClient) -> None:
    fake_spot.faults.add("unknown_enum")

    kit = await spot_client.kits.update_metadata("SPOT123456", {})

    assert kit.status == faults.UNKNOWN_VALUE
    assert not isinstance(kit.status, KitStatus)
    assert kit.extra[faults.UNKNOWN_FIELD] == {"of": "a later version"}


async def test_request_reaches_an_endpoint_that_the_sdk_does_not_know(
    fake_spot: FakeSpot, spot_client: SpotClient
) -> None:
    fake_spot.faults.add("503")

    response = await spot_client.request("GET", "/api/v2/kits/SPOT123456/", query={"a b": True})

    assert response.status == 200
    assert response.headers["content-type"].startswith("application/json")
    assert response.json()["kit_id"] == "SPOT123456"
    assert response.attempts == 2
    assert fake_spot.requests[-1].query == {"a b": "true"}
    assert "SPOT123456" not in repr(response)


@pytest.mark.parametrize("path", ["api", "", "/a?b", "/a#b", "/a/../b", "/./a", "/a\nb", "/\ud800"])
async def test_request_refuses_a_path_that_would_go_elsewhere(spot_client: SpotClient, path: str) -> None:
    with pytest.raises(InvalidInputError):
        await spot_client.request("GET", path)


async def test_request_refuses_a_method_that_http_lacks(spot_client: SpotClient) -> None:
    with pytest.raises(InvalidInputError, match="method"):
        await spot_client.request("get", "/")
