# SPDX-License-Identifier: MIT
"""Unit tests of the models. They make models refuse, which is logged: not here."""

import logging

logging.disable(logging.CRITICAL)
