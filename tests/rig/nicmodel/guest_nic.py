#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Prepare a NIC for zero-copy receive without ethtool: older ones lack some of the settings.

    guest_nic.py prepare INTERFACE QUEUE    split on, threshold 0, flow rules on, RSS away
    guest_nic.py rule INTERFACE QUEUE tcp4|tcp6 PORT    packets to PORT go to QUEUE

The rig runs it in the guest. It sets; it does not record or restore anything."""

from __future__ import annotations

import array
import fcntl
import socket
import struct
import sys

SIOCETHTOOL = 0x8946
IFREQ = struct.Struct("16sQ16x")

# Generic netlink: the ethtool family (uapi/linux/ethtool_netlink.h).
NETLINK_GENERIC = 16
NLMSG = struct.Struct("=IHHII")
NLMSG_ERROR = 2
REQUEST_ACK = 0x1 | 0x4
GENL = struct.Struct("=BBH")
GENL_CONTROLLER, GET_FAMILY, FAMILY_ID, FAMILY_NAME = 16, 3, 1, 2
NESTED = 0x8000
RINGS_SET = 16
RINGS_HEADER, RINGS_RX, RINGS_TCP_DATA_SPLIT, RINGS_HDS_THRESH = 1, 6, 11, 17
HEADER_DEV_NAME = 2
SPLIT_ENABLED = 2

# The ioctl (uapi/linux/ethtool.h).
GET_FLAGS, SET_FLAGS, FLAG_NTUPLE = 0x25, 0x26, 1 << 27
GET_CHANNELS, SET_CHANNELS = 0x3C, 0x3D
CHANNELS = struct.Struct("=9I")  # command; the most of rx, tx, other, combined; how many there are
GET_RSS_TABLE, SET_RSS_TABLE = 0x38, 0x39
GET_RX_RINGS, GET_RULE_COUNT, GET_RULES, INSERT_RULE = 0x2D, 0x2E, 0x30, 0x32
RULE_LOCATION_SPECIAL, RULE_LOCATION_ANY = 0x80000000, 0xFFFFFFFF
FLOW_TYPES = {"tcp4": 1, "tcp6": 5}
RXNFC_BYTES = 192
FLOW_SPEC, RULE_COUNT, RULE_LOCATIONS = 16, 184, 188
FLOW_VALUE, FLOW_MASK = FLOW_SPEC + 4, FLOW_SPEC + 76
FLOW_QUEUE, FLOW_LOCATION = FLOW_SPEC + 152, FLOW_SPEC + 160
PORT_AT = {"tcp4": 10, "tcp6": 34}  # of the destination port in the flow's fields


def attribute(kind: int, payload: bytes) -> bytes:
    return (struct.pack("=HH", 4 + len(payload), kind) + payload).ljust(4 + len(payload) + 3 & ~3, b"\0")


def exchange(sock: socket.socket, family: int, command: int, payload: bytes) -> bytes:
    """One generic netlink request; the attributes of the reply, b"" for a plain acknowledgement."""
    body = GENL.pack(command, 1, 0) + payload
    sock.send(NLMSG.pack(NLMSG.size + len(body), family, REQUEST_ACK, 1, 0) + body)
    answer = b""
    while True:
        data = sock.recv(65536)
        while data:
            length, kind = NLMSG.unpack_from(data)[:2]
            if kind == NLMSG_ERROR:
                error = struct.unpack_from("=i", data, NLMSG.size)[0]
                if error:
                    raise OSError(-error, f"netlink command {command}")
                return answer
            answer = data[NLMSG.size + GENL.size : length]
            data = data[length + 3 & ~3 :]


def attributes(data: bytes) -> dict[int, bytes]:
    found = {}
    while len(data) >= 4:
        length, kind = struct.unpack_from("=HH", data)
        found[kind & ~NESTED] = data[4:length]
        data = data[length + 3 & ~3 :]
    return found


def address_rings(sock: socket.socket, interface: str) -> tuple[int, bytes]:
    """The ethtool family, and the header that names the interface."""
    reply = exchange(sock, GENL_CONTROLLER, GET_FAMILY, attribute(FAMILY_NAME, b"ethtool\0"))
    family = struct.unpack("=H", attributes(reply)[FAMILY_ID])[0]
    name = attribute(HEADER_DEV_NAME, interface.encode() + b"\0")
    return family, attribute(RINGS_HEADER | NESTED, name)


def set_rx_ring(interface: str, entries: int) -> None:
    """Receive descriptors of each queue: what the driver takes from an area before any data comes."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_GENERIC) as sock:
        family, header = address_rings(sock, interface)
        exchange(sock, family, RINGS_SET, header + attribute(RINGS_RX, struct.pack("=I", entries)))


def set_split(interface: str) -> None:
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_GENERIC) as sock:
        family, header = address_rings(sock, interface)
        split = attribute(RINGS_TCP_DATA_SPLIT, bytes([SPLIT_ENABLED]))
        exchange(sock, family, RINGS_SET, header + split)
        try:
            exchange(sock, family, RINGS_SET, header + attribute(RINGS_HDS_THRESH, bytes(4)))
        except OSError:
            if threshold(sock, family, header) is not None:
                raise


def threshold(sock: socket.socket, family: int, header: bytes) -> int | None:
    """The split threshold, None for a driver without one."""
    reply = attributes(exchange(sock, family, RINGS_SET - 1, header))
    value = reply.get(RINGS_HDS_THRESH)
    return None if value is None else int(struct.unpack("=I", value)[0])


def ioctl(interface: str, data: bytes | bytearray) -> bytes:
    """SIOCETHTOOL: `data` goes in, and comes back as the driver left it."""
    buffer = array.array("B", data)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        fcntl.ioctl(sock, SIOCETHTOOL, IFREQ.pack(interface.encode(), buffer.buffer_info()[0]))
    return buffer.tobytes()


def set_queues(interface: str, count: int) -> None:
    """Receive and transmit queues; a driver has them combined, or one by one."""
    found = CHANNELS.unpack(ioctl(interface, CHANNELS.pack(GET_CHANNELS, *[0] * 8)))
    combined = found[4] > 0
    wanted = (0, 0, found[7], count) if combined else (count, count, found[7], 0)
    ioctl(interface, CHANNELS.pack(SET_CHANNELS, *found[1:5], *wanted))


def enable_rules(interface: str) -> None:
    flags = struct.unpack("=II", ioctl(interface, struct.pack("=II", GET_FLAGS, 0)))[1]
    ioctl(interface, struct.pack("=II", SET_FLAGS, flags | FLAG_NTUPLE))


def move_rss(interface: str, queue: int) -> None:
    """The queues below `queue` share what RSS spreads."""
    size = struct.unpack("=II", ioctl(interface, struct.pack("=II", GET_RSS_TABLE, 0)))[1]
    table = [entry % queue for entry in range(size)]
    ioctl(interface, struct.pack(f"=II{size}I", SET_RSS_TABLE, size, *table))


def rxnfc(command: int, extra: int = 0) -> bytearray:
    request = bytearray(RXNFC_BYTES + 4 * extra)
    struct.pack_into("=I", request, 0, command)
    return request


def free_location(interface: str) -> int:
    """Where to put a rule: where the driver likes, if it chooses, else the last free place."""
    reply = ioctl(interface, rxnfc(GET_RULE_COUNT))
    size = struct.unpack_from("=Q", reply, 8)[0]
    if size & RULE_LOCATION_SPECIAL:
        return RULE_LOCATION_ANY
    count = struct.unpack_from("=I", reply, RULE_COUNT)[0]
    request = rxnfc(GET_RULES, count)
    struct.pack_into("=I", request, RULE_COUNT, count)
    reply = ioctl(interface, request)
    size = struct.unpack_from("=Q", reply, 8)[0]
    taken = set(struct.unpack_from(f"={count}I", reply, RULE_LOCATIONS))
    return max(place for place in range(size) if place not in taken)


def add_rule(interface: str, queue: int, kind: str, port: int) -> int:
    """TCP packets to this port go to the queue; returns where the rule is."""
    request = rxnfc(INSERT_RULE)
    struct.pack_into("=I", request, FLOW_SPEC, FLOW_TYPES[kind])
    struct.pack_into(">H", request, FLOW_VALUE + PORT_AT[kind], port)
    struct.pack_into(">H", request, FLOW_MASK + PORT_AT[kind], 0xFFFF)
    struct.pack_into("=Q", request, FLOW_QUEUE, queue)
    struct.pack_into("=I", request, FLOW_LOCATION, free_location(interface))
    return int(struct.unpack_from("=I", ioctl(interface, request), FLOW_LOCATION)[0])


def prepare(interface: str, queue: int) -> None:
    """The order matters: the queue must be free of RSS before it is bound."""
    if queue < 1:
        raise ValueError("queue 0 keeps the traffic that no rule steers; choose another")
    enable_rules(interface)
    move_rss(interface, queue)
    set_split(interface)


def main() -> int:
    match sys.argv[1:]:
        case ["prepare", interface, queue]:
            prepare(interface, int(queue))
        case ["rule", interface, queue, kind, port] if kind in FLOW_TYPES:
            print(add_rule(interface, int(queue), kind, int(port)))
        case _:
            print(__doc__, file=sys.stderr)
            return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
