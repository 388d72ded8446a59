"""How the tests call the command line, and how small a run may be."""

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
SMALL = [
    *(
        "--set",
        "train.tokens=6000",
        "--set",
        "train.hidden_size=64",
        "--set",
        "train.layers=2",
        "--set",
        "train.heads=2",
    ),
    *("--set", "train.vocab_size=400", "--set", "train.context=32", "--set", "reduce.landmarks=300"),
    *("--set", "critique.max_near_duplicates=0.02", "--max-rounds", "3"),
]
# What a run needs at the least, where only its beginning is tested.
SHORT = ["--no-train", "--max-rounds", "1", "--set", "reduce.methods=[pca]"]
