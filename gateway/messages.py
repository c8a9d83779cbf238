"""The values that travel between stages.

Each is frozen and checked when it is made: what exists is valid, and no stage checks it again.
Time inside the signal path is the sensor's sample index; seconds of the wall clock appear only
at the edges (`received_at_s`), always as Unix seconds.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NewType

import numpy as np
from numpy.typing import NDArray

SampleIndex = NewType("SampleIndex", int)
FrameSequence = NewType("FrameSequence", int)
DeviceId = NewType("DeviceId", int)

SAMPLES_PER_FRAME = 187
MICROVOLTS_PER_STEP = 5
INVALID_STEP = -32768
LEGAL_SAMPLE_RATES_HZ = (125, 250, 360, 500)
BEAT_WINDOW_SAMPLES = 187
BEAT_WINDOW_RATE_HZ = 125
SALT_BYTES = 16
MAX_U32 = 2**32 - 1


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise ValueError(message)


def _read_only(array: NDArray[np.generic]) -> None:
    array.flags.writeable = False


class FrameFlags(enum.IntFlag):
    """What the sensor says of a frame's samples (header byte 3)."""

    LEAD_OFF_POSITIVE = 1
    LEAD_OFF_NEGATIVE = 2
    INVALID_SAMPLES = 4
    CLIPPED = 8


ALL_FRAME_FLAGS = FrameFlags(15)


@dataclass(frozen=True, slots=True)
class SessionId:
    """One unbroken run of a sensor between two starts."""

    device_id: DeviceId
    boot_id: int
    salt: bytes

    def __post_init__(self) -> None:
        _require(0 <= self.device_id <= MAX_U32, "device_id is an unsigned 32-bit number")
        _require(0 <= self.boot_id <= MAX_U32, "boot_id is an unsigned 32-bit number")
        _require(len(self.salt) == SALT_BYTES, "salt is 16 bytes")

    @property
    def name(self) -> str:
        """What people see: the device's name and the first 8 hex digits of the salt."""
        return f"{device_name(self.device_id)}/{self.salt[:4].hex()}"


def device_name(device_id: int) -> str:
    return f"ECG-{device_id:08X}"


@dataclass(frozen=True, slots=True)
class Frame:
    """187 samples that proved authentic, with the sealed bytes that they came in.

    `steps` are int16 in units of 5 µV around mid-rail; −32768 marks an invalid sample.
    """

    session: SessionId
    sequence: FrameSequence
    flags: FrameFlags
    device_time_us: int
    sample_rate_hz: int
    steps: NDArray[np.int16]
    sealed: bytes

    def __post_init__(self) -> None:
        _require(0 <= self.sequence <= MAX_U32, "sequence is an unsigned 32-bit number")
        _require(0 <= self.flags <= ALL_FRAME_FLAGS, "unknown frame flags")
        _require(0 <= self.device_time_us < 2**64, "device_time_us is an unsigned 64-bit number")
        _require(self.sample_rate_hz in LEGAL_SAMPLE_RATES_HZ, "sample rate is not legal")
        _require(self.steps.shape == (SAMPLES_PER_FRAME,), "a frame holds 187 samples")
        _require(self.steps.dtype == np.int16, "samples are int16")
        _read_only(self.steps)

    @property
    def first_sample(self) -> SampleIndex:
        return SampleIndex(self.sequence * SAMPLES_PER_FRAME)


@dataclass(frozen=True, slots=True)
class SampleBlock:
    """Consecutive valid samples on a session's axis; `amplitude_uv` has shape (n,), n ≥ 1."""

    start: SampleIndex
    sample_rate_hz: int
    amplitude_uv: NDArray[np.float64]
    lead_off: bool = False
    clipped: bool = False

    def __post_init__(self) -> None:
        _require(self.start >= 0, "start is not negative")
        _require(self.sample_rate_hz in LEGAL_SAMPLE_RATES_HZ, "sample rate is not legal")
        _require(self.amplitude_uv.ndim == 1 and self.amplitude_uv.size > 0, "shape is (n,), n ≥ 1")
        _require(self.amplitude_uv.dtype == np.float64, "amplitude is float64")
        _read_only(self.amplitude_uv)

    @property
    def end(self) -> SampleIndex:
        """One past the last sample."""
        return SampleIndex(self.start + self.amplitude_uv.size)


class GapReason(enum.StrEnum):
    LOST = "lost"  # frames that did not arrive in time, or never will
    INVALID = "invalid"  # samples that the sensor itself marked invalid


@dataclass(frozen=True, slots=True)
class Gap:
    """`length` samples from `start` on whose value is not known."""

    start: SampleIndex
    length: int
    reason: GapReason = GapReason.LOST

    def __post_init__(self) -> None:
        _require(self.start >= 0, "start is not negative")
        _require(self.length > 0, "a gap has a length")

    @property
    def end(self) -> SampleIndex:
        """One past the last missing sample."""
        return SampleIndex(self.start + self.length)


@dataclass(frozen=True, slots=True)
class RPeak:
    """A heartbeat's R peak. `amplitude_uv` is the band-passed deflection, signed."""

    sample: SampleIndex
    amplitude_uv: float
    searched_back: bool = False  # found late, after a lowered threshold


@dataclass(frozen=True, slots=True)
class BeatWindow:
    """A beat as the classifier needs it: 187 samples at 125 Hz, band-passed, in µV.

    `samples` is None where part of the window is unknown (a gap, or the record's end).
    """

    r_sample: SampleIndex
    rr_ms: float | None
    samples: NDArray[np.float32] | None

    def __post_init__(self) -> None:
        if self.samples is not None:
            _require(self.samples.shape == (BEAT_WINDOW_SAMPLES,), "a window holds 187 samples")
            _read_only(self.samples)


@dataclass(frozen=True, slots=True)
class BeatInContext:
    """What the classifier is given of a beat: its window and what came before it.

    `samples`, and this patient's `usual` and `late` beat, are (187,) in µV; `rr_features` are
    those that `dsp.beat_context` names.
    """

    r_sample: SampleIndex
    samples: NDArray[np.float32]
    usual: NDArray[np.float32]
    late: NDArray[np.float32]
    rr_features: NDArray[np.float32]

    def __post_init__(self) -> None:
        for window in (self.samples, self.usual, self.late):
            _require(window.shape == (BEAT_WINDOW_SAMPLES,), "a window holds 187 samples")
        for array in (self.samples, self.usual, self.late, self.rr_features):
            _read_only(array)


class BeatClass(enum.StrEnum):
    """AAMI EC57 heartbeat classes."""

    NORMAL = "N"
    SUPRAVENTRICULAR = "S"
    VENTRICULAR = "V"
    FUSION = "F"
    UNKNOWN = "Q"


@dataclass(frozen=True, slots=True)
class BeatLabel:
    """The classifier's word on one beat."""

    beat_class: BeatClass
    p_abnormal: float

    def __post_init__(self) -> None:
        _require(0.0 <= self.p_abnormal <= 1.0, "p_abnormal is a probability")


@dataclass(frozen=True, slots=True)
class Beat:
    """A finished beat. `label` is None where the signal did not allow one."""

    r_sample: SampleIndex
    amplitude_uv: float
    rr_ms: float | None
    searched_back: bool
    label: BeatLabel | None


class QualityReason(enum.StrEnum):
    """Why a second of signal is poor."""

    GAP = "gap"
    LEAD_OFF = "lead off"
    FLAT = "flat"
    CLIPPED = "clipped"
    MAINS = "mains"
    BASELINE_WANDER = "baseline wander"
    MUSCLE = "muscle"
    ELECTRODE_MOTION = "electrode motion"
    IMPLAUSIBLE_RATE = "implausible rate"
    DETECTOR_DISAGREEMENT = "detector disagreement"
    TEMPLATE_MISMATCH = "template mismatch"


@dataclass(frozen=True, slots=True)
class Quality:
    """Signal quality of the second that starts at `start`: index 0–1 and its reasons.

    `rate_usable` gates the heart rate (a beat's label is gated by the same scores, more mildly and
    at the beat's own time); `lethal_usable` gates the lethal alarms alone and
    takes only invalid samples, lead-off, clipping and proven artefact.
    """

    start: SampleIndex
    index: float
    reasons: frozenset[QualityReason]
    rate_usable: bool
    lethal_usable: bool

    def __post_init__(self) -> None:
        _require(0.0 <= self.index <= 1.0, "a quality index lies in 0–1")


@dataclass(frozen=True, slots=True)
class VitalSigns:
    """One second of a session: heart rate (None where it is not known) and quality."""

    start: SampleIndex
    heart_rate_bpm: float | None
    quality: Quality


class RhythmKind(enum.StrEnum):
    ASYSTOLE = "asystole"
    VENTRICULAR_FIBRILLATION = "ventricular fibrillation"  # or flutter
    VENTRICULAR_TACHYCARDIA = "ventricular tachycardia"
    EXTREME_BRADYCARDIA = "extreme bradycardia"
    EXTREME_TACHYCARDIA = "extreme tachycardia"
    BRADYCARDIA = "bradycardia"
    TACHYCARDIA = "tachycardia"
    PAUSE = "pause"
    VENTRICULAR_RUN = "ventricular run"  # three or four in a row, fast
    IDIOVENTRICULAR_RHYTHM = "idioventricular rhythm"  # three and more in a row, slow
    COUPLET = "ventricular couplet"
    BIGEMINY = "ventricular bigeminy"
    TRIGEMINY = "ventricular trigeminy"
    FREQUENT_VENTRICULAR_BEATS = "frequent ventricular beats"
    SUPRAVENTRICULAR_TACHYCARDIA = "supraventricular tachycardia"
    ATRIAL_FIBRILLATION = "atrial fibrillation"
    MISSED_BEAT = "missed beat"
    ABNORMAL_BURDEN = "abnormal burden"
    ABNORMAL_BEAT = "abnormal beat"  # under the policy that calls for every one
    PACED_RHYTHM = "paced rhythm: beats not analysed"


MAX_EVIDENCE_BEATS = 32  # the longest criterion asks for 31


@dataclass(frozen=True, slots=True)
class RhythmEvent:
    """A rhythm finding. It is given out at its onset with `end` None and again when it ends.

    `evidence` holds the R peaks that met the criterion, the last ones where they are many.
    `confidence` is the mean p(abnormal) of the beats where the finding rests on labels, else the
    share of the signal before it that is free of noise.
    """

    kind: RhythmKind
    onset: SampleIndex
    decided: SampleIndex  # the sample at which the finding was made
    end: SampleIndex | None = None
    confidence: float = 1.0
    evidence: tuple[SampleIndex, ...] = ()

    def __post_init__(self) -> None:
        _require(0.0 <= self.confidence <= 1.0, "a confidence lies in 0–1")
        _require(len(self.evidence) <= MAX_EVIDENCE_BEATS, "evidence is bounded")


class AlarmKind(enum.StrEnum):
    ASYSTOLE = "asystole"
    VENTRICULAR_FIBRILLATION = "ventricular fibrillation"
    VENTRICULAR_TACHYCARDIA = "ventricular tachycardia"
    EXTREME_BRADYCARDIA = "extreme bradycardia"
    EXTREME_TACHYCARDIA = "extreme tachycardia"
    BRADYCARDIA = "bradycardia"
    TACHYCARDIA = "tachycardia"
    PAUSE = "pause"
    VENTRICULAR_RUN = "ventricular run"
    IDIOVENTRICULAR_RHYTHM = "idioventricular rhythm"
    FREQUENT_VENTRICULAR_BEATS = "frequent ventricular beats"
    SUPRAVENTRICULAR_TACHYCARDIA = "supraventricular tachycardia"
    ATRIAL_FIBRILLATION = "atrial fibrillation"
    ABNORMAL_BURDEN = "abnormal burden"
    ABNORMAL_BEAT = "abnormal beat"
    PACED_RHYTHM = "paced rhythm: beats not analysed"
    SENSOR_SILENT = "sensor silent"
    LEAD_OFF = "lead off"
    POOR_SIGNAL = "poor signal"
    BATTERY_LOW = "battery low"  # the sensor's
    NOT_STORED = "not stored"  # the disk refuses what is recorded
    DISK_NEARLY_FULL = "disk nearly full"
    CLOCK_NOT_SET = "clock not set"  # the gateway's: times on the screen may be wrong
    # found in signal that came late; "occurred at" is its onset
    LATE_ASYSTOLE = "late: asystole"
    LATE_VENTRICULAR_FIBRILLATION = "late: ventricular fibrillation"
    LATE_VENTRICULAR_TACHYCARDIA = "late: ventricular tachycardia"
    LATE_EXTREME_BRADYCARDIA = "late: extreme bradycardia"
    LATE_EXTREME_TACHYCARDIA = "late: extreme tachycardia"


class AlarmPriority(enum.StrEnum):
    """IEC 60601-1-8 priorities; a technical condition is an alarm of its own kind."""

    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"


class AlarmState(enum.StrEnum):
    ACTIVE = "active"  # the condition holds, nobody has acknowledged
    ACKNOWLEDGED = "acknowledged"  # it holds, somebody has
    LATCHED = "latched"  # it is over, nobody has acknowledged, and it must be seen
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class Alarm:
    """One alarm of one bed, in seconds of its stream's own time axis.

    The gateway's axis is Unix time, that of `analyse` is the record's. (kind, onset_s) names it
    within a bed; a changed alarm is given out again with the same name. `confidence` is its rhythm
    event's; a technical alarm has none.
    """

    kind: AlarmKind
    priority: AlarmPriority
    onset_s: float
    raised_s: float
    state: AlarmState
    ended_s: float | None = None
    acknowledged_s: float | None = None
    escalated_s: float | None = None  # since when it has been more urgent: nobody came
    confidence: float | None = None


class BedState(enum.StrEnum):
    VACANT = "vacant"
    MONITORING = "monitoring"
    STANDBY = "standby"  # the patient is away; a silent sensor calls nobody


@dataclass(frozen=True, slots=True)
class Variability:
    """Variability of the heart rate over five minutes of normal beats; None where too few."""

    sdnn_ms: float | None = None
    rmssd_ms: float | None = None
    pnn50_percent: float | None = None
    lf_hf: float | None = None


UNLABELLED = "unlabelled"  # among a minute's counts: the signal was too poor, or no model served


@dataclass(frozen=True, slots=True)
class Minute:
    """One minute of a session's axis. Rates are None where no second of it was usable, `rmssd_ms`
    where too little of it was normal beats; `variability` is of the five minutes to its end."""

    start: SampleIndex
    beats: int
    abnormal_beats: int
    heart_rate_min_bpm: float | None
    heart_rate_mean_bpm: float | None
    heart_rate_max_bpm: float | None
    usable_s: int
    gap_s: int
    rmssd_ms: float | None
    variability: Variability
    beats_by_class: Mapping[str, int]  # all of AAMI's letters, and UNLABELLED
    quality: float | None  # mean index of its seconds, gaps as 0; None where no second was seen
    lead_off_s: int


@dataclass(frozen=True, slots=True)
class Findings:
    """What one push of signal brought to light, in the order of the sample axis."""

    filtered: tuple[SampleBlock, ...] = ()
    beats: tuple[Beat, ...] = ()
    vitals: tuple[VitalSigns, ...] = ()
    events: tuple[RhythmEvent, ...] = ()
    minutes: tuple[Minute, ...] = ()
