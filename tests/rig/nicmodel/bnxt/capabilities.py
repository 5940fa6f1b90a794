# SPDX-License-Identifier: MIT
"""What the card says of itself, and what the driver reserves (`bnxt.c`: bnxt_hwrm_func_*)."""

from __future__ import annotations

from collections.abc import Callable

from .hwrm import RESOURCE_ALLOC_ERROR, Handler, HwrmError, Request, Values

CHIP_BCM57508 = 0x1750
VECTORS = 16
MAX_RING_GROUPS = 32
LIMITS = {
    "rss_contexts": 32,
    "completion_rings": 64,
    "tx_rings": 16,
    "rx_rings": 32,
    "l2_contexts": 32,
    "vnics": 16,
    "stat_contexts": 32,
}
MAX_MTU = 9500
MAX_MRU = 9600
MAX_AGGREGATIONS = 512  # of one ring, at a time

SHORT_COMMANDS_SUPPORTED, SHORT_COMMANDS_REQUIRED, ADVANCED_FLOWS = 0x4, 0x8, 0x1000
NO_TX_VLAN_ACCELERATION = 0x8000000
EXTENDED_STATISTICS = 0x4
# A queue can be restarted alone only where the card flushes its pipeline on an MRU change.
VNIC_FLUSHES_PIPELINE = 0x40000000
RULES_NAME_RING_INDEX = 0x2000 | 0x200000  # versions 2 and 3: by index into the VNIC's RSS table

ASSETS_TEST = 0x9FE000  # "could I have this much?", one bit per resource
RESERVE = {
    "rss_contexts": 0x4,
    "completion_rings": 0x8,
    "tx_rings": 0x10,
    "rx_rings": 0x20,
    "vnics": 0x80,
    "stat_contexts": 0x100,
    "vectors": 0x200000,
}
SET_ASYNC_EVENT_RING = 0x4000

SPEED_100G_BIT = 0x800
SPEED_100G = 1000  # in units of 100 Mbit/s
LINK_UP, NO_LINK = 2, 0
PHY_25G_BASECR = 0x0B
MEDIA_DIRECT_ATTACH = 2
FULL_DUPLEX = 1


class Capabilities:
    def __init__(
        self,
        number: int,
        mac: bytes,
        doorbell_bar_bytes: int,
        link_up: Callable[[], bool],
        set_async_ring: Callable[[int], None],
    ) -> None:
        self._identity: dict[str, int | bytes] = {
            "function_id": number + 1,
            "port_id": number,
            "mac": mac,
        }
        self._doorbell_bar_bytes = doorbell_bar_bytes
        self._link_up = link_up
        self._set_async_ring = set_async_ring
        self.reserved: dict[str, int] = {}
        self.clear()
        self.handlers: dict[str, Handler] = {
            "VER_GET": self._version,
            "FUNC_QCAPS": self._function,
            "FUNC_RESOURCE_QCAPS": self._resources,
            "FUNC_QCFG": self._reservation,
            "FUNC_CFG": self._reserve,
            "QUEUE_QPORTCFG": lambda _: {"queues": 1},
            "VNIC_QCAPS": self._vnics,
            "CFA_ADV_FLOW_MGNT_QCAPS": lambda _: {"flags": RULES_NAME_RING_INDEX},
            # More than one port here would make the driver take only half of the rings.
            "PORT_PHY_QCAPS": lambda _: {"ports": 1, "forcible_speeds": SPEED_100G_BIT},
            "PORT_PHY_QCFG": self._port,
        }

    def clear(self) -> None:
        self.reserved = dict.fromkeys([*RESERVE, "l2_contexts", "ring_groups"], 0)

    def _version(self, _request: Request) -> Values:
        return {
            "interface_8b": bytes((1, 10, 3)),
            "firmware_8b": bytes((230, 0, 1)),
            "interface_major": 1,
            "interface_minor": 10,
            "interface_build": 3,
            "firmware_major": 230,
            "firmware_build": 1,
            "device_capabilities": SHORT_COMMANDS_SUPPORTED | SHORT_COMMANDS_REQUIRED | ADVANCED_FLOWS,
            "chip_number": CHIP_BCM57508,
            "chip_revision": 1,
            "max_request_window": 128,
            "max_response": 1024,
            "default_timeout_ms": 5000,
            "max_extended_request": 512,
            "max_timeout_s": 60,
            "package_name": b"model",
        }

    def _function(self, _request: Request) -> Values:
        return {
            **self._identity,
            **{f"max_{name}": value for name, value in LIMITS.items()},
            "max_ring_groups": MAX_RING_GROUPS,
            "max_exact_flows": 256,
            "max_wildcard_flows": 256,
            "flags": NO_TX_VLAN_ACCELERATION,
            "extended_flags": EXTENDED_STATISTICS,
        }

    def _resources(self, _request: Request) -> Values:
        return {
            **{f"max_{name}": value for name, value in LIMITS.items()},
            "max_vectors": VECTORS,
            "max_ring_groups": MAX_RING_GROUPS,
            "min_rx_rings": 1,
            "min_tx_rings": 1,
            "min_completion_rings": 1,
            "max_tx_schedulers": 16,
        }

    def _reservation(self, _request: Request) -> Values:
        return {
            **self._identity,
            **self.reserved,
            "max_mtu": MAX_MTU,
            "doorbell_bar_kb": self._doorbell_bar_bytes // 1024,
        }

    def _reserve(self, request: Request) -> Values:
        wanted = {name: getattr(request, name) for name, bit in RESERVE.items() if request.enables & bit}
        for name, count in wanted.items():
            if count > LIMITS.get(name, VECTORS):
                raise HwrmError(RESOURCE_ALLOC_ERROR, f"{count} {name}")
        if request.flags & ASSETS_TEST:
            return {}
        self.reserved.update(wanted)
        self.reserved["ring_groups"] = self.reserved["rx_rings"]
        if request.enables & SET_ASYNC_EVENT_RING:
            self._set_async_ring(request.async_event_ring)
        return {}

    def _vnics(self, _request: Request) -> Values:
        return {
            "mru": MAX_MRU,
            "flags": VNIC_FLUSHES_PIPELINE,
            "max_aggregations": MAX_AGGREGATIONS,
        }

    def _port(self, _request: Request) -> Values:
        return {
            "link": LINK_UP if self._link_up() else NO_LINK,
            "speed_100m": SPEED_100G if self._link_up() else 0,
            "duplex": FULL_DUPLEX,
            "duplex_state": FULL_DUPLEX,
            "supported_speeds": SPEED_100G_BIT,
            "forced_speed_100m": SPEED_100G,
            "phy_type": PHY_25G_BASECR,
            "media": MEDIA_DIRECT_ATTACH,
        }
