# SPDX-License-Identifier: MIT
"""In the rig's guest: a steered stream from the peer, received by zcrx with zcrx_stream.c."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable

PORT = 9999
SECONDS = 200  # only a bound: a stream takes two on an idle machine


class StreamError(Exception):
    """The stream did not come whole, or not at all."""


def receive(
    program: str,
    size: int,
    queue: int,
    rx_buf_len: int = 0,
    meanwhile: Callable[[], None] = lambda: None,
) -> dict[str, float | None]:
    """Bind the queue, send, and return the receiver's figures. `meanwhile` runs as bytes flow."""
    interface, namespace = os.environ["ZRX_RIG_IFACE"], os.environ["ZRX_RIG_PEER_NETNS"]
    limit = ["timeout", str(SECONDS), program]
    more = [str(rx_buf_len)] if rx_buf_len else []
    receiver = subprocess.Popen(
        [*limit, "receive", interface, str(queue), str(PORT), str(size), *more],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert receiver.stdout is not None
    if receiver.stdout.readline() != "ready\n":
        receiver.wait()
        raise StreamError("the receiver did not get its queue")
    send = [*limit, "send", os.environ["ZRX_RIG_LOCAL"], str(PORT), str(size)]
    sender = subprocess.Popen(["ip", "netns", "exec", namespace, *send])
    if receiver.stdout.readline() == "receiving\n":
        meanwhile()
    text = receiver.communicate()[0]
    if sender.wait() or receiver.returncode:
        raise StreamError(f"the stream did not come whole: {text.strip() or 'too slow'}")
    return dict(json.loads(text))
