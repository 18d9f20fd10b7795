"""The list of planted mutations stays one that can be planted."""

import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).resolve().parents[1] / "scripts/mutate"


def test_every_planted_mutation_still_has_its_place() -> None:
    """Each replaces a text that stands in its file exactly once; the script says which does not."""
    listed = subprocess.run(
        [sys.executable, SCRIPT, "--list"], capture_output=True, text=True, encoding="utf-8"
    )
    assert listed.returncode == 0, listed.stdout + listed.stderr
    assert len(listed.stdout.splitlines()) >= 100
