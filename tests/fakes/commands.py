"""How the tests call the command line, and how small a run may be."""

import json
import sys

COMMAND = [
    sys.executable,
    "-P",
    "-W",
    "error::DeprecationWarning:recryst",
    "-c",
    "from recryst.agent.cli import main; main()",
]
# A small model and few landmarks, because the loop is what is tested here; and a critic that finds near-duplicates
# early, so that actions which remove rows are tried.
_SETTINGS = (
    *("train.tokens=3000", "train.hidden_size=64", "train.layers=1", "train.heads=2", "train.vocab_size=400"),
    *("train.context=32", "reduce.landmarks=300", "critique.max_near_duplicates=0.02"),
)
SMALL = [*(word for setting in _SETTINGS for word in ("--set", setting)), "--max-rounds", "3"]
# What a run needs at the least, where only its beginning is tested.
SHORT = ["--no-train", "--max-rounds", "1", "--set", "reduce.methods=[pca]"]
# The same as settings, for runs of more than a round.
QUICK = {
    "train": {"enabled": False},
    "reduce": {"methods": ["pca"]},
    "score": {"bootstraps": 2},
    "probe": {"seeds": 2},
}


def sound_rows(path):
    """The objects of a file of JSON Lines by their id; its broken lines are left out."""
    rows = {}
    for line in path.read_text().splitlines():
        try:
            row = json.loads(line)
        except ValueError:
            continue
        if isinstance(row, dict):
            rows[row["id"]] = row
    return rows
