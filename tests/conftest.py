"""Lets tests import the collection from this checkout as `ansible_collections.dataminer.web`. Long ones begin first."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
LINK = ROOT / "playbooks" / "collections" / "ansible_collections"

try:
    import ansible_collections
except ImportError:
    sys.path.insert(0, str(LINK.parent))
    import ansible_collections
if str(LINK) not in list(ansible_collections.__path__):
    ansible_collections.__path__ = [str(LINK), *ansible_collections.__path__]


def pytest_collection_modifyitems(items: list[Any]) -> None:
    """Those that begin late would be waited for alone."""
    items.sort(key=lambda item: item.get_closest_marker("long") is None)
