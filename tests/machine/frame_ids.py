"""How a frame of the sensors and one of the store are compared: by place, and by each byte."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from gateway.radio.frame_codec import read_header


@dataclass(frozen=True, slots=True)
class FrameId:
    session: str
    sequence: int
    digest: str


def frame_id(sealed: bytes) -> FrameId:
    header = read_header(sealed)
    return FrameId(header.session.name, header.sequence, hashlib.sha256(sealed).hexdigest()[:16])


def write_frames(frames: Iterable[FrameId], path: Path) -> None:
    with path.open("w") as file:
        file.writelines(f"{f.session} {f.sequence} {f.digest}\n" for f in frames)


def read_frames(path: Path) -> list[FrameId]:
    lines = (line.split() for line in path.read_text().splitlines())
    return [FrameId(session, int(sequence), digest) for session, sequence, digest in lines]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the store lacks of the acknowledged frames, and what it holds more than once."""

    missing: set[FrameId]
    repeated: set[FrameId]

    @classmethod
    def of(cls, acknowledged: set[FrameId], stored: list[FrameId]) -> Verdict:
        places = Counter((frame.session, frame.sequence) for frame in stored)
        repeated = {frame for frame in stored if places[frame.session, frame.sequence] > 1}
        return cls(acknowledged - set(stored), repeated)
