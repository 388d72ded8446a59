"""One generator per format, from a file to batches of rows; broken records go to the quarantine.

A batch is bounded in rows and in bytes, so that memory does not depend on the file's size.
"""

import csv
import json
from collections.abc import Iterator
from itertools import repeat
from typing import IO, Any

import orjson

from ...state.errors import InputError
from .columns import content_id
from .records import BadRecord, Pending, Reading, Records, distinct_names
from .streams import BROKEN_ARCHIVE, Line, lines

_MAX_JSON_BYTES = 256 << 20  # a JSON document is parsed whole, at about ten times its size in memory
_KINDS: dict[type, str] = {list: "an array", str: "a string", bool: "a boolean", int: "a number", float: "a number"}
_CSV_END = "\udffe"  # no decoded text holds a lone surrogate: no record can be mistaken for it


def read_json_lines(stream: IO[bytes], name: str, reading: Reading) -> Iterator[Records]:
    """JSON Lines: one object per line; blank lines are no records."""
    pending = Pending(name, reading)
    for line in lines(stream, reading.max_line):
        if not line.problem and not line.data.strip():
            continue
        try:
            row, digest = parse_line(line)
        except BadRecord as bad:
            reading.refuse(name, line.number, bad, line.data)
            continue
        if pending.add(line.number, row, len(line.data), digest):
            yield from pending.flush()
    yield from pending.flush()


def parse_line(line: Line) -> tuple[dict[str, Any], str]:
    """The JSON object on a line, and its content id.

    Raises:
        BadRecord: there is none, or it holds what cannot be stored.
    """
    if line.problem:
        raise BadRecord(line.problem)
    try:
        value = orjson.loads(line.data)
    except orjson.JSONDecodeError as error:
        raise BadRecord(_json_problem(line.data, error)) from error
    row, digest = _checked(value)
    _refuse_long_integers(_integers_marked(line.data))
    return row, digest


def _checked(value: Any) -> tuple[dict[str, Any], str]:
    """A parsed JSON value as a row, and its content id."""
    if not isinstance(value, dict):
        raise BadRecord(f"not a JSON object but {_KINDS.get(type(value), 'null')}")
    if not value:
        raise BadRecord("an empty object")
    try:
        return value, content_id(value)
    except TypeError as error:
        raise BadRecord("nested more than 254 levels deep") from error


def _json_problem(data: bytes, error: orjson.JSONDecodeError) -> str:
    """Why ``data`` is not JSON, with the place."""
    try:
        text = data.decode()
    except UnicodeDecodeError as undecodable:
        return f"invalid UTF-8 at byte {undecodable.start} of the line"
    if text[error.pos : error.pos + 10].lstrip("-").startswith(("NaN", "Infinity")):
        return f"not valid JSON at column {error.colno}: JSON has no NaN and no Infinity"
    return f"not valid JSON at column {error.colno}: {error.msg}"


def read_json(stream: IO[bytes], name: str, reading: Reading) -> Iterator[Records]:
    """A JSON array of objects, or an object that holds exactly one such array; ``line`` is the position in it.

    Raises:
        InputError: not valid JSON, no such array or several of them, or too large to be parsed whole.
    """
    try:
        data = stream.read(_MAX_JSON_BYTES + 1)
    except BROKEN_ARCHIVE as error:
        raise InputError(f"{name} is damaged: its compressed data breaks off ({error})") from error
    if len(data) > _MAX_JSON_BYTES:
        raise InputError(
            f"{name} is a JSON document above {_MAX_JSON_BYTES >> 20} MB, which has to be parsed whole; "
            "write it as JSON Lines (one object per line) and load that"
        )
    try:
        document = orjson.loads(data.removeprefix(b"\xef\xbb\xbf"))
    except orjson.JSONDecodeError as error:
        raise InputError(f"{name} is not valid JSON: {error}") from error
    array, size = _array_in(document, name), len(data)
    try:
        spelled = _integers_marked(data)
    except RecursionError as error:
        raise InputError(f"{name} is nested too deeply to be read; write it as JSON Lines") from error
    integers = repeat(None) if spelled is None else _array_in(spelled, name)
    del data, document, spelled
    pending = Pending(name, reading)
    for position, (value, spelling) in enumerate(zip(array, integers, strict=False), start=1):
        try:
            row, digest = _checked(value)
            _refuse_long_integers(spelling)
        except BadRecord as bad:
            reading.refuse(name, position, bad, "" if isinstance(value, dict | list) else orjson.dumps(value))
            continue
        if pending.add(position, row, size // len(array), digest):
            yield from pending.flush()
    yield from pending.flush()


def _array_in(document: Any, name: str) -> list[Any]:
    """The array of objects that is, or stands in, a JSON document."""
    if isinstance(document, list):
        return document
    held = document.items() if isinstance(document, dict) else ()
    found = {key: value for key, value in held if isinstance(value, list) and value and isinstance(value[0], dict)}
    if len(found) != 1:
        count = f"several ({', '.join(map(repr, found))})" if found else "none"
        raise InputError(f"{name} must hold one array of objects, and holds {count}; write the rows as JSON Lines")
    return next(iter(found.values()))


def read_csv(stream: IO[bytes], name: str, reading: Reading, delimiter: str) -> Iterator[Records]:
    """CSV with a header line; every value stays the text it is. Quoted values may hold line ends.

    Raises:
        InputError: the header line is missing or broken.
    """
    records = _csv_records(stream, name, reading, delimiter)
    header = next(records, None)
    if header is None:
        return
    names = distinct_names(header[1], reading)
    pending = Pending(name, reading)
    for line, record in records:
        if len(record) != len(names):
            reason = f"{len(record)} fields where the header has {len(names)}"
            reading.refuse(name, line, reason, delimiter.join(record))
        elif pending.add(line, dict(zip(names, record, strict=True)), sum(map(len, record))):
            yield from pending.flush()
    yield from pending.flush()


def _csv_records(stream: IO[bytes], name: str, reading: Reading, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """(line, fields) of every sound record, the header first. A bad line spoils the record it stands in, no other."""
    csv.field_size_limit(reading.max_line)
    problems: dict[int, str] = {}
    beginning: list[str] = []

    def text() -> Iterator[str]:
        for line in lines(stream, reading.max_line):
            problem, decoded = line.problem, ""
            if problem:
                # Stands in for the line, and opens or closes a quoted field as the line did.
                decoded = f'?{delimiter}"\n' if line.odd_quotes else "?\n"
            else:
                try:
                    decoded = line.data.decode()
                except UnicodeDecodeError as error:
                    problem = f"invalid UTF-8 at byte {error.start} of line {line.number}"
                    decoded = line.data.decode("utf-8", "replace")
            if problem:
                problems[line.number] = problem
            if not beginning:
                beginning.append(decoded if not line.problem else line.data.decode("utf-8", "replace"))
            yield decoded
        yield _CSV_END

    parser, last, sound = csv.reader(text(), delimiter=delimiter), 0, False
    while True:
        try:
            record, problem = next(parser), ""
        except StopIteration:
            return
        except csv.Error as error:
            record, problem = [], f"not valid CSV: {str(error).partition(' - ')[0]}"
        first, last = last + 1, parser.line_num
        if record == [_CSV_END] and first == last:  # else a quote was opened before it
            return
        if record and record[-1].endswith(_CSV_END):
            problem = "a quoted field is never closed"
        if problems:
            problem = " and ".join(problems[line] for line in sorted(problems) if line <= last) or problem
            problems = {line: reason for line, reason in problems.items() if line > last}
        if problem and not sound:
            # Without it, the first row would pass for the header.
            raise InputError(f"{name} has no sound header: line {first}: {problem}; mend that line")
        if problem:
            reading.refuse(name, first, problem, "".join(beginning))
        elif record:
            yield first, record
        sound = sound or bool(record)
        beginning.clear()


_DIGITS_TO_ZERO = bytes.maketrans(b"123456789", b"000000000")
_LONG_INTEGER = b"0" * 19  # 2⁶³ has 19 digits


def _integers_marked(data: bytes) -> Any:
    """What the JSON text ``data`` holds, with 2⁶⁴ for each integer beyond 64 bits; ``None`` where there can be none.

    Raises:
        RecursionError: nested several hundred levels deep.
    """
    if _LONG_INTEGER not in data.translate(_DIGITS_TO_ZERO):  # twenty times faster than a regular expression
        return None
    fits = range(-(1 << 63), 1 << 64)
    return json.loads(data, parse_int=lambda digits: None if len(digits) <= 20 and int(digits) in fits else 1 << 64)


def _refuse_long_integers(marked: Any) -> None:
    """Refuse a value of ``_integers_marked`` that holds a mark: a changed number must not pass for the original."""
    try:
        orjson.dumps(marked)
    except TypeError as error:
        raise BadRecord("an integer beyond 64 bits cannot be stored; write it as a string") from error
