"""What a folder or file is: which of its files are read, and as what; nothing is left out in silence."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

import orjson
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from recryst.state.errors import InputError
from recryst.state.params.preparation import LoadParams
from recryst.tools.read.load import LoadResult, load
from recryst.tools.read.splits import partitions_of, splits


def lines(*texts: str) -> bytes:
    return b"".join(orjson.dumps({"text": text}) + b"\n" for text in texts)


def folder_of(folder: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def loaded(source: Path, **params: Any) -> LoadResult:
    return load(str(source), LoadParams(**params), source.parent / "out")


def texts(result: LoadResult) -> list[str | None]:
    return pl.read_parquet(result.rows)["text"].to_list()


def parquet(*rows: str) -> bytes:
    out = io.BytesIO()
    pq.write_table(pa.table({"text": rows}), out)
    return out.getvalue()


@pytest.mark.parametrize(
    ("train", "test", "validation"),
    [
        ("train.jsonl", "test.jsonl", "validation.jsonl"),
        ("data/train-00000-of-00002.jsonl", "data/test-00000-of-00001.jsonl", "data/valid-00000-of-00001.jsonl"),
        ("train/part-0.jsonl", "eval/part-0.jsonl", "dev/part-0.jsonl"),
        ("en/training/a.jsonl", "en/testing/a.jsonl", "en/val/a.jsonl"),
        ("banking_train_v2.jsonl", "banking_test_v2.jsonl", "banking_dev_v2.jsonl"),
        ("train_sft.jsonl", "test_sft.jsonl", "validation_sft.jsonl"),
        ("trainset.jsonl", "testset.jsonl", "devset.jsonl"),
        ("split=train/a.jsonl", "split=test/a.jsonl", "split=validation/a.jsonl"),
        ("extra.jsonl", "test.jsonl", "val.jsonl"),
    ],
)
def test_only_what_is_for_training_is_read(tmp_path: Path, train: str, test: str, validation: str) -> None:
    files = {train: lines("learn"), test: lines("examine"), validation: lines("tune")}
    result = loaded(folder_of(tmp_path / "set", files))
    assert texts(result) == ["learn"]
    (note,) = [note for note in result.notes if "left out" in note]
    assert test in note
    assert validation in note


def test_what_the_user_names_is_read(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "set", {"test/test.jsonl": lines("a"), "test/b.jsonl": lines("b")})
    assert texts(load(str(folder / "test" / "test.jsonl"), LoadParams(), tmp_path / "out")) == ["a"]
    (folder / "test" / "test.jsonl").unlink()
    assert texts(load(str(folder / "test"), LoadParams(), tmp_path / "out")) == ["b"]
    with pytest.raises(InputError, match=r"nothing to train on, only test/b.jsonl; name the file itself"):
        loaded(folder)


def test_a_word_in_a_name_is_no_split_where_none_trains() -> None:
    names = ["dev-tickets.csv", "ops-tickets.csv", "evaluation-of-wines.csv", "contest.csv", "latest.csv"]
    assert splits(names) == {"unnamed": names}
    assert splits(["train.csv", "contest.csv", "train-test-split.csv"]) == {
        "train": ["train.csv"],
        "unnamed": ["contest.csv", "train-test-split.csv"],
    }
    pages = ["guide/training.md", "guide/testing.md", "test/index.html", "manual/dev.html", "a.txt"]
    assert splits(pages, documents=True) == {"unnamed": pages}


def test_documents_have_splits_where_the_training_stands_beside(tmp_path: Path) -> None:
    files = {
        "news-train/a.txt": b"learn", "news-test/a.txt": b"examine", "notes-test/b.txt": b"a note",
        "test.md": b"how to test", "valid.txt": b"tune", "train.txt": b"learn more", "__MACOSX/._a.txt": b"junk",
    }  # fmt: skip
    expected = ["learn", "a note", "how to test", "learn more"]
    result = loaded(folder_of(tmp_path / "set", files))
    assert texts(result) == expected
    assert "validation (valid.txt) and test (news-test/a.txt)" in result.notes[0]
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    assert texts(loaded(tmp_path / "set.zip")) == expected


def test_a_benchmark_is_read_in_all_its_splits(tmp_path: Path) -> None:
    from recryst.tools.repeats.contamination.benchmarks import read_benchmarks

    words = "the quick brown fox jumps over the lazy dog while nobody at all is looking at it"
    files = {"train.jsonl": lines(f"one {words}"), "test.jsonl": lines(f"two {words}")}
    found, _ = read_benchmarks([str(folder_of(tmp_path / "set", files))])
    assert len(found) == 2


def test_every_format_of_a_folder_is_read(tmp_path: Path) -> None:
    arrow = io.BytesIO()
    with pa.ipc.new_file(arrow, pa.schema([("text", pa.string())])) as writer:
        writer.write_batch(pa.record_batch({"text": ["six"]}))
    files = {
        "a.jsonl": lines("one"), "b.json": b'[{"text": "two"}]', "c.csv": b"text\nthree\n", "d.tsv": b"text\nfour\n",
        "e.parquet": parquet("five"), "f.arrow": arrow.getvalue(), "config.json": b'{"rows": 3}', "README.md": b"# Set",
        ".hidden.jsonl": lines("hidden"), ".cache/a.jsonl": lines("hidden"), "_SUCCESS": b"",
        "_temporary/x.csv": b"text\nhalf\n", "logo.png": b"\x89PNG",
    }  # fmt: skip
    result = loaded(folder_of(tmp_path / "set", files))
    assert texts(result) == ["one", "two", "three", "four", "five", "six"]
    assert any("6 files were read as one table" in note for note in result.notes)
    assert any("not read: _SUCCESS, _temporary/x.csv, config.json, logo.png" in note for note in result.notes)


@pytest.mark.parametrize("kind", ["csv", "json"])
def test_a_folder_of_one_kind_alone_is_read(tmp_path: Path, kind: str) -> None:
    one, two = {"csv": (b"text\na\n", b"text\nb\n"), "json": (b'[{"text": "a"}]', b'{"rows": [{"text": "b"}]}')}[kind]
    assert texts(loaded(folder_of(tmp_path / "set", {f"1.{kind}": one, f"2.{kind}": two}))) == ["a", "b"]


def test_data_and_documents_are_not_mixed(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "set", {"a.jsonl": lines("a"), "b.txt": b"b"})
    with pytest.raises(InputError, match=r"data files \(a.jsonl\) and documents \(b.txt\).*; name one file"):
        loaded(folder)
    pages = folder_of(tmp_path / "pages", {"a.txt": b"words", "manifest.json": b'{"pages": 1}', "README.md": b"more"})
    result = loaded(pages)
    assert texts(result) == ["more", "words"]
    assert "1 of the files" in result.notes[0]


def test_partitions_become_columns(tmp_path: Path) -> None:
    files = {
        "lang=en/year=2024/part-0.parquet": parquet("a", "b"),
        "lang=de%20AT/year=__HIVE_DEFAULT_PARTITION__/part-0.parquet": parquet("a"),
        "lang=fr/year=2023/a.jsonl": b'{"text": "c", "year": 1999}\n',
    }
    result = loaded(folder_of(tmp_path / "set", files))
    assert pl.read_parquet(result.originals).sort("row").select("text", "lang", "year").rows() == [
        ("a", "de AT", None), ("a", "en", '"2024"'), ("b", "en", '"2024"'), ("c", "fr", "1999"),
    ]  # fmt: skip
    assert any("columns from the names of folders: lang, year" in note for note in result.notes)
    assert pl.read_parquet(result.rows)["id"].n_unique() == 4
    assert partitions_of("a=b.csv") == partitions_of("=x/a.csv") == {}


def test_what_a_log_or_another_file_governs_is_refused(tmp_path: Path) -> None:
    table = folder_of(tmp_path / "delta", {"_delta_log/0.json": b"{}", "part-0.parquet": parquet("deleted")})
    with pytest.raises(InputError, match="is a Delta table"):
        loaded(table)
    saved = {"a/state.json": b"{}", "a/dataset_info.json": b"{}", "a/data.arrow": b""}
    with pytest.raises(InputError, match="name one of their folders"):
        loaded(folder_of(tmp_path / "sets", saved))
