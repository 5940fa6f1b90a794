# SPDX-License-Identifier: MIT
"""A gVNIC with DQO-RDA queues, as far as the gve driver sees it."""
