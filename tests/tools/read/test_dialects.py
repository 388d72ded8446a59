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
from recryst.state.params.preparation import LoadParams
from recryst.tools.read.columns import plain_rows
from recryst.tools.read.load import LoadResult, load
from recryst.tools.read.tabular import Dialect, dialect_of

WORDS = {
    "latin": "Schön Brücke fährt über Größe Öl naïve café garçon señor niño später Tür wäre Häuser Löffel",
    "cyrillic": "Привет хороший фильм понравился очень смотрел вчера вечером друзьями музыка сюжет актёры",
    "greek": "Αυτή είναι μια πολύ καλή ταινία και την είδα χθες βράδυ φίλους μουσική ήταν",
    "japanese": "これは 日本語の テキスト です とても 良い 映画 でした 音楽も 好き 友達と 見ました",
    "chinese": "这是 一个 很好的 电影 我 非常 喜欢 音乐 也 不错 昨天 晚上 和朋友 看的",
    "taiwanese": "這是 一個 很好的 電影 我 非常 喜歡 音樂 也 不錯 昨天 晚上 和朋友 看的",
    "korean": "이 영화는 정말 좋았어요 추천합니다 음악도 훌륭하고 배우들의 연기도 인상적이었습니다",
    "ascii": "a quiet film about bees and the plot is so thin that it said nothing of note",
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


def _value(rng: random.Random, script: str, banned: str) -> str:
    words = [rng.choice(WORDS[script if rng.random() < 0.7 else "ascii"].split()) for _ in range(rng.randint(2, 9))]
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


def test_no_dialect_loses_a_row_in_silence(tmp_path: Path) -> None:
    figures: Counter[str] = Counter()
    lost = []
    for at, (delimiter, quoting, script, encoding, newline) in enumerate(_combinations()):
        rng = random.Random(at)
        banned = delimiter + "\r\n" if quoting == "raw" else ""  # no value can hold them
        table = [[str(one), _value(rng, script, banned), rng.choice(["pos", "neg"])] for one in range(30)]
        data = _written([["number", "text", "label"], *table], delimiter, quoting, newline).encode(encoding)
        path = write(tmp_path / ("a.tsv" if delimiter == "\t" else "a.csv"), data)
        try:
            result = loaded(path, text_column="text")
        except InputError:
            figures["refused"] += 1
            continue
        read = [(row.get("number"), row.get("text"), row.get("label")) for row in rows_of(result)]
        right = len({tuple(row) for row in table} & set(read))
        if right == len(read) == len(table):
            figures["read"] += 1
        elif right == len(read) and result.quarantined:
            figures["refused in part"] += 1
        else:
            lost.append((at, delimiter, quoting, encoding, newline, right, len(read), result.quarantined))
    assert not lost, "\n".join(map(str, lost))
    assert figures["read"] >= 490, figures


def test_a_tab_separated_file_without_quoting_keeps_every_quote(tmp_path: Path) -> None:
    said = ["plain", '"Masterpiece, said nobody', "a wet sock", 'so called "hero" sleeps', '"Best of the year', "good"]
    lines = ["sentence\tlabel", *(f"{one}\tneg" for one in said)]
    result = loaded(write(tmp_path / "a.tsv", "\n".join(lines).encode()), text_column="sentence")
    assert texts(result, "sentence") == said
    assert result.quarantined == 0
    assert any("a quote part of its value" in note for note in result.notes)


def test_two_lone_quotes_that_look_like_a_pair_melt_no_lines(tmp_path: Path) -> None:
    said = ["first", '"opens here', "between", 'closes here"', *(f"row {at}" for at in range(4))]
    for name, mark in (("a.tsv", "\t"), ("b.tsv", "\t")):
        # In the second file the pair stands far behind what the dialect is told by.
        ahead = 0 if name == "a.tsv" else 40_000
        every = [*(f"a line ahead of it {at}" for at in range(ahead)), *said]
        content = "\n".join([f"label{mark}text", *(f"x{mark}{one}" for one in every)])
        result = loaded(write(tmp_path / name, content.encode()))
        assert texts(result) == every, name
        assert result.notes


def test_a_quote_never_closed_takes_one_line_with_it(tmp_path: Path) -> None:
    content = 'n,text\n1,"good, too"\n2,"never closed\n3,sound\n4,"with ""quotes"", too"\n5,last\n'
    result = loaded(write(tmp_path / "a.csv", content.encode()))
    assert texts(result) == ["good, too", "sound", 'with "quotes", too', "last"]
    (entry,) = quarantined(result)
    assert entry["line"] == 3


def test_broken_quotes_cost_no_more_than_a_second_reading(tmp_path: Path) -> None:
    # Each line opens a quote for itself, and goes on in quotes where the line before left one open.
    content = "text,n\nsound,1\n" + 'a",""",b\n' * 60_000
    assert loaded(write(tmp_path / "a.csv", content.encode())).ingested >= 1


@pytest.mark.parametrize("word", ["null", "NA", "nan", "None", "007", "1e5", "", "true", "N/A", " 1", "0x1F"])
def test_every_value_stays_the_text_it_is(tmp_path: Path, word: str) -> None:
    result = loaded(write(tmp_path / "a.csv", f"clip,text\n{word},words\n2,{word}\n3,x\n".encode()))
    assert [tuple(row.values()) for row in rows_of(result)] == [(word, "words"), ("2", word), ("3", "x")]


GERMAN = ["Schön, aber zu süß", "Die Brücke führt übers Tal", "Alles gut", "Größe und Gewicht", "Kein Öl, kein Essig"]


@pytest.mark.parametrize("encoding", ["cp1252", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-8-sig"])
@pytest.mark.parametrize("delimiter", ";|")
def test_a_legacy_table_is_read_and_its_dialect_said(tmp_path: Path, encoding: str, delimiter: str) -> None:
    lines = [f"id{delimiter}Kommentar, frei{delimiter}Note", *(f"1{delimiter}{one}{delimiter}3" for one in GERMAN)]
    for newline in ("\n", "\r\n", "\r"):
        path = write(tmp_path / "a.csv", newline.join([*lines, ""]).encode(encoding))
        result = loaded(path, text_column="Kommentar, frei")
        assert texts(result, "Kommentar, frei") == GERMAN
        assert any("between values" in note for note in result.notes)
        assert encoding == "utf-8-sig" or any("in the encoding" in note for note in result.notes)


def test_a_plain_table_needs_no_word(tmp_path: Path) -> None:
    content = 'id,text\n1,"one, two"\n2,"two\nlines"\n3,three\n'
    for name, mark in (("a.csv", ","), ("a.tsv", "\t")):
        result = loaded(write(tmp_path / name, content.replace(",", mark).encode()), text_column="text")
        assert result.ingested == 3
        assert result.notes == ()


def test_one_bad_byte_is_a_bad_line_and_no_other_encoding(tmp_path: Path) -> None:
    content = "id,text\n1,Größe\n2,Öl\n".encode() + b"3,caf\xe9\n"
    result = loaded(write(tmp_path / "a.csv", content), text_column="text")
    assert texts(result) == ["Größe", "Öl"]
    assert "invalid UTF-8" in quarantined(result)[0]["reason"]


def test_a_spreadsheet_says_its_delimiter_on_the_first_line(tmp_path: Path) -> None:
    result = loaded(write(tmp_path / "a.csv", b"sep=;\r\nid;text\r\n1;a, b\r\n2;c\r\n"), text_column="text")
    assert texts(result) == ["a, b", "c"]


def test_one_column_of_prose_is_not_split_at_its_commas(tmp_path: Path) -> None:
    said = ["Hello, world", "one, two, three", "none", '"quoted" word, first']
    result = loaded(write(tmp_path / "a.csv", "\n".join(["text", *said]).encode()))
    assert texts(result) == said


def test_tables_put_end_to_end_give_their_rows_and_no_header_twice(tmp_path: Path) -> None:
    half = "id,text\n1,one\n2,two\n".encode("utf-8-sig")
    result = loaded(write(tmp_path / "a.csv", half + half.replace(b"one", b"three")), text_column="text")
    assert texts(result) == ["one", "two", "three", "two"]
    assert [entry["reason"] for entry in quarantined(result)] == ["the header again"]


def test_an_index_without_a_name_is_no_text(tmp_path: Path) -> None:
    said = ["Lamp river paper bridge", "Blanket market forest", "Bridge winter stone"]
    result = loaded(
        write(tmp_path / "a.csv", "\n".join([",review", *(f"{n},{t}" for n, t in enumerate(said))]).encode())
    )
    assert (result.text_column, texts(result, "review")) == ("review", said)


ROWS: list[dict[str, Any]] = [{"text": f"row {at}, [with] {{marks}}", "n": [{"k": at}]} for at in range(5)]
LAYOUTS = {
    "an array over many lines": json.dumps(ROWS, indent=2),
    "an array on one line": json.dumps(ROWS),
    "an array with an object a line": "[\n" + ",\n".join(map(json.dumps, ROWS)) + "\n]\n",
    "an array that begins on the line": "[" + ",\n".join(map(json.dumps, ROWS)) + "]",
    "objects over many lines": "\n".join(json.dumps(row, indent=2) for row in ROWS),
    "objects side by side": "".join(map(json.dumps, ROWS)),
    "objects with commas": ",\n".join(map(json.dumps, ROWS)),
    "lines": "\n".join(map(json.dumps, ROWS)),
    "lines of which two are one": "\n".join([*map(json.dumps, ROWS[:3]), json.dumps(ROWS[3]) + json.dumps(ROWS[4])]),
    "lines ending in CR": "\r".join(map(json.dumps, ROWS)),
    "a sequence with separators": "".join(f"\x1e{json.dumps(row)}\n" for row in ROWS),
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("name", ["a.jsonl", "a.json", "a.data"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_json_is_read_in_any_layout_under_any_name(tmp_path: Path, layout: str, name: str, encoding: str) -> None:
    if layout.startswith("a sequence") and name == "a.data":
        return  # neither name nor beginning says that it is JSON
    result = loaded(write(tmp_path / name, LAYOUTS[layout].encode(encoding)))
    assert rows_of(result) == ROWS
    assert result.quarantined == 0
    plain = layout.startswith(("lines", "a sequence")) or name != "a.jsonl"
    assert plain or any("not JSON Lines" in note for note in result.notes)


@pytest.mark.parametrize("indent", [None, 2])
def test_one_broken_element_stops_no_load(tmp_path: Path, indent: int | None) -> None:
    whole = "[\n" + ",\n".join(json.dumps(row, indent=indent) for row in ROWS) + "\n]"
    broken = whole.replace('"text": "row 2', '"text" "row 2')
    for name in ("a.json", "a.jsonl"):
        result = loaded(write(tmp_path / name, broken.encode()))
        assert rows_of(result) == [row for at, row in enumerate(ROWS) if at != 2]
        assert result.quarantined == 1


@pytest.mark.parametrize("indent", [None, 2])
def test_numbers_that_json_lacks_are_null_and_said(tmp_path: Path, indent: int | None) -> None:
    values = [float("nan"), 0.5, float("inf"), float("-inf"), 1.0, None]
    rows = [{"text": f"row {at}", "reward": value} for at, value in enumerate(values)]
    lines = "\n".join(json.dumps(row, indent=indent) for row in rows)
    inside = json.dumps({"version": 1, "data": rows}, indent=indent)
    for name, content in (("a.jsonl", lines), ("a.json", json.dumps(rows, indent=indent)), ("b.json", inside)):
        result = loaded(write(tmp_path / name, content.encode()))
        assert [row["reward"] for row in rows_of(result)] == [None, 0.5, None, None, 1.0, None], name
        assert result.quarantined == 0
        assert any("NaN" in note and "null" in note for note in result.notes)


def test_an_odd_value_stops_no_load(tmp_path: Path) -> None:
    odd = ['{"text": "b", "n": "word"}', '{"text": "c", "n": {"k": 1}}', '{"text": "d", "n": 1e999}', '{"text": 7}']
    bad = ['{"text": "x", "n": 123456789012345678901234567890}', '["text"]', '{"text": "cut', "null"]
    content = "\n".join(['{"text": "a", "n": 1}', *odd, *bad, '{"text": "e", "n": 2}'])
    for name, body in (("a.jsonl", content), ("a.json", "[" + content.replace("\n", ",\n") + "]")):
        result = loaded(write(tmp_path / name, body.encode()))
        assert [row["n"] for row in rows_of(result)] == [1, "word", {"k": 1}, None, None, 2], name
        assert result.quarantined == len(bad)


@pytest.mark.parametrize(("suffix", "pack"), [(".xz", lzma.compress), (".bz2", bz2.compress), (".gz", gzip.compress)])
def test_a_packed_file_is_read_and_its_break_said(tmp_path: Path, suffix: str, pack: Any) -> None:
    half = b"".join(orjson.dumps(row) + b"\n" for row in ROWS)
    whole = pack(half) + pack(half)
    result = loaded(write(tmp_path / f"a.jsonl{suffix}", whole))
    assert rows_of(result) == ROWS * 2
    result = loaded(write(tmp_path / f"b.jsonl{suffix}", whole[:-8]))
    assert rows_of(result)[:5] == ROWS
    assert "breaks off" in quarantined(result)[-1]["reason"]
    table = ("text;n\n" + "".join(f"Größe {at};{at}\n" for at in range(50))).encode("cp1252")
    assert loaded(write(tmp_path / f"c.csv{suffix}", pack(table))).ingested == 50


def test_marks_of_files_put_end_to_end_are_no_text(tmp_path: Path) -> None:
    half = "".join(json.dumps(row) + "\n" for row in ROWS).encode("utf-8-sig")
    for between in (b"", b"\n"):
        result = loaded(write(tmp_path / "a.jsonl", half + between + half.rstrip()))
        assert rows_of(result) == ROWS * 2
    result = loaded(write(tmp_path / "b.jsonl", half.rstrip() + half))  # no line end between them
    assert rows_of(result) == ROWS * 2


def test_the_dialect_of_spark(tmp_path: Path) -> None:
    said = ['He said "no", twice', "C:\\new\\table", 'a \\ "b"', "two\nlines, and one", "x \\\\ y"]
    content = "text,n\n" + "".join(f"{_spark(one, ',')},1\n" for one in said)
    result = loaded(write(tmp_path / "a.csv", content.encode()))
    assert texts(result) == said
    assert dialect_of(content, tabs=False) == Dialect(escape=True, bare=True)
