"""All tests run against the reference, and none may touch a learner's workbook."""

from __future__ import annotations

import os
import tempfile

os.environ["TOKENS_LIB"] = "reference"
os.environ["TOKENS_WORKBOOK"] = tempfile.mkdtemp(prefix="workbook-of-tests-")
# Small tensors on few cores: two busy threads only get into each other's way.
os.environ.setdefault("OMP_NUM_THREADS", "1")
