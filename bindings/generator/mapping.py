# SPDX-License-Identifier: MIT
"""Which structs the packages have of the header's, and what of them is not as the header says.

A field needs no line here: its C type and its comment tell its kind. Each language knows what to make of a kind.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from generator.header import Constant, Field, Struct

# The kind of a field whose comment names these constants.
CONSTANTS = {
    "ENGINE": "engine",
    "STAGE": "stage",
    "STALL": "stall",
    "FEATURE": "features",
    "AREA": "area",
    "CHECK": "check_state",
    "NIC_SPLIT": "split",
    "NIC_BOUND": "bound",
    "PROOF": "verdict",
}


@dataclass(frozen=True)
class Names:
    """Numbers that have names: the constants that begin with a prefix, and a type for them."""

    prefix: str
    doc: str
    type: dict[str, str]  # by language
    bits: bool = False  # a set of them
    rest: str = ""  # the constant for numbers that are not known; "": there is none
    none: str = ""  # the constant for which Rust has None
    words: dict[str, dict[str, object]] = field(default_factory=dict)  # by language and constant
    go_constants: dict[str, str] = field(default_factory=dict)  # where they are not the header's


NAMES = {
    "stall": Names(
        prefix="STALL",
        doc="why streams make no progress",
        type={"go": "Stall", "rust": "Stall", "python": "STALLS"},
        none="NONE",
        words={"python": {"NONE": None}},
    ),
    "features": Names(
        prefix="FEATURE",
        doc="something that newer kernels can",
        type={"go": "Feature", "python": "FEATURES"},
        bits=True,
        go_constants={"RX_BUF_LEN": "FeatureRxBufLen"},
    ),
    "check_state": Names(
        prefix="CHECK",
        doc="how a precondition stands",
        type={"go": "CheckState", "rust": "CheckState", "python": "CHECK_STATES"},
        rest="UNKNOWN",
        words={"python": {"WARN": "warning"}},
    ),
    "split": Names(
        prefix="NIC_SPLIT",
        doc="whether a NIC puts headers and payload apart",
        type={"go": "NICSplit", "rust": "Split", "python": "SPLITS"},
        rest="UNKNOWN",
        words={"python": {"UNKNOWN": None, "OFF": False, "ON": True}},
    ),
    "bound": Names(
        prefix="NIC_BOUND",
        doc="who feeds a receive queue with memory; zero: the driver",
        type={"go": "NICBound", "python": "BOUND"},
        bits=True,
        words={"python": {"DMABUF": "dma-buf", "XSK": "AF_XDP"}},
    ),
    "verdict": Names(
        prefix="PROOF",
        doc="how much of a stream was copied",
        type={"go": "NICVerdict", "rust": "Verdict", "python": "VERDICTS"},
        rest="UNDECIDED",
        go_constants={
            "UNDECIDED": "NICUndecided",
            "ZERO_COPY": "NICZeroCopy",
            "PARTLY": "NICPartly",
            "COPIED": "NICCopied",
        },
    ),
}
# Inputs, and what is nothing to anybody.
LEFT_OUT = (
    "size",
    "reserved",
    "reserved2",
    "check_capacity",
    "checks",
    "check_count",
    "receiver_capacity",
    "receivers",
    "sum",
)


@dataclass(frozen=True)
class Rule:
    """What of one field is not as the header says; by language, or "" for all."""

    kind: dict[str, str] = field(default_factory=dict)
    name: dict[str, str] = field(default_factory=dict)
    doc: dict[str, str] = field(default_factory=dict)
    omit: tuple[str, ...] = ()  # languages that do not have it


@dataclass(frozen=True)
class Plan:
    """One struct."""

    # All but rules and extra are by language. One without a name has no such struct.
    name: dict[str, str]
    # Without: the first sentence of the header's comment.
    doc: dict[str, str] = field(default_factory=dict)
    rules: dict[str, Rule] = field(default_factory=dict)
    # Fields that come by other calls: "checks", "refused".
    extra: tuple[str, ...] = ()
    # Fields of which only the language knows: name, type, doc.
    own: dict[str, tuple[tuple[str, str, str], ...]] = field(default_factory=dict)
    # These come first.
    first: dict[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class Mapped:
    """A field as one language has it."""

    c: Field
    kind: str
    name: str
    doc: str


UNTOLD = "None: the kernel does not tell."


def everywhere(name: str, nic: str = "") -> dict[str, str]:
    """The same name in all languages, but that Go has no module for what is a NIC's."""
    return {"go-core": nic + name, "go": nic + name, "rust": name, "python": name}


PLANS = {
    "zrx_error": Plan(
        name={"go-core": "Error", "python": "Refusal"},
        doc={"python": "Why an engine is not used, or cannot be."},
        rules={"code": Rule(kind={"python": "errno"}, name={"python": "errno"}, doc={"python": "positive"})},
    ),
    "zrx_stats": Plan(
        name=everywhere("Stats"),
        doc={
            "go": "Stats are counters since Open, unless said otherwise.",
            "python": f"Counters since open; those with *now* are of this moment. {UNTOLD}",
        },
        own={
            "go": (
                (
                    "Forgotten",
                    "uint64",
                    "taken buffers that the garbage collector found without a Release; see Buffer",
                ),
            )
        },
    ),
    "zrx_stream_stats": Plan(
        name=everywhere("StreamStats"),
        doc={
            "go": "StreamStats are the figures of one stream.",
            "python": "The figures of one stream, now.",
        },
        rules={
            "paused": Rule(
                doc={
                    "go": "it rests because of Receiver.Pause",
                    "rust": "it rests because of `Receiver::pause`",
                }
            )
        },
    ),
    "zrx_info": Plan(
        name=everywhere("Info"),
        doc={
            "go": "Info is what was opened.",
            "python": "What was opened. refused tells, for each better engine, why it is not the one in use.",
        },
        rules={
            "interface": Rule(
                kind={"rust": "interface_queue", "python": "interface"},
                doc={"rust": "interface and receive queue, where the engine has one"},
            ),
            "queue": Rule(
                kind={"python": "queue_of_interface"},
                doc={"python": "receive queue of the interface; None without one"},
                omit=("rust",),
            ),
            "area_kind": Rule(name={"go-core": "Area", "go": "Area"}),
            "area_max_bytes": Rule(doc={"go": "how far it may grow; AreaBytes where it does not"}),
            "demand_bytes": Rule(
                doc={
                    "go": "of it, what the queue and its page pool hold standing (see DemandNIC); 0 without a queue"
                }
            ),
            # An address is C's: the packages hand out views.
            "area_base": Rule(omit=("go-core", "go", "rust", "python")),
        },
        extra=("refused",),
    ),
    "zrx_group_stats": Plan(
        name=everywhere("GroupStats"),
        doc={"go": "GroupStats are what a group did, since it was opened, unless said otherwise."},
        rules={"receiver_count": Rule(doc={"": "receivers that are open"})},
        extra=("sum", "receivers"),
    ),
    "zrx_check": Plan(
        name=everywhere("Check"),
        doc={
            "go": "Check is one precondition.",
            "python": 'One precondition: state is "ok", "missing", "warning" or "unknown".',
        },
        first={"python": ("name",)},
    ),
    "zrx_capabilities": Plan(
        name=everywhere("Capabilities"),
        doc={"go": "Capabilities are what this kernel lets this process do."},
        rules={
            "engines": Rule(kind={"": "engine_set"}),
            "page_bytes": Rule(kind={"": "page_bytes"}),
            "kernel_version": Rule(
                kind={"": "kernel_version"}, name={"go-core": "Kernel", "go": "Kernel", "python": "kernel"}
            ),
        },
        extra=("refused", "checks"),
    ),
    "zrx_nic_report": Plan(
        name=everywhere("Report", nic="NIC"),
        doc={
            "go": "NICReport is an interface and one of its receive queues, now.",
            "python": "One interface and one of its receive queues, now. None: not told, or there is none.",
        },
        rules={
            "ifindex": Rule(kind={"": "ifindex"}, name={"go-core": "Index", "go": "Index"}),
            "queue": Rule(kind={"": "free_queue"}),
            "queue_count": Rule(kind={"rust": "number"}),
            "bound": Rule(doc={"rust": "whether something feeds the queue with memory already"}),
            "ring_entries": Rule(kind={"rust": "number"}),
            "napi_id": Rule(kind={"rust": "number"}, name={"go-core": "NAPI", "go": "NAPI"}),
        },
        extra=("checks",),
        own={"python": (("interface", "str", ""),)},
        first={"python": ("driver", "firmware")},
    ),
    "zrx_nic_demand": Plan(
        name=everywhere("Demand", nic="NIC"),
        doc={
            "go": "NICDemand is what a receive queue takes of an area, and how large an area should be there.",
            "python": "What a receive queue takes of an area, and how large an area should be there. None: not told.",
        },
        rules={
            "chunk_bytes": Rule(
                doc={"go": "what the area is cut into there: Options.BufferBytes, or a page"}
            ),
            "hw_gro": Rule(doc={"go": "the NIC merges packets; false: it does not, or it is not told"}),
        },
    ),
    "zrx_nic_step": Plan(
        name=everywhere("Step", nic="NIC"),
        doc={"go": "NICStep is one change of a plan."},
    ),
    "zrx_nic_proof": Plan(
        name=everywhere("Proof", nic="NIC"),
        doc={
            "go": "NICProof is what became of one stream that was received through a queue.",
            "python": (
                "What became of one stream that was received through a queue; checks are the reasons.\n\n"
                'verdict: "zero-copy" (at most one byte in a thousand was copied), "partly", "copied" (nine in ten,\n'
                f'or more), or "undecided": nothing that this kernel counts decides it. {UNTOLD}'
            ),
        },
        rules={
            "queue_napi_id": Rule(name={"go-core": "QueueNAPI", "go": "QueueNAPI"}),
            "socket_napi_id": Rule(name={"go-core": "SocketNAPI", "go": "SocketNAPI"}),
        },
        extra=("checks",),
    ),
}

# Options, handles, and what the hot paths hand out: each package has its own types for them.
UNMAPPED = ("zrx_options", "zrx_stream_options", "zrx_group_options", "zrx_buffer", "zrx_event")


def members(names: Names, constants: dict[str, Constant]) -> dict[str, Constant]:
    """The constants of a type, by what follows the prefix."""
    start = f"{names.prefix}_"
    return {
        name.removeprefix(start): constant
        for name, constant in constants.items()
        if name.startswith(start) and not name.endswith("_CHECKS")
    }


def word(names: Names, language: str, member: str) -> object:
    """What a language calls it, where it has a word."""
    usual = member.lower() if names.bits else member.lower().replace("_", "-")
    return names.words.get(language, {}).get(member, usual)


def kind_of(c: Field) -> str:
    named = re.search(r"ZRX_(\w+)_\*", c.comment)
    if named:
        if named[1] not in CONSTANTS:
            raise SystemExit(
                f"generate: {c.name} is one of ZRX_{named[1]}_*, for which mapping.py has no kind"
            )
        return CONSTANTS[named[1]]
    if "ZRX_UNKNOWN" in c.comment:
        return "unknown"
    if "0: not told" in c.comment:
        return "told"
    if "-1: " in c.comment:
        return "place"
    if c.comment.startswith("1: "):
        return "flag"
    return "text" if c.type == "char" else "number"


def words(comment: str, kind: str, none: dict[str, str]) -> str:
    """The comment without what is C's: none has by kind what stands for a value that is not there."""
    comment = re.sub(r": (ZRX_\w+_\*|bits \(1 <<.*|major <<.*)$", "", comment).removeprefix("1: ")
    if kind in none:
        comment = re.sub(r"ZRX_UNKNOWN|ZRX_NIC_FREE_QUEUE|0(?=: not told)|-1(?=: )", none[kind], comment)
    return comment


def mapped(struct: Struct, language: str, none: dict[str, str] | None = None) -> Iterator[Mapped]:
    """The fields that a language has of a struct."""
    plan = PLANS[struct.name]
    first = plan.first.get(language, ())
    fields = [c for c in struct.fields if c.name not in LEFT_OUT]
    fields.sort(key=lambda c: first.index(c.name) if c.name in first else len(first))
    for c in fields:
        rule = plan.rules.get(c.name, Rule())
        if language in rule.omit:
            continue
        kind = rule.kind.get(language) or rule.kind.get("") or kind_of(c)
        doc = rule.doc.get(language) or rule.doc.get("") or words(c.comment, kind, none or {})
        yield Mapped(c, kind, rule.name.get(language, c.name), doc)


def documented(struct: Struct, language: str) -> str:
    return PLANS[struct.name].doc.get(language) or struct.comment.split(". ")[0].removesuffix(".") + "."
