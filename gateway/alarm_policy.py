"""What each kind of alarm is: its priority, whether it latches, and what stands above it."""

from __future__ import annotations

from gateway.messages import AlarmKind, AlarmPriority, RhythmKind

# IEC 60601-1-8: high asks for a response at once, medium for a prompt one, low for awareness.
PRIORITY = {
    AlarmKind.ASYSTOLE: AlarmPriority.HIGH,
    AlarmKind.VENTRICULAR_FIBRILLATION: AlarmPriority.HIGH,
    AlarmKind.VENTRICULAR_TACHYCARDIA: AlarmPriority.HIGH,
    AlarmKind.EXTREME_BRADYCARDIA: AlarmPriority.HIGH,
    AlarmKind.EXTREME_TACHYCARDIA: AlarmPriority.HIGH,
    AlarmKind.BRADYCARDIA: AlarmPriority.MEDIUM,
    AlarmKind.TACHYCARDIA: AlarmPriority.MEDIUM,
    AlarmKind.PAUSE: AlarmPriority.LOW,
    AlarmKind.VENTRICULAR_RUN: AlarmPriority.LOW,
    AlarmKind.IDIOVENTRICULAR_RHYTHM: AlarmPriority.LOW,
    AlarmKind.FREQUENT_VENTRICULAR_BEATS: AlarmPriority.LOW,
    AlarmKind.SUPRAVENTRICULAR_TACHYCARDIA: AlarmPriority.LOW,
    AlarmKind.ATRIAL_FIBRILLATION: AlarmPriority.LOW,
    AlarmKind.ABNORMAL_BURDEN: AlarmPriority.LOW,
    AlarmKind.ABNORMAL_BEAT: AlarmPriority.LOW,
    AlarmKind.PACED_RHYTHM: AlarmPriority.LOW,
    AlarmKind.SENSOR_SILENT: AlarmPriority.MEDIUM,
    AlarmKind.LEAD_OFF: AlarmPriority.MEDIUM,
    AlarmKind.POOR_SIGNAL: AlarmPriority.LOW,
    AlarmKind.BATTERY_LOW: AlarmPriority.LOW,
    AlarmKind.NOT_STORED: AlarmPriority.MEDIUM,
    AlarmKind.DISK_NEARLY_FULL: AlarmPriority.LOW,
    AlarmKind.CLOCK_NOT_SET: AlarmPriority.LOW,
    AlarmKind.LATE_ASYSTOLE: AlarmPriority.LOW,
    AlarmKind.LATE_VENTRICULAR_FIBRILLATION: AlarmPriority.LOW,
    AlarmKind.LATE_VENTRICULAR_TACHYCARDIA: AlarmPriority.LOW,
    AlarmKind.LATE_EXTREME_BRADYCARDIA: AlarmPriority.LOW,
    AlarmKind.LATE_EXTREME_TACHYCARDIA: AlarmPriority.LOW,
}
MARKS = frozenset(  # on the strip and in the record; they call nobody
    {RhythmKind.COUPLET, RhythmKind.BIGEMINY, RhythmKind.TRIGEMINY, RhythmKind.MISSED_BEAT}
)
ALARM_OF = {kind: AlarmKind(kind.value) for kind in RhythmKind if kind not in MARKS}
LETHAL = frozenset(kind for kind in ALARM_OF if PRIORITY[ALARM_OF[kind]] is AlarmPriority.HIGH)
LATCHING = frozenset(ALARM_OF[kind] for kind in LETHAL)
LATE_NOTICES = {kind: AlarmKind(f"late: {kind.value}") for kind in LETHAL}  # somebody must look

# Findings that are over when they are made, or come and go: those of a minute are one alarm.
AGGREGATED = frozenset(
    {
        AlarmKind.BRADYCARDIA,
        AlarmKind.TACHYCARDIA,
        AlarmKind.PAUSE,
        AlarmKind.VENTRICULAR_RUN,
        AlarmKind.IDIOVENTRICULAR_RHYTHM,
        AlarmKind.SUPRAVENTRICULAR_TACHYCARDIA,
        AlarmKind.ATRIAL_FIBRILLATION,
        AlarmKind.ABNORMAL_BEAT,
        AlarmKind.PACED_RHYTHM,
    }
)
AGGREGATED_S = 60.0  # long enough to be seen, and the refractory time of a repeat
EACH_ANEW = frozenset({AlarmKind.ABNORMAL_BEAT})  # the policy that calls for every beat

_VENTRICULAR = (AlarmKind.VENTRICULAR_FIBRILLATION, AlarmKind.VENTRICULAR_TACHYCARDIA)
_ARREST = (AlarmKind.ASYSTOLE, AlarmKind.VENTRICULAR_FIBRILLATION)
# While one of these holds, the lesser finding of the same beats is not called as well.
OVERRIDDEN_BY = {
    AlarmKind.VENTRICULAR_TACHYCARDIA: (AlarmKind.VENTRICULAR_FIBRILLATION,),
    AlarmKind.EXTREME_BRADYCARDIA: _ARREST,
    AlarmKind.EXTREME_TACHYCARDIA: _VENTRICULAR,
    AlarmKind.BRADYCARDIA: (*_ARREST, AlarmKind.EXTREME_BRADYCARDIA),
    AlarmKind.TACHYCARDIA: (*_VENTRICULAR, AlarmKind.EXTREME_TACHYCARDIA),
    AlarmKind.PAUSE: (*_ARREST, AlarmKind.EXTREME_BRADYCARDIA),
    AlarmKind.VENTRICULAR_RUN: _VENTRICULAR,
    AlarmKind.IDIOVENTRICULAR_RHYTHM: _VENTRICULAR,
    AlarmKind.FREQUENT_VENTRICULAR_BEATS: _VENTRICULAR,
    AlarmKind.ABNORMAL_BURDEN: (
        *_VENTRICULAR,
        AlarmKind.FREQUENT_VENTRICULAR_BEATS,
    ),
    AlarmKind.SUPRAVENTRICULAR_TACHYCARDIA: (
        *_VENTRICULAR,
        AlarmKind.EXTREME_TACHYCARDIA,
        AlarmKind.ATRIAL_FIBRILLATION,
    ),
}
