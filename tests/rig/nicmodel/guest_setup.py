#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""In the rig's guest: one port in this network namespace, the other in `peer`, then a command.

    guest_setup.py --driver D --mtu N --queues N [--prepare QUEUE] [--rx-ring ENTRIES] -- COMMAND...

The command finds what it needs to know in ZRX_RIG_* environment variables."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from nicmodel import guest_nic

MODULES = {"bnxt": "bnxt_en", "gve": "gve"}
NAMESPACE = "peer"
LOCAL, PEER = "fd00::1", "fd00::2"
LOCAL4, PEER4 = "10.0.0.1", "10.0.0.2"
CARRIER_SECONDS = 20


def ports(driver: str) -> list[str]:
    """The interfaces of the driver, in the order of their PCI addresses."""
    found = []
    for interface in Path("/sys/class/net").iterdir():
        device = interface / "device"
        if (device / "driver").exists() and (device / "driver").resolve().name == MODULES[driver]:
            found.append((device.resolve().name, interface.name))
    return [name for _, name in sorted(found)]


def ip(*arguments: str, namespace: str | None = None) -> None:
    inside = ["-n", namespace] if namespace else []
    subprocess.run(["ip", *inside, *arguments], check=True)


def set_up(interface: str, addresses: tuple[str, str], mtu: int, namespace: str | None) -> None:
    ip("link", "set", "lo", "up", namespace=namespace)
    ip("link", "set", interface, "mtu", str(mtu), namespace=namespace)
    ip("addr", "add", f"{addresses[0]}/64", "dev", interface, "nodad", namespace=namespace)
    ip("addr", "add", f"{addresses[1]}/24", "dev", interface, namespace=namespace)
    ip("link", "set", interface, "up", namespace=namespace)


def wait_for_carrier(interface: str) -> None:
    """A driver tells of its link a moment after the interface is up."""
    deadline = time.monotonic() + CARRIER_SECONDS
    while Path(f"/sys/class/net/{interface}/carrier").read_text().strip() != "1":
        if time.monotonic() > deadline:
            raise TimeoutError(f"{interface} has no carrier")
        time.sleep(0.05)


def environment(driver: str, local: str, peer: str, mtu: int) -> dict[str, str]:
    return {
        "ZRX_RIG_DRIVER": driver,
        "ZRX_RIG_IFACE": local,
        "ZRX_RIG_LOCAL": LOCAL,
        "ZRX_RIG_LOCAL4": LOCAL4,
        "ZRX_RIG_PEER": PEER,
        "ZRX_RIG_PEER4": PEER4,
        "ZRX_RIG_PEER_NETNS": NAMESPACE,
        "ZRX_RIG_PEER_IFACE": peer,
        "ZRX_RIG_MTU": str(mtu),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--driver", choices=sorted(MODULES), required=True)
    parser.add_argument("--mtu", type=int, required=True)
    parser.add_argument("--queues", type=int, required=True)
    parser.add_argument("--prepare", type=int, metavar="QUEUE")
    parser.add_argument("--rx-ring", type=int, metavar="ENTRIES")
    parser.add_argument("command", nargs=argparse.REMAINDER)
    options = parser.parse_args()
    found = ports(options.driver)
    if len(found) != 2:
        print(f"rig: {options.driver} has {len(found)} interfaces, not 2: {found}", file=sys.stderr)
        return 125
    peer, local = found
    ip("netns", "add", NAMESPACE)
    ip("link", "set", peer, "netns", NAMESPACE)
    guest_nic.set_queues(local, options.queues)
    set_up(peer, (PEER, PEER4), options.mtu, NAMESPACE)
    set_up(local, (LOCAL, LOCAL4), options.mtu, None)
    wait_for_carrier(local)
    if options.rx_ring is not None:
        guest_nic.set_rx_ring(local, options.rx_ring)
        wait_for_carrier(local)
    if options.prepare is not None:
        guest_nic.prepare(local, options.prepare)
    command = options.command[1:] if options.command[:1] == ["--"] else options.command
    os.environ.update(environment(options.driver, local, peer, options.mtu))
    sys.stdout.flush()
    return os.execvp(command[0], command)


if __name__ == "__main__":
    sys.exit(main())
