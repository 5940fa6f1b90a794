# SPDX-License-Identifier: MIT
"""A BCM57508 (a "P5" chip), as far as the bnxt_en driver sees it."""
