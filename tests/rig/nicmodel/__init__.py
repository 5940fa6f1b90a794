# SPDX-License-Identifier: MIT
"""Models of network cards that an unmodified guest driver can drive over vfio-user."""
