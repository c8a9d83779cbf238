from gateway.messages import Beat, SampleIndex
from gateway.ward.late_stretch import beats_not_found_before


def beat(r_sample: int) -> Beat:
    return Beat(SampleIndex(r_sample), 1000.0, None, False, None)


def test_a_heartbeat_that_the_edge_of_a_gap_cuts_is_counted_once():
    late = [beat(1004), beat(1200), beat(1396)]
    live = [beat(800), beat(990), beat(1410), beat(1600)]
    assert beats_not_found_before(late, live, sample_rate_hz=250) == (beat(1200),)


def test_beats_that_follow_each_other_fast_are_all_kept():
    late = [beat(1050), beat(1100), beat(1150)]
    assert beats_not_found_before(late, [beat(1000), beat(1200)], 250) == tuple(late)
