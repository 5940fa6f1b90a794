# SPDX-License-Identifier: MIT
"""What SWIG generates from zcrx.h: its names are the header's."""

from typing import Any

def __getattr__(name: str) -> Any: ...
