# SPDX-License-Identifier: MIT
"""The threads of a server: each has an event loop and a receiver of the group, and serves its connections."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import threading
import weakref
from collections.abc import Awaitable, Callable
from typing import Any

from . import _receiver
from ._group import Group
from ._sources import Receiver, Source
from ._stream_writer import StreamWriter
from ._zcrx import Event

Handler = Callable[[Source, StreamWriter], Awaitable[None]]


def nobody() -> None:
    """The tag of listening sockets: called, as a weak reference is, for the source of a stream."""


class ServingReceiver(Receiver):
    """A receiver of a group in the running loop: each connection that comes is a task of the handler."""

    def __init__(self, core: _receiver.Receiver, handler: Handler, window_timeout: float | None) -> None:
        self._attach(core)
        self._handler = handler
        self._window_timeout = window_timeout
        self._tasks: set[asyncio.Task[None]] = set()
        self._stopping = False

    def start(self) -> None:
        """Begin to receive. Raises what the first receive does."""
        super()._pump()
        self._watch()

    async def stop(self) -> None:
        """Cancel the handlers, wait for them, and close the receiver."""
        self._stopping = True
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        self.close()

    def _pump(self) -> bool:
        """Where the ring has failed, this receiver leaves the server; its handlers get ClosedError."""
        try:
            return super()._pump()
        except OSError as error:
            if self._core.closed or error.errno == errno.ENOMEM:  # nothing is lost: it can be tried again
                raise
            self._report("receiving has failed: this receiver leaves the server", error)
            self.close()
            return True

    def _readable(self) -> None:
        """There may be connections even if nobody waits for data: it is watched always, unlike others."""
        try:
            self._pump()
        except OSError as error:
            for source in self._waiting:
                source._fail(error)
            return
        self._wake()

    def _happened(self, event: Event) -> None:
        if event.kind == "added":
            self._welcome(event)
        elif event.flags:
            failed = "listening" if "listener" in event.flags else "adding a connection"
            self._report(f"{failed} has failed", event.error)
        else:
            super()._happened(event)

    def _welcome(self, event: Event) -> None:
        assert event.socket is not None
        if self._stopping:
            event.socket.close()
            return
        source = Source(self, False, self._window_timeout)
        source._stream = event.stream
        event.stream.tag = weakref.ref(source)
        writer = StreamWriter(event.socket)
        # Never begun at once, as a loop's factory may do: the handler would receive within this receive.
        task = asyncio.Task(self._serve(source, writer), loop=self._loop)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(lambda task: writer.abort())  # it may be cancelled before it has begun

    async def _serve(self, source: Source, writer: StreamWriter) -> None:
        try:
            await self._handler(source, writer)
            await writer._flush()
        except Exception as error:
            self._report("unhandled exception in the handler of a connection", error, writer)
        finally:
            writer.abort()  # all is sent, or is not to be
            await source.aclose()

    def _report(self, message: str, error: BaseException | None, writer: StreamWriter | None = None) -> None:
        context: dict[str, Any] = {"message": f"zcrx: {message}", "exception": error}
        if writer is not None:
            context["socket"] = writer.get_extra_info("socket")
        self._loop.call_exception_handler(context)


class Worker:
    """One of the threads."""

    def __init__(self, core: _receiver.Receiver, serving: Serving) -> None:
        self._core = core
        self._serving = serving
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._stopped = False
        self._told = False  # whether it has started, or why not
        self.started: asyncio.Future[None] = serving.loop.create_future()
        self.thread = threading.Thread(target=self._run, name="zcrx server")

    def stop(self) -> None:
        """Make the thread end. Any thread."""
        with self._lock:
            self._stopped = True
            if self._loop is not None and self._stop is not None:
                # It may have ended by itself.
                with contextlib.suppress(RuntimeError):
                    self._loop.call_soon_threadsafe(self._stop.set)

    def _run(self) -> None:
        serving = self._serving
        try:
            with asyncio.Runner(debug=serving.debug, loop_factory=serving.loop_factory) as runner:
                runner.run(self._main())
            self._tell(None)
        except BaseException as error:
            if not self._tell(error):
                raise
        finally:
            try:
                self._core.close()  # where the loop could not be made
            finally:
                serving.worker_ended()

    async def _main(self) -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(self._serving.exception_handler)
        stop = asyncio.Event()
        with self._lock:
            self._loop, self._stop = loop, stop
            if self._stopped:
                stop.set()
        receiver = ServingReceiver(self._core, self._serving.handler, self._serving.window_timeout)
        try:
            receiver.start()
            self._tell(None)
            await stop.wait()
        finally:
            await receiver.stop()

    def _tell(self, error: BaseException | None) -> bool:
        """Tell the server's loop that it has started, or why not. False if that was told before."""

        def tell() -> None:
            if self.started.done():
                return
            if error is None:
                self.started.set_result(None)
            else:
                self.started.set_exception(error)

        with self._lock:
            first, self._told = not self._told, True
        if first:
            self._serving.call(tell)
        return first


class Serving:
    """What the threads share with each other and with the server; they do not keep the server itself."""

    def __init__(
        self,
        group: Group,
        handler: Handler,
        window_timeout: float | None,
        loop_factory: Callable[[], asyncio.AbstractEventLoop],
    ) -> None:
        self.loop = asyncio.get_running_loop()
        self.debug = self.loop.get_debug()
        self.exception_handler = self.loop.get_exception_handler()
        self.group = group
        self.info = group.receiver(0).info
        self.handler = handler
        self.window_timeout = window_timeout
        self.loop_factory = loop_factory
        self.ended: asyncio.Future[None] = self.loop.create_future()
        self._lock = threading.Lock()
        self._workers = [Worker(core, self) for core in group.receivers]
        self._running = len(self._workers)

    async def start(self) -> None:
        """Start the threads. On failure, or if this is cancelled, none is left, and the group is closed."""
        waiting = list(self._workers)
        try:
            while waiting:
                waiting[0].thread.start()
                del waiting[0]
            await asyncio.wait([worker.started for worker in self._workers])
            errors = [worker.started.exception() for worker in self._workers]
            for error in errors:
                if error is not None:
                    raise error
        except BaseException:
            self.stop()
            for _ in waiting:
                self.worker_ended()
            await self.wait()
            raise

    def stop(self) -> None:
        """Make the threads end. Any thread; does not wait."""
        for worker in self._workers:
            worker.stop()

    async def wait(self) -> None:
        """Wait until the threads have ended and the group is closed."""
        await asyncio.shield(self.ended)
        for worker in self._workers:
            if worker.thread.ident is not None:
                worker.thread.join()  # it has nothing left to do

    def worker_ended(self) -> None:
        """A thread has nothing left to do. The last one closes the group."""
        with self._lock:
            self._running -= 1
            last = not self._running
        if last:
            try:
                self.group.close()
            finally:
                self.call(self._tell_ended)

    def _tell_ended(self) -> None:
        if not self.ended.done():
            self.ended.set_result(None)

    def call(self, function: Callable[[], None]) -> None:
        """Call a function in the server's loop, if there still is one."""
        with contextlib.suppress(RuntimeError):
            self.loop.call_soon_threadsafe(function)
