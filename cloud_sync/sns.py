"""The other way to a person's telephone: SNS, directly."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from urllib.parse import urlencode, urlsplit

from cloud_sync.config import NoticeConfig
from cloud_sync.credentials import CredentialsProvider
from cloud_sync.https import Https, RequestFailed
from cloud_sync.notice import Notice
from cloud_sync.ports import Delivered, TryLater
from cloud_sync.sigv4 import signed_headers


class SnsNotifier:
    """Publishes a notice to one topic. What fails is tried later: nothing of it is permanent."""

    def __init__(
        self,
        config: NoticeConfig,
        https: Https,
        provider: CredentialsProvider,
        unix_time: Callable[[], float],
    ) -> None:
        self._config = config
        self._https = https
        self._provider = provider
        self._unix_time = unix_time

    async def notify(self, notice: Notice) -> Delivered | TryLater:
        try:
            await asyncio.to_thread(self._publish, notice)
        except RequestFailed as failed:
            return TryLater(str(failed))
        return Delivered()

    def _publish(self, notice: Notice) -> None:
        form = {
            "Action": "Publish",
            "Version": "2010-03-31",
            "TopicArn": self._config.topic_arn,
            "Subject": notice.subject,
            "Message": notice.text,
        }
        for number, (name, value) in enumerate(notice.attributes.items(), start=1):
            entry = f"MessageAttributes.entry.{number}"
            form[f"{entry}.Name"] = name
            form[f"{entry}.Value.DataType"] = "String"
            form[f"{entry}.Value.StringValue"] = value
        body = urlencode(form).encode()
        host = urlsplit(self._config.endpoint).netloc
        headers = signed_headers(
            self._provider.credentials(), self._config.region, "sns", host, body, self._unix_time()
        )
        self._https.request("POST", self._config.endpoint, headers, body)
