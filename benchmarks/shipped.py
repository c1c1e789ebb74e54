"""What the scripts that make a shipped model share."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from trickster import data


def record_checksum(path: Path) -> None:
    """Record the checksum of a file that was just written into ``datasets/``."""
    table = data.datasets_dir() / data.CHECKSUMS
    sums = json.loads(table.read_text())
    sums[path.name] = hashlib.sha256(path.read_bytes()).hexdigest()
    table.write_text(json.dumps(sums, indent=2, sort_keys=True) + "\n")
    print(f"wrote {path.name} ({path.stat().st_size / 1e6:.1f} MB) and its checksum")
