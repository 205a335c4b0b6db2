"""Lets tests import the collection from this checkout as `ansible_collections.dataminer.web`."""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LINK = ROOT / "playbooks" / "collections" / "ansible_collections"

try:
    import ansible_collections
except ImportError:
    sys.path.insert(0, str(LINK.parent))
    import ansible_collections
if str(LINK) not in list(ansible_collections.__path__):
    ansible_collections.__path__ = [str(LINK), *ansible_collections.__path__]
