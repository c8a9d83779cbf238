"""The conversations with connected sensors, each under the session and the key of the moment."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from gateway.messages import DeviceId, SessionId
from gateway.radio.conversation import Conversation
from gateway.radio.session_keys import SessionKeys
from gateway.radio.source import SensorLink

# Makes the conversation over a link, in a session, under a root key, with a pending one or none.
Converse = Callable[[SensorLink, SessionId, bytes, bytes | None], Conversation]


@dataclass(slots=True)
class _Talk:
    """A connected link, the sensor that it claims to be, and the task that talks to it."""

    device_id: DeviceId
    conversation: Conversation
    session: SessionId
    task: asyncio.Task[None]


class Talks:
    """By link; a sensor has one, or for a moment two after a lost one."""

    def __init__(
        self,
        keys: SessionKeys,
        converse: Converse,
        spawn: Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]],
    ) -> None:
        self._keys = keys
        self._converse = converse
        self._spawn = spawn
        self._talks: dict[SensorLink, _Talk] = {}

    def begin(self, link: SensorLink, session: SessionId, root_key: bytes) -> None:
        pending = self._keys.pending_for(session)
        conversation = self._converse(link, session, root_key, pending)
        task = self._spawn(conversation.run())
        self._talks[link] = _Talk(session.device_id, conversation, session, task)

    def end(self, link: SensorLink) -> DeviceId | None:
        """The link is gone; which sensor it was, if it was one."""
        talk = self._talks.pop(link, None)
        if talk is None:
            return None
        talk.task.cancel()
        return talk.device_id

    def receive(self, link: SensorLink, message: bytes) -> None:
        """A sealed message; of a link that nobody talks over it is left unread."""
        if link in self._talks:
            self._talks[link].conversation.receive(message)

    def follow(self, link: SensorLink, session: SessionId, began: bool) -> None:
        """A frame of the session came: its first, or one that proves under which key it is sealed.

        After a restart a sensor first sends what it held of sessions that are over: it is talked to
        in the one that it runs.
        """
        talk = self._talks.get(link)
        if talk is None or session.device_id != talk.device_id:
            return
        if session == talk.session:
            root_key = self._keys.root_of(session)
            if root_key is not None:
                talk.conversation.key_proven(root_key)
        elif began and session.boot_id >= talk.session.boot_id:
            self.use_session(link, session)

    def use_session(self, link: SensorLink, session: SessionId) -> None:
        """Talk under this session and its key from now on."""
        talk, root_key = self._talks[link], self._keys.root_of(session)
        if root_key is not None:
            talk.session = session
            talk.conversation.use_session(session, root_key, self._keys.pending_for(session))

    def acknowledge(self, device_id: DeviceId) -> None:
        """Something of this sensor has become durable."""
        for link in self.links_of(device_id):
            self._talks[link].conversation.acknowledge()

    def links_of(self, device_id: DeviceId) -> list[SensorLink]:
        return [link for link, talk in self._talks.items() if talk.device_id == device_id]

    def conversation(self, link: SensorLink) -> Conversation:
        return self._talks[link].conversation

    def __contains__(self, link: SensorLink) -> bool:
        return link in self._talks
