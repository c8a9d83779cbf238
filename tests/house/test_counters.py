from __future__ import annotations

import threading

import pytest

from gateway.counters import MAX_SERIES, OVERFLOW, Counters


def test_prometheus_text() -> None:
    counters = Counters()
    counters.add("ecg_frames_total", 3)
    counters.add("ecg_frames_refused_total", sensor="ECG-00000001", reason="replayed")
    counters.add("ecg_frames_refused_total", 2, sensor="ECG-00000001", reason="not authentic")
    assert counters.render() == (
        "# TYPE ecg_frames_refused_total counter\n"
        'ecg_frames_refused_total{reason="not authentic",sensor="ECG-00000001"} 2\n'
        'ecg_frames_refused_total{reason="replayed",sensor="ECG-00000001"} 1\n'
        "# TYPE ecg_frames_total counter\n"
        "ecg_frames_total 3\n"
    )


def test_label_values_are_escaped() -> None:
    counters = Counters()
    counters.add("ecg_x_total", reason='a"b\\c\nd')
    assert 'reason="a\\"b\\\\c\\nd"' in counters.render()


def test_value_sums_what_fits_the_labels() -> None:
    counters = Counters()
    counters.add("ecg_x_total", 2, sensor="a", reason="r")
    counters.add("ecg_x_total", 3, sensor="b", reason="r")
    assert counters.value("ecg_x_total", sensor="a") == 2
    assert counters.value("ecg_x_total", reason="r") == 5
    assert counters.value("ecg_x_total") == 5
    assert counters.value("ecg_y_total") == 0


@pytest.mark.parametrize(("name", "count"), [("Frames", 1), ("frames", 1), ("x_total", -1)])
def test_what_is_no_counter_is_refused(name: str, count: int) -> None:
    with pytest.raises(ValueError, match="not a counter"):
        Counters().add(name, count)


def test_series_are_bounded_and_the_rest_is_counted() -> None:
    counters = Counters()
    for number in range(MAX_SERIES + 2):
        counters.add("ecg_x_total", sensor=str(number))
    assert counters.value("ecg_x_total") == MAX_SERIES
    assert counters.value(OVERFLOW) == 2
    counters.add("ecg_x_total", sensor="0")
    assert counters.value("ecg_x_total", sensor="0") == 2


def test_threads_lose_no_count() -> None:
    counters = Counters()

    def count() -> None:
        for _ in range(10_000):
            counters.add("ecg_x_total")

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counters.value("ecg_x_total") == 40_000
