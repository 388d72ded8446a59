"""A set that a test can afford."""

import csv

import pytest

INTENTS = 8


@pytest.fixture
def few_intents(shared_data, tmp_path):
    """A data folder in which Banking77 has eight intents."""
    (tmp_path / "data/banking77").mkdir(parents=True)
    (tmp_path / "data/gsm8k").symlink_to(shared_data / "gsm8k")
    for split in ("train", "test"):
        with (shared_data / f"banking77/{split}.csv").open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        chosen = sorted({row["category"] for row in rows})[:INTENTS]
        with (tmp_path / f"data/banking77/{split}.csv").open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, ["text", "category"])
            writer.writeheader()
            writer.writerows(row for row in rows if row["category"] in chosen)
    return tmp_path / "data"
