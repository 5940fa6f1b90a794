# SPDX-License-Identifier: MIT
"""No module of a card's package needs, by whatever way, one that needs it."""

from __future__ import annotations

import ast
import unittest
from pathlib import Path

ROOT = Path(__file__).parents[1]


def needs(path: Path) -> set[str]:
    """The modules of the same package that a file imports."""
    imports = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.ImportFrom)]
    beside = [node for node in imports if node.level == 1]
    return {node.module or name.name for node in beside for name in node.names}


class LayoutTest(unittest.TestCase):
    def test_no_circles(self) -> None:
        for package in "bnxt", "gve":
            graph = {path.stem: needs(path) for path in (ROOT / package).glob("*.py")}
            while graph:
                free = {name for name, needed in graph.items() if not needed & graph.keys()}
                self.assertTrue(free, f"{package}: a circle among {sorted(graph)}")
                graph = {name: needed for name, needed in graph.items() if name not in free}


if __name__ == "__main__":
    unittest.main()
