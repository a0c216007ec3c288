"""ChefWell in miniature, all parts real: see README.md.

from testbed import Testbed

bed = Testbed.up(root, tenants=3)
bed.down()
"""

from __future__ import annotations

from .bed import Testbed

__all__ = ["Testbed"]
