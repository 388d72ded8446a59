"""Dialects, encodings and layouts: a file is read for what it is, or refused with the reason, and never in silence."""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import itertools
import json
import lzma
import random
from collections import Counter
from pathlib import Path
from typing import Any

import orjson
import pyarrow.parquet as pq
import pytest

from recryst.state.errors import InputError
from recryst.state.preparation import LoadParams
from recryst.tools.read.columns import plain_rows
from recryst.tools.read.load import LoadResult, load
from recryst.tools.read.tabular import Dialect, dialect_of

WORDS: dict[str, list[str]] = {
    "latin": "Schön Brücke fährt über Größe Öl naïve café garçon señor niño später Tür wäre Häuser Löffel".split(),
    "cyrillic": "Привет хороший фильм понравился очень смотрел вчера вечером друзьями музыка сюжет актёры".split(),
    "greek": "Αυτή είναι μια πολύ καλή ταινία και την είδα χθες βράδυ φίλους μουσική ήταν".split(),
    "japanese": "これは 日本語の テキスト です とても 良い 映画 でした 音楽も 好き 友達と 見ました".split(),
    "chinese": "这是 一个 很好的 电影 我 非常 喜欢 音乐 也 不错 昨天 晚上 和朋友 看的".split(),
    "taiwanese": "這是 一個 很好的 電影 我 非常 喜歡 音樂 也 不錯 昨天 晚上 和朋友 看的".split(),
    "korean": "이 영화는 정말 좋았어요 추천합니다 음악도 훌륭하고 배우들의 연기도 인상적이었습니다".split(),
    "ascii": "a quiet film about bees and the plot is so thin that it said nothing of note".split(),
}
ENCODINGS = {
    "ascii": ["utf-8", "cp1252"],
    "latin": ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "cp1252"],
    "cyrillic": ["utf-8", "utf-16-le", "cp1251", "koi8_r"],
    "greek": ["utf-8", "cp1253"],
    "japanese": ["utf-8", "utf-16", "utf-16-be", "cp932", "euc_jp"],
    "chinese": ["utf-8", "utf-16-le", "gb18030"],
    "taiwanese": ["big5"],
    "korean": ["utf-8-sig", "cp949"],
}
MARKS = ['"', "'", '""', "\\", "\\\\", '\\"', ",", ";", "|", "\t", "\n", "\r\n", '",', '"\n"', "don't", "\\frac{a}"]
#: How a file is quoted: arguments of ``csv.writer``; by hand: as Spark writes, and without any quoting.
QUOTINGS: dict[str, dict[str, Any] | None] = {
    "minimal": {},
    "all": {"quoting": csv.QUOTE_ALL},
    "single": {"quotechar": "'"},
    "escaped": {"escapechar": "\\", "doublequote": False},
    "escaped all": {"escapechar": "\\", "doublequote": False, "quoting": csv.QUOTE_ALL},
    "single escaped": {"quotechar": "'", "escapechar": "\\", "doublequote": False},
    "unquoted escaped": {"quoting": csv.QUOTE_NONE, "escapechar": "\\"},
    "spark": None,
    "raw": None,
}


def loaded(path: Path, **params: Any) -> LoadResult:
    return load(str(path), LoadParams(**params), path.parent / "out")


def rows_of(result: LoadResult) -> list[dict[str, Any]]:
    rows = [row for batch in pq.ParquetFile(result.originals).iter_batches() for row in plain_rows(batch)]
    return [{key: value for key, value in row.items() if key != "row"} for row in rows]


def quarantined(result: LoadResult) -> list[dict[str, Any]]:
    return [orjson.loads(line) for line in result.quarantine.read_bytes().splitlines()]


def write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def texts(result: LoadResult, column: str = "text") -> list[Any]:
    return [row[column] for row in rows_of(result)]


def _value(rng: random.Random, script: str, encoding: str, banned: str) -> str:
    words = [rng.choice(WORDS[script] if rng.random() < 0.7 else WORDS["ascii"]) for _ in range(rng.randint(2, 9))]
    for _ in range(rng.randint(0, 3)):
        words.insert(rng.randint(0, len(words)), rng.choice(MARKS))
    text = rng.choice(('"', "'", "", "", "")) + " ".join(words)
    for mark in banned:
        text = text.replace(mark, " ")
    return text.strip() or "x"


def _written(rows: list[list[str]], delimiter: str, quoting: str, newline: str) -> str:
    if quoting == "raw":
        return "".join(delimiter.join(row) + newline for row in rows)
    if quoting == "spark":
        return "".join(delimiter.join(_spark(value, delimiter) for value in row) + newline for row in rows)
    file = io.StringIO(newline="")
    csv.writer(file, delimiter=delimiter, lineterminator=newline, **(QUOTINGS[quoting] or {})).writerows(rows)
    return file.getvalue()


def _spark(value: str, delimiter: str) -> str:
    if not any(mark in value for mark in ('"', "\n", "\r", delimiter)):
        return value
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _combinations() -> list[tuple[str, str, str, str, str]]:
    encodings = [(script, encoding) for script, names in ENCODINGS.items() for encoding in names]
    every = [
        (delimiter, quoting, script, encoding, newline)
        for delimiter, quoting, (script, encoding), newline in itertools.product(
            ",;\t|", QUOTINGS, encodings, ("\n", "\r\n", "\r")
        )
    ]
    return random.Random(9).sample(every, 500)


def test_no_dialect_loses_a_row_in_silence(tmp_path: Path, record_property: Any) -> None:
    figures: Counter[str] = Counter()
    lost = []
    for at, (delimiter, quoting, script, encoding, newline) in enumerate(_combinations()):
        rng = random.Random(at)
        # What a way of writing cannot hold stands in no value of it.
        banned = {"raw": delimiter + "\r\n"}.get(quoting, "")
        rows = [["number", "text", "label"]]
        rows += [[str(one), _value(rng, script, encoding, banned), rng.choice(["pos", "neg"])] for one in range(30)]
        data = _written(rows, delimiter, quoting, newline).encode(encoding)
        path = write(tmp_path / ("a.tsv" if delimiter == "\t" else "a.csv"), data)
        try:
            result = loaded(path, text_column="text")
        except InputError as error:
            assert str(error)
            figures["refused"] += 1
            print("REFUSED", delimiter, quoting, encoding, repr(newline), error)
            continue
        read = {row["number"]: row for row in rows_of(result) if "number" in row}
        right = sum(read.get(row[0]) == dict(zip(rows[0], row, strict=True)) for row in rows[1:])
        wrong = len(rows_of(result)) - right
        if right == len(rows) - 1:
            figures["read"] += 1
        elif not wrong and result.quarantined:
            figures["refused in part"] += 1
            print("PART", at, delimiter, quoting, encoding, repr(newline), right, [n.split("a.csv")[-1].split("a.tsv")[-1] for n in result.notes], quarantined(result)[0])
        else:
            figures["lost"] += 1
            print("LOST", [(rows[1+i][1], r["text"]) for i, r in enumerate(rows_of(result)[:30]) if r["text"] != rows[1+i][1]][:1])
            lost.append((at, delimiter, quoting, encoding, newline, right, wrong, result.quarantined, [n.split("a.csv")[-1].split("a.tsv")[-1] for n in result.notes]))
    for name, count in figures.items():
        record_property(name, count)
    print(dict(figures))
    assert not lost, "\n".join(map(str, lost))
    assert figures["read"] >= 480
