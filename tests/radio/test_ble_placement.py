"""Sensors on adapters: pinned, least loaded, at most so many, and each refusal said once."""

from __future__ import annotations

from gateway.config import RadioConfig
from gateway.radio.ble_placement import MAX_HEARD, SETTLING_S, SHUNNED_S, Placement, Verdict


def test_the_only_adapter_is_granted_at_once_and_only_once() -> None:
    placement = Placement(RadioConfig(adapters=("hci0",)))
    assert placement.claim("A", "ECG-1", "hci0", 0.0) is Verdict.GRANTED
    assert placement.claim("A", "ECG-1", "hci0", 0.1) is Verdict.TAKEN
    placement.release("A")
    assert placement.claim("A", "ECG-1", "hci0", 0.2) is Verdict.GRANTED


def two_adapters(limit: int = 5, **assignments: str) -> Placement:
    return Placement(
        RadioConfig(
            adapters=("hci0", "hci1"), max_sensors_per_adapter=limit, assignments=assignments
        )
    )


def heard_by_both(placement: Placement, address: str, now_s: float) -> list[Verdict]:
    """Both adapters hear the sensor at once, and again when it has settled."""
    for adapter in ("hci0", "hci1"):
        assert placement.claim(address, address, adapter, now_s) is Verdict.WAIT
    later_s = now_s + SETTLING_S
    return [placement.claim(address, address, adapter, later_s) for adapter in ("hci0", "hci1")]


def test_the_least_loaded_adapter_that_hears_the_sensor_takes_it() -> None:
    placement = two_adapters()
    assert heard_by_both(placement, "A", 0.0) == [Verdict.GRANTED, Verdict.TAKEN]
    assert heard_by_both(placement, "B", 1.0) == [Verdict.WAIT, Verdict.GRANTED]


def test_an_adapter_that_does_not_hear_it_is_not_waited_for() -> None:
    placement = two_adapters()
    heard_by_both(placement, "A", 0.0)
    assert placement.claim("B", "B", "hci0", 1.0) is Verdict.WAIT
    assert placement.claim("B", "B", "hci0", 1.0 + SETTLING_S) is Verdict.GRANTED


def test_an_assignment_holds_even_where_the_other_adapter_is_free() -> None:
    placement = two_adapters(B="hci1")
    assert placement.claim("b", "B", "hci0", 9.0) is Verdict.WAIT
    assert placement.claim("b", "B", "hci1", 9.1) is Verdict.GRANTED


def test_a_full_ward_refuses_once_and_takes_the_sensor_when_there_is_room() -> None:
    placement = Placement(RadioConfig(adapters=("hci0",), max_sensors_per_adapter=1))
    placement.claim("A", "A", "hci0", 0.0)
    verdicts = [placement.claim("B", "B", "hci0", at_s) for at_s in (1.0, 2.0, 3.0)]
    assert verdicts == [Verdict.REFUSED, Verdict.WAIT, Verdict.WAIT]
    placement.release("A")
    assert placement.claim("B", "B", "hci0", 4.0) is Verdict.GRANTED


def test_a_full_adapter_leaves_the_sensor_to_the_other() -> None:
    placement = two_adapters(limit=1)
    assert heard_by_both(placement, "A", 0.0) == [Verdict.GRANTED, Verdict.TAKEN]
    assert heard_by_both(placement, "B", 1.0) == [Verdict.WAIT, Verdict.GRANTED]
    assert Verdict.REFUSED in heard_by_both(placement, "C", 2.0)


def test_made_up_addresses_do_not_fill_the_memory() -> None:
    placement = two_adapters(limit=1)
    for number in range(3 * MAX_HEARD):
        placement.claim(str(number), "stranger", "hci0", 0.0)
        assert len(placement._heard_s) <= MAX_HEARD


def test_a_sensor_whose_link_was_closed_is_left_alone_for_a_minute() -> None:
    placement = Placement(RadioConfig())
    assert placement.claim("A", "a", "hci0", 0.0) is Verdict.GRANTED
    placement.release("A")
    placement.shun("A", 10.0)
    assert placement.claim("A", "a", "hci0", 10.0 + SHUNNED_S - 0.1) is Verdict.WAIT
    assert placement.claim("A", "a", "hci0", 10.0 + SHUNNED_S) is Verdict.GRANTED
