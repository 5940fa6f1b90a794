#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Take uploads over TCP on several receivers, and answer each with its SHA-256 and a newline.

An upload is all that a client sends until it shuts down writing. With --interface each receiver has a queue
of that NIC; else they copy. Metrics are served on a second port, for Prometheus:
curl http://HOST:PORT/metrics
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import signal
import sys
from collections.abc import Iterator
from functools import partial

import zcrx
import zcrx.aio

HEAD_S = 10  # for the head of a request for metrics
HEAD_BYTES = 8192


def port(text: str) -> int:
    if not text.isdecimal() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is no port: 0 (a free one) to 65535")
    return int(text)


def count(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 256:
        raise argparse.ArgumentTypeError(f"{text!r}: 1 to 256")
    return int(text)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--host", default="127.0.0.1", help="where to listen (default: %(default)s)")
    parser.add_argument("--port", type=port, default=9000, help="for uploads (default: %(default)s)")
    parser.add_argument("--metrics-port", type=port, default=9001, help="for metrics (default: %(default)s)")
    parser.add_argument("--interface", metavar="NIC", help="receive without copies from queues of this NIC")
    parser.add_argument(
        "--queues", type=count, metavar="N", help="receivers, each with a thread (default: one per processor)"
    )
    parser.add_argument("--engine", choices=zcrx.ENGINES, default="auto", help="default: the best there is")
    return parser.parse_args()


async def take_upload(source: zcrx.aio.Source, writer: zcrx.aio.StreamWriter) -> None:
    digest = hashlib.sha256()
    try:
        async for buffer in source:
            with buffer:
                digest.update(buffer)
    except ConnectionError:
        return  # the client has given up: there is nobody to answer
    writer.write(f"{digest.hexdigest()}\n".encode())


# ---- metrics ----


def metric(name: str, kind: str, text: str, total: int, each: list[int]) -> Iterator[str]:
    yield f"# HELP zcrx_{name} {text}"
    yield f"# TYPE zcrx_{name} {kind}"
    yield f"zcrx_{name} {total}"
    yield f"# HELP zcrx_receiver_{name} {text}, by receiver"
    yield f"# TYPE zcrx_receiver_{name} {kind}"
    for number, value in enumerate(each):
        yield f'zcrx_receiver_{name}{{receiver="{number}"}} {value}'


def metrics(stats: zcrx.GroupStats) -> str:
    total, each = stats.sum, stats.receivers
    lines = [
        "# HELP zcrx_accepted_total Connections accepted",
        "# TYPE zcrx_accepted_total counter",
        f"zcrx_accepted_total {stats.accepted}",
        "# HELP zcrx_refused_total Connections that could not be added to a receiver",
        "# TYPE zcrx_refused_total counter",
        f"zcrx_refused_total {stats.refused}",
        *metric("connections", "gauge", "Connections, now", total.streams, [one.streams for one in each]),
        *metric("bytes_total", "counter", "Bytes received", total.bytes, [one.bytes for one in each]),
        *metric(
            "held_bytes", "gauge", "Memory held, now", total.held_bytes, [one.held_bytes for one in each]
        ),
    ]
    return "\n".join(lines) + "\n"


async def answer_scraper(
    server: zcrx.aio.Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    try:
        async with asyncio.timeout(HEAD_S):
            head = await reader.readuntil(b"\r\n\r\n")
        status, body = "404 Not Found", ""
        if head.startswith((b"GET /metrics ", b"GET / ")):
            status, body = "200 OK", metrics(server.stats())
        writer.write(
            f"HTTP/1.1 {status}\r\nContent-Type: text/plain; version=0.0.4\r\n"
            f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n{body}".encode()
        )
        await writer.drain()
    except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
        pass  # it has left, or sent no request
    finally:
        writer.close()


# ---- the server ----


def where(server: zcrx.aio.Server | asyncio.Server) -> str:
    return ", ".join(f"{name[0]} port {name[1]}" for name in (sock.getsockname() for sock in server.sockets))


async def serve(settings: argparse.Namespace) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    starting = zcrx.aio.start_server(
        take_upload,
        settings.host,
        settings.port,
        interface=settings.interface,
        queues=settings.queues,
        engine=settings.engine,
    )
    async with await starting as server:
        answer = partial(answer_scraper, server)
        scrapers = await asyncio.start_server(answer, settings.host, settings.metrics_port, limit=HEAD_BYTES)
        async with scrapers:
            receivers = len(server.stats().receivers)
            print(f"uploads: {where(server)}; {receivers} receivers, engine {server.info.engine}")
            print(f"metrics: {where(scrapers)}", flush=True)
            await stop.wait()


def main() -> int:
    settings = arguments()
    try:
        asyncio.run(serve(settings))
    except (OSError, ValueError) as error:
        print(f"upload_server: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
