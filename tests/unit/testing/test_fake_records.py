from spotdx_async.testing.records import RequestLog
from spotdx_async.testing.routes import Call
from spotdx_async.testing.state import SpotState

STATE = SpotState()


def arrive(log: RequestLog, call: Call) -> None:
    log.arrived(call, at_s=1.5, headers={"Authorization": "Token secret", "X-A": "b"}, connection=4711)


def update(index: int = 0, body: bytes = b'{"metadata": {"note": "secret"}}') -> Call:
    return STATE.read("POST", "/api/v2/kits/SPOT%201/?email=secret", body, index=index)


def test_a_record_tells_what_came() -> None:
    log = RequestLog()

    arrive(log, update())

    (record,) = log.records
    assert (record.index, record.at_s, record.method) == (0, 1.5, "POST")
    assert (record.template, record.path, record.kit_id) == (
        "/api/v2/kits/{kit_id}/",
        "/api/v2/kits/SPOT%201/",
        "SPOT 1",
    )
    assert record.order_id is None
    assert record.query == {"email": "secret"}
    assert record.metadata == {"note": "secret"}
    assert record.headers == {"authorization": "Token secret", "x-a": "b"}
    assert record.connection == 4711
    assert (record.executed, record.fault, record.status, record.ended_at_s) == (False, None, None, None)


def test_a_record_tells_which_order_it_is_about() -> None:
    log = RequestLog()

    arrive(log, STATE.read("GET", "/api/v2/orders/O%201/"))

    assert (log.records[0].order_id, log.records[0].kit_id) == ("O 1", None)
    assert "O 1" not in repr(log.records[0])


def test_a_record_tells_which_requisition_it_is_about() -> None:
    log = RequestLog()

    arrive(log, STATE.read("GET", "/api/v2/requisitions/R%201"))

    assert (log.records[0].requisition_id, log.records[0].order_id) == ("R 1", None)
    assert "R 1" not in repr(log.records[0])


def test_a_record_follows_what_happens_to_its_request() -> None:
    log = RequestLog()
    arrive(log, update())

    log.fault_played(0, "slow_answer")
    log.executed(0)
    before_the_answer = log.records[0]
    log.ended(0, 200, at_s=2.5)

    assert (before_the_answer.executed, before_the_answer.fault, before_the_answer.status) == (
        True,
        "slow_answer",
        None,
    )
    assert (log.records[0].status, log.records[0].ended_at_s) == (200, 2.5)


def test_no_metadata_is_none() -> None:
    log = RequestLog()
    for index, body in enumerate((b"", b"[1]", b"no json", b"{}")):
        arrive(log, update(index, body))

    assert [record.metadata for record in log.records] == [None] * 4
    assert [record.body for record in log.records] == [None, [1], None, {}]


def test_counts_say_what_happened_and_how_often() -> None:
    log = RequestLog()
    for index in range(3):
        assert log.next_index == index
        arrive(log, update(index))
    log.executed(0)
    log.ended(0, 200, at_s=2)
    log.fault_played(1, "drop_before")
    log.ended(1, None, at_s=2)

    assert log.counts == {"requests": 3, "executed": 1, "200": 1, "faults": 1, "dropped": 1}
    assert log.counts["503"] == 0


def test_counts_alone_are_kept_where_records_are_not_wanted() -> None:
    log = RequestLog(keep=False)

    arrive(log, update())
    log.executed(0)
    log.ended(0, 200, at_s=2)

    assert log.records == []
    assert log.counts == {"requests": 1, "executed": 1, "200": 1}


def test_the_records_are_a_copy() -> None:
    log = RequestLog()
    arrive(log, update())

    log.records.clear()

    assert len(log.records) == 1


def test_the_repr_of_a_record_shows_no_id_query_header_or_body() -> None:
    log = RequestLog()
    arrive(log, update())

    text = repr(log.records[0])

    assert "/api/v2/kits/{kit_id}/" in text
    assert "secret" not in text
    assert "SPOT" not in text
