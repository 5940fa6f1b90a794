# SPDX-License-Identifier: MIT
"""Faults on command, over the socket and in frames, and the process as a whole."""

from __future__ import annotations

import json
import os
import socket
import struct
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path
from typing import Any

from nicmodel.bnxt.model import Bnxt
from nicmodel.cable import Cable
from nicmodel.control import ETHERTYPE, Control, Session
from nicmodel.faults import ANY, Faults
from nicmodel.offload import Frame

SERVE = Path(__file__).resolve().parent.parent / "serve"


class FaultsTest(unittest.TestCase):
    def test_counted(self) -> None:
        faults = Faults()
        faults.set("starve", 1, 2, 9)
        taken = [faults.take("starve", queue) for queue in (0, 1, 1, 1)]
        self.assertEqual(taken, [None, 9, 9, None])
        self.assertEqual(faults.taken["starve"], 2)

    def test_any_and_endless_and_taken_back(self) -> None:
        faults = Faults()
        faults.set("starve", ANY, -1)
        self.assertEqual([faults.take("starve", queue) for queue in range(5)], [0] * 5)
        faults.set("starve", ANY, 0)
        self.assertIsNone(faults.take("starve", 1))

    def test_pending_takes_nothing(self) -> None:
        faults = Faults()
        self.assertFalse(faults.pending(("starve", "unsplit"), 1))
        faults.set("unsplit", 1, 1)
        self.assertTrue(faults.pending(("starve", "unsplit"), 1))
        self.assertFalse(faults.pending(("starve", "unsplit"), 2))
        self.assertEqual(faults.take("unsplit", 1), 0)
        self.assertFalse(faults.pending(("starve", "unsplit"), 1))

    def test_kinds_are_apart(self) -> None:
        faults = Faults()
        faults.set("starve", 1, 1)
        self.assertIsNone(faults.take("unsplit", 1))


class ControlTest(unittest.TestCase):
    def setUp(self) -> None:
        self.cards = [Bnxt(0), Bnxt(1)]
        self.cable = Cable()
        self.control = Control(list(self.cards), self.cable)

    def ask(self, **request: Any) -> dict[str, Any]:
        answer: dict[str, Any] = json.loads(self.control.execute(json.dumps(request).encode()))
        return answer

    def test_link(self) -> None:
        self.assertTrue(self.ask(do="link", up=False)["ok"])
        self.assertEqual((self.cable.up, [card.link_up for card in self.cards]), (False, [False] * 2))
        self.ask(do="link", up=True)
        self.assertTrue(self.cable.up)

    def test_link_comes_back(self) -> None:
        self.ask(do="link", up=False, for_ms=50)
        due = self.control.next_due_ns()
        assert due is not None
        self.control.advance(due - 1)
        self.assertFalse(self.cable.up)
        self.control.advance(due)
        self.assertTrue(self.cable.up and all(card.link_up for card in self.cards))
        self.assertIsNone(self.control.next_due_ns())

    def test_faults_reach_their_card(self) -> None:
        self.ask(do="fail-command", port=1, name="VNIC_CFG", value=4)
        self.assertIsNone(self.cards[0].faults.take("fail-command", "VNIC_CFG"))
        self.assertEqual(self.cards[1].faults.take("fail-command", "VNIC_CFG"), 4)
        self.ask(do="misdirect", port=0, queue=2, count=1, value=3)
        self.assertEqual(self.cards[0].faults.take("misdirect", 2), 3)

    def test_lost_interrupt(self) -> None:
        event = os.eventfd(0, os.EFD_NONBLOCK)
        interrupts = self.cards[0].bus.interrupts
        interrupts.assign(2, 1, [event])
        self.addCleanup(interrupts.assign, 2, 1, [])
        self.ask(do="lose-interrupt", port=0, vector=2, count=1)
        for fired in (0, 1):
            interrupts.raise_vector(2)
            self.cards[0].flush()
            self.assertEqual(interrupts.fired, fired)
        self.assertEqual(os.eventfd_read(event), 1)

    def test_cable_and_counters(self) -> None:
        answer = self.ask(do="cable", loss=0.25, delay_ns=10, seed=3)
        self.assertEqual(answer["cable"], {"delay_ns": 10, "loss": 0.25, "reorder": 0.0})
        self.cards[1].counters["rx"] += 5
        self.assertEqual(self.ask(do="counters")["ports"], [{}, {"rx": 5}])
        self.assertEqual(len(self.ask(do="state")["ports"]), 2)

    def test_nonsense_is_refused(self) -> None:
        for text in (b"", b"{", b"[]", b'"x"', b'{"do": "what"}', b'{"do": "reset"}'):
            self.assertFalse(json.loads(self.control.execute(text))["ok"], text)
        self.assertFalse(self.ask(do="reset", port=7)["ok"])
        self.assertFalse(self.ask(do="starve", port=0, count="many")["ok"])

    def test_in_a_frame(self) -> None:
        answers: list[Frame] = []
        self.cards[0].receive = answers.append  # type: ignore[method-assign, assignment]
        mac = self.cards[0].mac
        request = json.dumps({"do": "link", "up": False}).encode().ljust(46, b"\0")
        frame = Frame(mac + mac + struct.pack(">H", ETHERTYPE) + request)
        self.assertTrue(self.control.intercept(self.cards[0], frame))
        self.assertFalse(self.cable.up)
        self.assertEqual(answers[0].headers.destination, mac)
        self.assertEqual(json.loads(answers[0].data[14:]), {"ok": True})
        other = Frame(mac + mac + b"\x08\x00" + bytes(46))
        self.assertFalse(self.control.intercept(self.cards[0], other))

    def test_repeated_request_is_done_once(self) -> None:
        starve = {"do": "starve", "port": 0, "queue": 1, "count": 1, "id": "a"}
        self.assertTrue(self.ask(**starve)["ok"])
        self.assertEqual(self.cards[0].faults.take("starve", 1), 0)
        self.assertTrue(self.ask(**starve)["ok"])
        self.assertIsNone(self.cards[0].faults.take("starve", 1))
        self.assertTrue(self.ask(**{**starve, "id": "b"})["ok"])
        self.assertEqual(self.cards[0].faults.take("starve", 1), 0)

    def test_session(self) -> None:
        ours, theirs = socket.socketpair()
        with ours, theirs:
            session = Session(ours, self.control)
            theirs.send(b'{"do": "link", "up": false}\n{"do": "li')
            self.assertTrue(session.ready())
            self.assertEqual(theirs.recv(100), b'{"ok": true}\n')
            theirs.send(b'nk", "up": true}\n')
            self.assertTrue(session.ready())
            self.assertTrue(self.cable.up)
            theirs.close()
            self.assertFalse(session.ready())


class ServeTest(unittest.TestCase):
    """The whole process, for each card: sockets appear, a client comes and goes, it ends."""

    def test_life(self) -> None:
        for driver in ("bnxt", "gve"):
            with self.subTest(driver), tempfile.TemporaryDirectory() as scratch:
                self.live(driver, [f"{scratch}/{name}" for name in ("a", "b", "control", "log")])

    def live(self, driver: str, paths: list[str]) -> None:
        a, b, control, log = paths
        arguments = ["--driver", driver, "--sockets", a, b, "--control", control, "--log", log]
        process = subprocess.Popen([sys.executable, SERVE, *arguments])
        self.addCleanup(process.kill)
        deadline = time.monotonic() + 10
        while not all(Path(path).is_socket() for path in (a, b, control)):
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.01)
        with socket.socket(socket.AF_UNIX) as client, socket.socket(socket.AF_UNIX) as asker:
            client.connect(a)
            client.send(struct.pack("<HHIII", 1, 4, 32, 0, 0) + bytes(16))
            self.assertEqual(len(client.recv(100)), 32)
            asker.connect(control)
            asker.send(b'{"do": "counters"}\n')
            self.assertTrue(json.loads(asker.recv(4096))["ok"])
        self.assertEqual(process.wait(10), 0)
        self.assertIn("port 1: {", Path(log).read_text())
