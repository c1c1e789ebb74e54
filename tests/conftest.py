"""What all tests share: one thread, the repository's own code, repeatable random examples."""

from __future__ import annotations

import os
import sys
from pathlib import Path

# Before torch starts: two threads on a busy machine are slower than one.
os.environ.setdefault("OMP_NUM_THREADS", "1")
REPOSITORY = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(REPOSITORY))

from hypothesis import settings  # noqa: E402

settings.register_profile("course", deadline=None, max_examples=25, derandomize=True, database=None)
settings.load_profile("course")
