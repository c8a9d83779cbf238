import numpy as np
import pytest

from model.noise_level import noise_power, qrs_power
from model.records import AnnotatedRecord
from model.robustness import CONDITIONS, amplified, at_rate, second_half_uv

RATE_HZ = 360
SPIKE_UV = 1000.0


def spikes(seconds: int = 60) -> AnnotatedRecord:
    """A triangle of 100 ms and 1 mV once a second, every tenth of them V."""
    beat_samples = np.arange(RATE_HZ // 2, seconds * RATE_HZ, RATE_HZ)
    amplitude_uv = np.zeros(seconds * RATE_HZ)
    for r in beat_samples:
        amplitude_uv[r - 18 : r + 19] = SPIKE_UV * (1 - np.abs(np.arange(-18, 19)) / 18)
    classes = np.where(np.arange(seconds) % 10 == 0, "V", "N")
    return AnnotatedRecord("100", RATE_HZ, amplitude_uv, beat_samples, classes, amplitude_uv)


@pytest.mark.parametrize("rate_hz", [125, 250, 500])
def test_beats_keep_their_place_at_another_rate(rate_hz):
    record = at_rate(spikes(), rate_hz)
    assert record.sample_rate_hz == rate_hz
    assert record.amplitude_uv.size == 60 * rate_hz
    for r in record.beat_samples:
        around = record.amplitude_uv[r - rate_hz // 4 : r + rate_hz // 4]
        assert abs(int(np.argmax(around)) - rate_hz // 4) <= 1
    assert record.amplitude_uv.max() == pytest.approx(SPIKE_UV, rel=0.1)


def test_gain_and_polarity_leave_time_alone():
    record = spikes()
    reversed_lead = CONDITIONS["lead reversed"](record)
    np.testing.assert_array_equal(reversed_lead.amplitude_uv, -record.amplitude_uv)
    np.testing.assert_array_equal(reversed_lead.beat_samples, record.beat_samples)
    assert amplified(record, 0.25).amplitude_uv.max() == SPIKE_UV / 4


def test_the_qrs_is_measured_peak_to_peak_without_its_extremes():
    record = spikes()
    power = qrs_power(record.amplitude_uv, record.beat_samples, RATE_HZ)
    assert power == pytest.approx(SPIKE_UV**2 / 8)
    record.amplitude_uv[record.beat_samples[7]] = 50 * SPIKE_UV  # an artefact
    assert qrs_power(record.amplitude_uv, record.beat_samples, RATE_HZ) == pytest.approx(power)


def test_noise_power_forgets_the_offset_of_each_second():
    noise = np.tile([-30.0, 30.0], 60 * RATE_HZ // 2) + np.repeat(np.arange(60.0), RATE_HZ)
    assert noise_power(noise, RATE_HZ) == pytest.approx(900.0)


@pytest.mark.recordings
@pytest.mark.parametrize(("noises", "snr_db"), [("bw", 24), ("ma", 12), ("bw and ma", 6)])
def test_noise_has_the_ratio_that_the_condition_names(noises, snr_db):
    record = spikes(900)
    mixed = CONDITIONS[f"{noises} noise, {snr_db} dB"](record)
    added = mixed.amplitude_uv - record.amplitude_uv
    ratio = qrs_power(record.amplitude_uv, record.beat_samples, RATE_HZ) / noise_power(
        added, RATE_HZ
    )
    assert 10 * np.log10(ratio) == pytest.approx(snr_db, abs=1.5)  # both: correlated by chance


@pytest.mark.recordings
def test_the_noise_is_not_what_training_was_given():
    import wfdb

    from model.records import database_path

    noise = wfdb.rdrecord(str(database_path("nstdb") / "bw"), channels=[0]).p_signal[:, 0] * 1000
    half = second_half_uv("bw")
    assert half.size == noise.size // 2
    assert np.ptp(half - noise[noise.size // 2 :]) == pytest.approx(0.0, abs=1e-6)
