"""A part of Banking77 so small that whole runs of it take seconds."""

import csv
import gzip

import pytest


@pytest.fixture(scope="session")
def few_intents(shared_data, tmp_path_factory):
    """A data folder of four intents of Banking77, 50 rows of each, and as many problems of GSM8K."""
    folder = tmp_path_factory.mktemp("few-intents")
    for name in ("banking77", "gsm8k"):
        (folder / name).mkdir()
    for split, most in (("train", 50), ("test", 20)):
        with (shared_data / f"banking77/{split}.csv").open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        with (folder / f"banking77/{split}.csv").open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, ["text", "category"])
            writer.writeheader()
            for name in sorted({row["category"] for row in rows})[:4]:
                writer.writerows([row for row in rows if row["category"] == name][:most])
    with gzip.open(shared_data / "gsm8k/train.jsonl.gz", "rt", encoding="utf-8") as file:
        lines = [line for _, line in zip(range(200), file, strict=False)]
    with gzip.open(folder / "gsm8k/train.jsonl.gz", "wt", encoding="utf-8") as file:
        file.writelines(line for line in lines if len(line) < 500)
    return folder
