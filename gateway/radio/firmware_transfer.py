"""A firmware image on its way to one sensor (docs/protocol.md, 7).

The sensor says from where it wants the image. It gets a few chunks, is asked again, and so sets the
pace. After a lost link the same call on the next one goes on where the sensor is.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol

from gateway.radio.firmware_image import FirmwareImage
from gateway.radio.message_codec import Answer, AnswerCode, Command, MessageType, UpdateRefusal
from gateway.radio.source import LinkLost

CHUNK_BYTES = 240
BLOCK_BYTES = 65536  # no chunk crosses a multiple of it
CHUNKS_AT_ONCE = 16  # an acknowledgement waits behind them: a quarter of a second at 20 kB/s
ANSWER_S = 15.0  # verifying a signature takes a chip a second
RETRY_S = 1.0  # until a sensor that erases, hashes or holds frames is asked again
STALL_S = 60.0  # erases come 5 s apart
FINISH_S = 300.0  # a backlog of frames must be taken before the restart

REASONS = {
    UpdateRefusal.NOT_SIGNED: "the image is not signed by the key that the sensor trusts",
    UpdateRefusal.OTHER_CHIP: "the image is for another chip",
    UpdateRefusal.TOO_LARGE: "the image is too large for the sensor's flash",
    UpdateRefusal.NOT_NEWER: "the image is not newer than what the sensor runs",
    UpdateRefusal.DAMAGED: "the image arrived damaged; update once more",
    UpdateRefusal.FLASH_FAILED: "the sensor's flash failed",
    UpdateRefusal.CHIP_REFUSES: "the chip refuses the image; is it signed for secure boot?",
}


class UpdateFailed(Exception):
    """The image can't be brought to the sensor; the message is for people."""


class SensorTalk(Protocol):
    """The conversation with one connected sensor."""

    def send(self, command: Command) -> None: ...

    async def ask(self, command: Command) -> Answer:
        """Send, and give the answer; raises LinkLost."""
        ...


class FirmwareTransfer:
    """One image for one sensor; `sent` is how far it is."""

    def __init__(
        self, image: FirmwareImage, pause: Callable[[float], Awaitable[None]] = asyncio.sleep
    ) -> None:
        self._image = image
        self._pause = pause
        self.sent = 0

    async def send(self, talk: SensorTalk) -> None:
        """Bring the whole image over; raises UpdateFailed, or LinkLost: send again then."""
        self.sent = await self._begin(talk)
        waited_s = 0.0
        while self.sent < len(self._image.application):
            self._send_chunks(talk)
            reached = await self._begin(talk)
            waited_s = waited_s + RETRY_S if reached <= self.sent else 0.0
            if waited_s >= STALL_S:
                raise UpdateFailed("the sensor has taken nothing of the image for a minute")
            self.sent = reached
            if waited_s:
                await self._pause(RETRY_S)

    async def finish(self, talk: SensorTalk) -> None:
        """Have the sensor check the image and restart with it; raises UpdateFailed, LinkLost."""
        await self._until_not_busy(
            talk,
            Command(MessageType.UPDATE_FINISH),
            FINISH_S,
            "it holds frames that must not be lost",
        )

    async def _begin(self, talk: SensorTalk) -> int:
        begin = Command(MessageType.UPDATE_BEGIN, self._image.manifest.encode())
        why_busy = "its present firmware is on trial, or it is about to restart"
        return (await self._until_not_busy(talk, begin, STALL_S, why_busy)).offset

    async def _until_not_busy(
        self, talk: SensorTalk, command: Command, patience_s: float, why_busy: str
    ) -> Answer:
        waited_s = 0.0
        while (answer := await _ask(talk, command)).code is AnswerCode.BUSY:
            if waited_s >= patience_s:
                raise UpdateFailed(f"the sensor is busy: {why_busy}")
            await self._pause(RETRY_S)
            waited_s += RETRY_S
        if answer.code is not AnswerCode.DONE:
            raise UpdateFailed(_reason(answer))
        return answer

    def _send_chunks(self, talk: SensorTalk) -> None:
        application, at = self._image.application, self.sent
        for _ in range(CHUNKS_AT_ONCE):
            length = min(CHUNK_BYTES, len(application) - at, BLOCK_BYTES - at % BLOCK_BYTES)
            if length == 0:
                return
            talk.send(Command.update_chunk(at, application[at : at + length]))
            at += length


async def _ask(talk: SensorTalk, command: Command) -> Answer:
    try:
        async with asyncio.timeout(ANSWER_S):
            return await talk.ask(command)
    except TimeoutError as error:
        raise LinkLost("no answer") from error


def _reason(answer: Answer) -> str:
    match answer.code:
        case AnswerCode.NOT_SUPPORTED:
            return "the sensor takes no updates: its firmware was built without a release key"
        case AnswerCode.UPDATE_REFUSED if answer.body[0] in set(UpdateRefusal):
            return REASONS[UpdateRefusal(answer.body[0])]
        case _:
            return f"the sensor answered {answer.code.name.lower().replace('_', ' ')}"
