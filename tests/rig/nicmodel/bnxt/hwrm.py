# SPDX-License-Identifier: MIT
"""HWRM, the firmware's language: the commands that the model answers, and where their fields lie.

Offsets are bytes from the start of a request or response; integers are little endian but for
`be16`. Only fields that are used are named. The driver's side of each is `bnxt_hwrm.c` (transport)
and the file named in each section below.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

REQUEST_HEADER = struct.Struct("<HHHHQ")  # type, completion ring, sequence, target, response address
RESPONSE_HEADER = struct.Struct("<HHHH")  # error, type, sequence, length
SHORT_REQUEST = struct.Struct("<HHHHQ")  # type, signature, target, size, request address
SHORT_SIGNATURE = 0x4321
NO_COMPLETION_RING = 0xFFFF
PLAIN_RESPONSE = 16  # a response that says nothing but "done"
VALID = 1  # the last byte of every response, written last

# Errors of the response header; the driver turns them into an errno in `bnxt_hwrm.c`.
FAIL = 0x1
INVALID_PARAMETERS = 0x2
RESOURCE_ALLOC_ERROR = 0x4
UNSUPPORTED_OPTION = 0x9
NOT_SUPPORTED = 0xFFFF


@dataclass(frozen=True)
class Field:
    offset: int
    width: int
    order: str = "little"  # "little", "big", or "raw" for bytes


def u8(offset: int) -> Field:
    return Field(offset, 1)


def u16(offset: int) -> Field:
    return Field(offset, 2)


def u32(offset: int) -> Field:
    return Field(offset, 4)


def u64(offset: int) -> Field:
    return Field(offset, 8)


def be16(offset: int) -> Field:
    return Field(offset, 2, "big")


def raw(offset: int, width: int) -> Field:
    return Field(offset, width, "raw")


Fields = Mapping[str, Field]


@dataclass(frozen=True)
class Command:
    """One command: its number, the request's fields, the response's fields and its length."""

    code: int
    request: Fields = field(default_factory=dict)
    response: Fields = field(default_factory=dict)
    length: int = PLAIN_RESPONSE


COMMANDS: dict[str, Command] = {
    # What the card is (bnxt.c: bnxt_hwrm_ver_get, bnxt_hwrm_func_*, bnxt_hwrm_queue_qportcfg).
    "VER_GET": Command(
        0x00,
        response={
            "interface_8b": raw(8, 3),
            "firmware_8b": raw(12, 3),
            "device_capabilities": u32(24),
            "package_name": raw(80, 16),
            "chip_number": u16(112),
            "chip_revision": u8(114),
            "max_request_window": u16(118),
            "max_response": u16(120),
            "default_timeout_ms": u16(122),
            "interface_major": u16(128),
            "interface_minor": u16(130),
            "interface_build": u16(132),
            "firmware_major": u16(136),
            "firmware_minor": u16(138),
            "firmware_build": u16(140),
            "max_extended_request": u16(168),
            "max_timeout_s": u16(170),
        },
        length=176,
    ),
    "FUNC_RESET": Command(0x11),
    "FUNC_QCAPS": Command(
        0x15,
        response={
            "function_id": u16(8),
            "port_id": u16(10),
            "flags": u32(12),
            "mac": raw(16, 6),
            "max_rss_contexts": u16(22),
            "max_completion_rings": u16(24),
            "max_tx_rings": u16(26),
            "max_rx_rings": u16(28),
            "max_l2_contexts": u16(30),
            "max_vnics": u16(32),
            "max_stat_contexts": u16(38),
            "max_exact_flows": u32(56),
            "max_wildcard_flows": u32(60),
            "max_ring_groups": u32(72),
            "extended_flags": u32(80),
        },
        length=144,
    ),
    "FUNC_QCFG": Command(
        0x16,
        response={
            "function_id": u16(8),
            "port_id": u16(10),
            "mac": raw(16, 6),
            "rss_contexts": u16(24),
            "completion_rings": u16(26),
            "tx_rings": u16(28),
            "rx_rings": u16(30),
            "l2_contexts": u16(32),
            "vnics": u16(34),
            "max_mtu": u16(46),
            "ring_groups": u32(64),
            "stat_contexts": u16(70),
            "vectors": u16(72),
            "doorbell_bar_kb": u16(76),
        },
        length=176,
    ),
    "FUNC_CFG": Command(
        0x17,
        request={
            "vectors": u16(18),
            "flags": u32(20),
            "enables": u32(24),
            "rss_contexts": u16(32),
            "completion_rings": u16(34),
            "tx_rings": u16(36),
            "rx_rings": u16(38),
            "vnics": u16(42),
            "stat_contexts": u16(44),
            "async_event_ring": u16(80),
        },
    ),
    "FUNC_DRV_UNRGTR": Command(0x1A),
    "FUNC_DRV_RGTR": Command(0x1D),
    "FUNC_BUF_RGTR": Command(0x1F),
    "FUNC_BUF_UNRGTR": Command(0x0E),
    "FW_SET_TIME": Command(0xC8),
    "FUNC_RESOURCE_QCAPS": Command(
        0x190,
        response={
            "max_vectors": u16(10),
            "max_rss_contexts": u16(16),
            "min_completion_rings": u16(18),
            "max_completion_rings": u16(20),
            "min_tx_rings": u16(22),
            "max_tx_rings": u16(24),
            "min_rx_rings": u16(26),
            "max_rx_rings": u16(28),
            "max_l2_contexts": u16(32),
            "max_vnics": u16(36),
            "max_stat_contexts": u16(40),
            "max_ring_groups": u16(44),
            "max_tx_schedulers": u16(46),
        },
        length=88,
    ),
    "QUEUE_QPORTCFG": Command(
        0x30, response={"queues": u8(8), "lossless_queues": u8(9), "queue_id": u8(15)}, length=168
    ),
    "NVM_GET_DEV_INFO": Command(0xFFF6, length=96),
    # The port (bnxt.c: bnxt_hwrm_phy_qcaps, bnxt_update_link).
    "PORT_PHY_CFG": Command(0x20),
    "PORT_MAC_CFG": Command(0x21),
    "PORT_PHY_QCFG": Command(
        0x27,
        response={
            "link": u8(8),
            "speed_100m": u16(10),
            "duplex": u8(12),
            "supported_speeds": u16(14),
            "forced_speed_100m": u16(16),
            "phy_type": u8(35),
            "media": u8(36),
            "duplex_state": u8(54),
        },
        length=112,
    ),
    "PORT_PHY_QCAPS": Command(0x2A, response={"ports": u8(9), "forcible_speeds": u16(10)}, length=48),
    "PORT_LED_QCAPS": Command(0x2F, length=48),
    # Counters (bnxt.c: bnxt_hwrm_stat_ctx_alloc, bnxt_hwrm_func_qstat_ext).
    "PORT_QSTATS": Command(0x23),
    "PORT_QSTATS_EXT": Command(0xB4),
    "FUNC_QSTATS_EXT": Command(0x198, response={"counters": raw(8, 176)}, length=192),
    "STAT_CTX_ALLOC": Command(
        0xB0, request={"address": u64(16), "length": u16(30)}, response={"stat_context": u32(8)}
    ),
    "STAT_CTX_FREE": Command(0xB1, request={"stat_context": u32(16)}),
    "STAT_CTX_CLR_STATS": Command(0xB3),
    # Rings (bnxt.c: hwrm_ring_alloc_send_msg, hwrm_ring_free_send_msg).
    "RING_ALLOC": Command(
        0x50,
        request={
            "type": u8(20),
            "page_table": u64(24),
            "page_shift": u8(36),
            "page_table_depth": u8(37),
            "length": u32(40),
            "logical_id": u16(44),
            "completion_ring": u16(46),
            "buffer_bytes": u16(50),
            "rx_ring": u16(52),
            "notification_queue": u16(54),
            "stat_context": u32(64),
            "handle": u64(80),
        },
        response={"ring": u16(8), "logical_id": u16(10)},
    ),
    "RING_FREE": Command(0x51, request={"ring": u16(18)}),
    "RING_CMPL_RING_CFG_AGGINT_PARAMS": Command(0x53),
    # VNICs: where packets go, and how they are placed (bnxt.c: bnxt_hwrm_vnic_*).
    "VNIC_ALLOC": Command(0x40, request={"flags": u32(16)}, response={"vnic": u32(8)}),
    "VNIC_FREE": Command(0x41, request={"vnic": u32(16)}),
    "VNIC_CFG": Command(
        0x42,
        request={"vnic": u16(24), "mru": u16(34), "rx_ring": u16(36), "completion_ring": u16(38)},
    ),
    "VNIC_UPDATE": Command(0x4B, request={"vnic": u32(16), "enables": u32(20), "mru": u16(26)}),
    "VNIC_QCAPS": Command(
        0x4A, response={"mru": u16(8), "flags": u32(12), "max_aggregations": u16(16)}, length=24
    ),
    "VNIC_PLCMODES_CFG": Command(
        0x48,
        request={
            "flags": u32(16),
            "enables": u32(20),
            "vnic": u32(24),
            "jumbo_threshold": u16(28),
            "split_threshold": u16(32),
        },
    ),
    "VNIC_TPA_CFG": Command(0x44, request={"flags": u32(16), "vnic": u16(24), "max_segments": u16(26)}),
    "VNIC_RSS_COS_LB_CTX_ALLOC": Command(0x70, response={"context": u16(8)}),
    "VNIC_RSS_COS_LB_CTX_FREE": Command(0x71),
    "VNIC_RSS_CFG": Command(
        0x46,
        request={
            "hash_type": u32(16),
            "vnic": u16(20),
            "table_part": u8(22),
            "table": u64(24),
            "key": u64(32),
        },
    ),
    "VNIC_RSS_QCFG": Command(0x47, request={"vnic": u16(18)}, response={"hash_type": u32(8)}, length=64),
    # Filters (bnxt.c: bnxt_hwrm_l2_filter_alloc, bnxt_hwrm_cfa_ntuple_filter_alloc).
    "CFA_L2_FILTER_ALLOC": Command(
        0x90, request={"mac": raw(24, 6), "vnic": u16(78)}, response={"filter": u64(8)}, length=24
    ),
    "CFA_L2_FILTER_FREE": Command(0x91, request={"filter": u64(16)}),
    "CFA_L2_SET_RX_MASK": Command(0x93, request={"mask": u32(20)}),
    "CFA_ADV_FLOW_MGNT_QCAPS": Command(0x124, response={"flags": u32(8)}),
    "CFA_NTUPLE_FILTER_ALLOC": Command(
        0x99,
        request={
            "flags": u32(16),
            "enables": u32(20),
            "ethertype": be16(38),
            "protocol": u8(41),
            "vnic": u16(42),
            "ring_table_index": u16(44),
            "source": raw(48, 16),
            "source_mask": raw(64, 16),
            "destination": raw(80, 16),
            "destination_mask": raw(96, 16),
            "ports": raw(112, 8),
        },
        response={"filter": u64(8)},
        length=24,
    ),
    "CFA_NTUPLE_FILTER_FREE": Command(0x9A, request={"filter": u64(16)}),
}

NAMES: dict[int, str] = {command.code: name for name, command in COMMANDS.items()}


class HwrmError(Exception):
    """A command is refused with this error code."""

    def __init__(self, code: int, why: str) -> None:
        super().__init__(why)
        self.code = code


class Request:
    """A decoded request: fields are attributes."""

    def __init__(self, fields: Fields, data: bytes) -> None:
        self._fields = fields
        self._data = data

    def __getattr__(self, name: str) -> int:
        at = self._fields[name]
        return int.from_bytes(self._data[at.offset : at.offset + at.width], at.order)  # type: ignore[arg-type]

    def raw(self, name: str) -> bytes:
        at = self._fields[name]
        return self._data[at.offset : at.offset + at.width]


Values = Mapping[str, int | bytes]
Handler = Callable[[Request], Values]


def encode_response(name: str, sequence: int, values: Values) -> bytes:
    """A whole, valid response."""
    command = COMMANDS[name]
    data = bytearray(command.length)
    RESPONSE_HEADER.pack_into(data, 0, 0, command.code, sequence, command.length)
    for key, value in values.items():
        at = command.response[key]
        encoded = value.to_bytes(at.width, "little") if isinstance(value, int) else value
        data[at.offset : at.offset + at.width] = encoded.ljust(at.width, b"\0")[: at.width]
    data[-1] = VALID
    return bytes(data)


def encode_error(code: int, command: int, sequence: int) -> bytes:
    data = bytearray(PLAIN_RESPONSE)
    RESPONSE_HEADER.pack_into(data, 0, code, command, sequence, PLAIN_RESPONSE)
    data[-1] = VALID
    return bytes(data)
