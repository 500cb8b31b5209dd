"""Where things are kept that a learner makes (given)."""

from __future__ import annotations

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
"""The folder that holds lessons/, lib/ and data/."""

DRIVE = Path("/content/drive/MyDrive")
"""Where Colab mounts a Drive."""


def workbook_folder() -> Path:
    """The workbook's folder: `TOKENS_WORKBOOK`, on Colab a folder of the mounted Drive, else
    `workbook/` beside `lib/`. It need not exist yet."""
    if os.environ.get("TOKENS_WORKBOOK"):
        return Path(os.environ["TOKENS_WORKBOOK"]).expanduser()
    if DRIVE.is_dir():
        return DRIVE / "token-by-token"
    return ROOT / "workbook"
