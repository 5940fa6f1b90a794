# SPDX-License-Identifier: MIT
"""Look at received bytes as Arrow buffers, without a copy: to_arrow.py HOST PORT."""

import socket
import sys

import pyarrow
import pyarrow.compute

import zcrx

host, port = sys.argv[1:]
with socket.create_server((host, int(port))) as listener:
    sock, _ = listener.accept()
total = 0
with sock, zcrx.Receiver() as rx:
    for buffer in rx.stream(sock):
        arrow = pyarrow.py_buffer(buffer)
        assert arrow.address == buffer.address  # the very same memory
        array = pyarrow.UInt8Array.from_buffers(pyarrow.uint8(), arrow.size, [None, arrow])
        total += pyarrow.compute.sum(array).as_py()
print(total)
