# SPDX-License-Identifier: MIT
"""Exceptions. The C module raises through from_core, which chooses the class."""

from __future__ import annotations

import errno as _errno


class Error(OSError):
    """What zcrx raises. An OSError that also tells what it was about and what mends it.

    errno        as the system call or the library gave it
    stage        what the library was about: "options", "area", "ring", "nic", "queue", "socket", ...
    message      what was wrong
    kernel_text  the kernel's own explanation, or ""
    hint         the command or the change that mends it, or ""
    """

    def __init__(
        self, errno: int = 0, message: str = "", *, stage: str = "none", kernel_text: str = "", hint: str = ""
    ) -> None:
        super().__init__(errno, message)
        self.message = message
        self.stage = stage
        self.kernel_text = kernel_text
        self.hint = hint

    def __str__(self) -> str:
        name = _errno.errorcode.get(self.errno or 0, str(self.errno))
        kernel = f" (kernel: {self.kernel_text})" if self.kernel_text else ""
        hint = f"; {self.hint}" if self.hint else ""
        return f"{self.message}{kernel} [{name}]{hint}"

    def __reduce__(self) -> tuple[object, ...]:
        state = {"stage": self.stage, "kernel_text": self.kernel_text, "hint": self.hint}
        return (type(self), (self.errno, self.message), state)


class UnavailableError(Error):
    """This kernel, NIC or machine cannot do it: take another engine."""


class PermissionDeniedError(Error, PermissionError):
    """The process may not do it: the hint names the right or the setting."""


class BusyError(Error):
    """The queue, the interface or the receiver is in use."""


class ThreadError(Error):
    """Called on a thread, or in a process, that does not own the receiver."""


class ClosedError(Error, ValueError):
    """The receiver, or the group, is closed; or every receiver of the group is."""


class WindowError(Error, BufferError):
    """Nothing can come: the buffers that an iterator gave out hold all of its stream's window."""


_CLASSES = {
    _errno.ENOSYS: UnavailableError,
    _errno.EOPNOTSUPP: UnavailableError,
    _errno.ENODEV: UnavailableError,
    _errno.ENODATA: UnavailableError,
    _errno.EPERM: PermissionDeniedError,
    _errno.EACCES: PermissionDeniedError,
    _errno.EBUSY: BusyError,
    _errno.EBADF: ClosedError,
    _errno.ESHUTDOWN: ClosedError,
}


def from_core(code: int, stage: str, message: str, kernel_text: str, hint: str) -> Error:
    """The exception for a struct zrx_error."""
    cls: type[Error] = _CLASSES.get(code, Error)
    if stage == "thread":
        cls = BusyError if code == _errno.EBUSY else ThreadError
    elif stage == "queue" and code == _errno.EEXIST:
        cls = BusyError
    elif code == _errno.EBADF and stage != "none":
        cls = Error  # EBADF of the caller's socket
    return cls(code, message, stage=stage, kernel_text=kernel_text, hint=hint)
