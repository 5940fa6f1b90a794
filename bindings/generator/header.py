# SPDX-License-Identifier: MIT
"""The public header, read: constants, and structs with their fields and what the comments say of them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

COMMENT = re.compile(r"/\*(.*?)\*/", re.DOTALL)
STRUCT = re.compile(r"(?:/\*((?:(?!\*/).)*)\*/\n)?^struct (\w+) \{\n(.*?)^\};", re.DOTALL | re.MULTILINE)
FIELD = re.compile(
    r"\s*(?P<type>(?:const )?(?:struct )?\w+) (?P<pointer>\*?)(?P<name>\w+)(?:\[(?P<length>\w+)\])?;[ \t]*"
    r"(?:/\*(?P<comment>.*?)\*/)?",
    re.DOTALL,
)
CALLBACK = re.compile(r"\s*void \(\*(?P<name>\w+)\)\([^)]*\);\s*(?:/\*(?P<comment>.*?)\*/)?", re.DOTALL)
DEFINE = re.compile(
    r"^#define ZRX_(?P<name>[A-Z0-9_]+)\s+(?P<value>\(1u << \d+\)|\d+u?|UINT(?:32|64)_MAX)"
    r"(?:[ \t]*/\*(?P<comment>.*?)\*/|\s|$)",
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True)
class Field:
    type: str  # "uint32_t", "char", "struct zrx_check *", ...
    name: str
    length: str  # of an array; "" if it is none
    comment: str  # in one line; "" without


@dataclass(frozen=True)
class Constant:
    value: str  # as it is written
    comment: str

    def number(self) -> int:
        if self.value.startswith("UINT"):
            return (1 << int(self.value.removeprefix("UINT").removesuffix("_MAX"))) - 1
        base, _, shift = self.value.strip("()").replace("u", "").partition(" << ")
        return int(base) << int(shift or 0)


@dataclass(frozen=True)
class Struct:
    name: str
    comment: str
    fields: tuple[Field, ...]


def one_line(comment: str | None) -> str:
    lines = (line.strip().removeprefix("*").strip() for line in (comment or "").splitlines())
    return " ".join(filter(None, lines))


def read_fields(struct: str, body: str) -> tuple[Field, ...]:
    fields = []
    position = 0
    while body[position:].strip():
        match = FIELD.match(body, position) or CALLBACK.match(body, position)
        if not match:
            raise SystemExit(f"generate: cannot read this of struct {struct}: {body[position:].strip()[:80]}")
        parts = match.groupdict()
        kind = f"{parts.get('type', 'void')} {parts.get('pointer', '*')}".strip()
        fields.append(Field(kind, parts["name"], parts.get("length") or "", one_line(parts["comment"])))
        position = match.end()
    return tuple(fields)


@dataclass(frozen=True)
class Header:
    text: str

    @classmethod
    def read(cls, path: Path) -> Header:
        return cls(path.read_text())

    def structs(self) -> dict[str, Struct]:
        found = STRUCT.findall(self.text)
        return {
            name: Struct(name, one_line(comment), read_fields(name, body)) for comment, name, body in found
        }

    def constants(self) -> dict[str, Constant]:
        """By name without ZRX_."""
        found = DEFINE.finditer(self.text)
        return {match["name"]: Constant(match["value"], one_line(match["comment"])) for match in found}

    def version(self) -> str:
        constants = self.constants()
        return ".".join(constants[f"VERSION_{part}"].value for part in ("MAJOR", "MINOR", "PATCH"))
