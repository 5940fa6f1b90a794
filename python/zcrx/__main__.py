# SPDX-License-Identifier: MIT
"""python -m zcrx."""

import sys

from .cli import main

if __name__ == "__main__":
    sys.exit(main())
