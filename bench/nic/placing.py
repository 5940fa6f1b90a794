# SPDX-License-Identifier: MIT
"""Which processor serves a NIC's interrupts. Restored at the end."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

IRQ = Path("/proc/irq")


def device_of(interface: str) -> Path:
    device = Path("/sys/class/net", interface, "device").resolve()
    if not (device / "msi_irqs").is_dir():
        raise RuntimeError(f"{interface} is no network card with interrupts of its own")
    return device


def interrupts_of(device: Path) -> list[Path]:
    """Where each of the device's interrupts is told its processors."""
    numbers = (entry.name for entry in (device / "msi_irqs").iterdir())
    return [IRQ / number / "smp_affinity_list" for number in numbers if (IRQ / number).exists()]


def other_ports(device: Path) -> list[Path]:
    """The driver's other devices: in the rig, the peer's."""
    entries = (entry for entry in (device / "driver").iterdir() if (entry / "msi_irqs").is_dir())
    return [entry.resolve() for entry in entries if entry.resolve() != device]


def move(device: Path, processor: int) -> None:
    """Again before each run: a driver that reopens its queues may ask for new interrupts."""
    for setting in interrupts_of(device):
        if setting.read_text().strip() != str(processor):
            setting.write_text(str(processor))


@contextlib.contextmanager
def restored(device: Path) -> Iterator[None]:
    before = {setting: setting.read_text() for setting in interrupts_of(device)}
    try:
        yield
    finally:
        for setting, processors in before.items():
            with contextlib.suppress(OSError):  # it may be gone since, or be the kernel's own
                setting.write_text(processors)
