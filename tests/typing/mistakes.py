"""Mistakes of users, each of which both type checkers must refuse by the rule beside it. Checked, never run.

A mark whose line is accepted is an error too, so that nothing here can become right unnoticed.
"""

import spotdx_async
from spotdx_async import (
    Address,
    Kit,
    KitActivation,
    KitStatus,
    MetadataUpdate,
    NewOrder,
    NewOrderRow,
    NewPatient,
    NewRequisition,
    OrderMetadataUpdate,
    RateLimit,
    Recipient,
    Result,
    SpotClient,
    SpotError,
    dumps,
    loads,
)
from spotdx_async.testing import FakeSpot

# What follows from a mistake, and not the mistake itself:
# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false, reportUnknownVariableType=false


def use(_value: object) -> None: ...


def misspelled_names() -> None:
    """Names of the packages that import them on first use."""
    use(spotdx_async.Kitt)  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
    use(spotdx_async.models.Kitt)  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]


class OnlyAcquires:
    async def acquire(self) -> None: ...


class PausesInWords:
    async def acquire(self) -> None: ...

    def pause(self, seconds: str) -> None: ...


def token_of_bytes() -> bytes:
    return b"token"


def wrong_settings() -> None:
    SpotClient(5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    SpotClient(token_of_bytes)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    SpotClient("token", "https://spot.example")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    SpotClient(timeout=5)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    SpotClient(retry=3)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    SpotClient(rate_limit=50)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    SpotClient(rate_limit=OnlyAcquires())  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    SpotClient(rate_limit=PausesInWords())  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    RateLimit("50")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    SpotClient().with_options(timeout=5)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    SpotClient().with_options(timeout_s="5")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    SpotClient().with_options(concurrency=5)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    with SpotClient():  # type: ignore[attr-defined]  # pyright: ignore[reportGeneralTypeIssues]
        pass


async def wrong_calls(spot: SpotClient, order: NewOrder, patient: NewPatient) -> None:
    spot.kits.get("SPOT123456")  # type: ignore[unused-coroutine]  # pyright: ignore[reportUnusedCoroutine]
    await spot.kits.get(123456)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await spot.kits.update_metadata("SPOT123456")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    await spot.kits.update_metadata("SPOT123456", "cohort=A")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await spot.kits.update_metadata("SPOT123456", {1: "A"})  # type: ignore[dict-item]  # pyright: ignore[reportArgumentType]
    await spot.kits.activate("SPOT123456", "P1")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    await spot.kits.activate("SPOT123456", patient={"first_name": "A"})  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    spot.kits.list(status="delivered")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    spot.kits.list(has_order="yes")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    spot.orders.list(statuses="held")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    spot.kits.list(on_bad_item="drop")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await spot.kits.list()  # type: ignore[misc]  # pyright: ignore[reportGeneralTypeIssues]
    await spot.orders.create(patient)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await spot.orders.create(order, "reference")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    await spot.orders.reconcile(SpotError())  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    spot.kits.changes(7)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    spot.kits.changes(every_s=60)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    spot.kits.changes().nudge(7)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await spot.kits.changes()  # type: ignore[misc]  # pyright: ignore[reportGeneralTypeIssues]
    await spot.kits.wait_until("SPOT123456", lambda kit: kit.status)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    await spot.kits.wait_until("SPOT123456", "delivered", deadline_s=1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await spot.order.get("O1")  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]


async def wrong_files(spot: SpotClient, kit: Kit) -> None:
    await spot.reports.save(kit, "a.pdf")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await spot.reports.save("https://app.spotkits.com/a", b"a.pdf")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await spot.reports.save("https://app.spotkits.com/a", "a", kind="doc")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await spot.reports.save("https://app.spotkits.com/a", "a", "txt")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


async def wrong_rows(spot: SpotClient) -> None:
    spot.kits.update_metadata_many(["SPOT123456"])  # type: ignore[list-item]  # pyright: ignore[reportArgumentType]
    spot.kits.update_metadata_many([OrderMetadataUpdate("O1", {})])  # type: ignore[list-item]  # pyright: ignore[reportArgumentType]
    spot.orders.update_metadata_many([MetadataUpdate("SPOT123456", {})])  # type: ignore[list-item]  # pyright: ignore[reportArgumentType]
    spot.kits.update_metadata_many([("SPOT123456", "A")])  # type: ignore[list-item]  # pyright: ignore[reportArgumentType]
    spot.kits.update_metadata_many({"SPOT123456": {"cohort": "A"}})  # type: ignore[dict-item]  # pyright: ignore[reportArgumentType]
    spot.kits.update_metadata_many([], concurency=8)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    spot.orders.update_metadata_many([], concurrency="8")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    for outcome in spot.kits.update_metadata_many([]):  # type: ignore[attr-defined]  # pyright: ignore[reportGeneralTypeIssues]
        use(outcome)
    async for outcome in spot.kits.update_metadata_many([]):
        use(outcome.value.kit_id)  # type: ignore[union-attr]  # pyright: ignore[reportOptionalMemberAccess]
        use(outcome.state == "done")  # type: ignore[comparison-overlap]  # pyright: ignore[reportUnnecessaryComparison]
        outcome.state = "ok"  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]


def wrong_reading(kit: Kit, result: Result, error: SpotError) -> None:
    use(kit.kit_id.upper())  # type: ignore[union-attr]  # pyright: ignore[reportOptionalMemberAccess]
    use(kit.sample.status)  # type: ignore[union-attr]  # pyright: ignore[reportOptionalMemberAccess]
    use(kit.metadata)  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
    kit.status = KitStatus.DELIVERED  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]
    use(KitStatus.LOST)  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
    use(result.result.upper())  # type: ignore[union-attr]  # pyright: ignore[reportAttributeAccessIssue, reportOptionalMemberAccess]
    use(error.status)  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
    Kit("SPOT123456")  # type: ignore[call-arg, arg-type]  # pyright: ignore[reportCallIssue]
    Recipient(name="A")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    NewOrder(kit_types=("health_kit_1",), recipient="A")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    loads({"kit_id": "SPOT123456"}, Kit)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    text: str = dumps(kit)  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]
    use(text)


def left_out(address: Address, patient: NewPatient, recipient: Recipient) -> None:
    NewOrder(kit_types=("health_kit_1",))  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    NewOrder(recipient=recipient)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    Recipient(first_name="A", last_name="B", email="a@b.example", address=address)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    Address(street1="1 Example Street", city="Springfield", state="IL", zip="62701")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    NewPatient(first_name="A", last_name="B", email="a@b.example", sex="F")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    NewRequisition(barcode="77742938328", panels=("P",), account_number="1", lab="CRL", patient=patient)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    NewOrderRow("key")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    KitActivation(patient_id="P1")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


async def wrong_tests(fake: FakeSpot) -> None:
    fake.faults.add(502)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    FakeSpot(kits="SPOT123456", latency="slow")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    use(fake.kits[0])  # type: ignore[index]  # pyright: ignore[reportArgumentType]


def private(kit: Kit, patient: NewPatient) -> None:
    use(kit._as_came)  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
    NewOrderRow("key", NewOrder(kit_types=(), recipient=None, as_came={}))  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    use(patient.extra)
