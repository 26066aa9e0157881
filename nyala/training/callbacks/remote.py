"""``RemoteMonitor``: sends the results of each epoch to a server."""

from __future__ import annotations

import json
import urllib.error
import urllib.parse
import urllib.request
import warnings
from collections.abc import Mapping

import numpy as np

from nyala.base import check
from nyala.training.callbacks.base import Callback, Logs
from nyala.training.callbacks.logging import plain

_TIMEOUT = 10.0


class RemoteMonitor(Callback):
    """Posts ``{"epoch": 0, "loss": ...}`` at the end of each epoch; a server that does not answer is a warning.

    Args:
        root: address of the server, ``http:`` or ``https:``. path: appended to it.
        field: the form's field that holds the results as JSON; without meaning with ``send_as_json``.
        headers: of the request.
        send_as_json: send the results as the body, as ``application/json``.
    """

    def __init__(
        self,
        root: str = "http://localhost:9000",
        path: str = "/publish/epoch/end/",
        field: str = "data",
        headers: Mapping[str, str] | None = None,
        send_as_json: bool = False,
    ):
        self.root, self.path, self.field = root, path, field
        self.headers = dict(headers or {})
        self.send_as_json = send_as_json
        if urllib.parse.urlparse(root).scheme not in ("http", "https"):
            check.fail(self, f"root must be an http: or https: address, got {root!r}")

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        values = {"epoch": epoch, **{k: plain(v) for k, v in (logs or {}).items()}}
        text = json.dumps({k: v.tolist() if isinstance(v, np.ndarray) else v for k, v in values.items()})
        body = text if self.send_as_json else urllib.parse.urlencode({self.field: text})
        kind = "application/json" if self.send_as_json else "application/x-www-form-urlencoded"
        request = urllib.request.Request(
            self.root + self.path, body.encode(), {"Content-Type": kind, **self.headers}, method="POST"
        )
        try:
            urllib.request.urlopen(request, timeout=_TIMEOUT).close()
        except (urllib.error.URLError, TimeoutError) as error:
            warnings.warn(f"RemoteMonitor: {self.root + self.path} did not take the results: {error}", stacklevel=2)
