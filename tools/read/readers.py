"""One generator per format, from a file to batches of rows; broken records go to the quarantine.

A batch is bounded in rows and in bytes, so that memory does not depend on the file's size.
"""

import json
import math
import re
from collections.abc import Iterable, Iterator
from itertools import islice, repeat
from typing import IO, Any, Literal

import orjson

from ...state.errors import InputError
from .columns import content_id
from .records import BadRecord, Pending, Reading, Records
from .streams import BROKEN_ARCHIVE, Line, lines

_MAX_JSON_BYTES = 256 << 20  # a JSON document is parsed whole, at about ten times its size in memory
_KINDS: dict[type, str] = {list: "an array", str: "a string", bool: "a boolean", int: "a number", float: "a number"}
_BETWEEN = re.compile(r"[\s,\]\ufeff\x1e]*")  # stands between values, or behind the last of an array

#: Lines of one object each (of an array, too), objects over several lines, one object alone, an array.
JsonKind = Literal["lines", "array lines", "objects", "object", "array"]
_Row = tuple[dict[str, Any], str]


def read_json_lines(stream: IO[bytes], name: str, reading: Reading, array: bool = False) -> Iterator[Records]:
    """JSON Lines: one object per line, or several; blank lines are no records.

    Args:
        array: the lines are those of one array, with brackets around and commas between them.
    """
    pending = Pending(name, reading)
    for line in lines(stream, reading.max_line):
        if not line.problem and not line.data.strip(b" \t\r\n[]," if array else None):
            continue
        try:
            rows = parse_line(line, reading)
        except BadRecord as bad:
            reading.refuse(name, line.number, bad, line.data)
            continue
        for row, digest in rows:
            if pending.add(line.number, row, len(line.data) // len(rows), digest):
                yield from pending.flush()
    yield from pending.flush()


def parse_line(line: Line, reading: Reading) -> list[_Row]:
    """The JSON objects on a line, and their content ids; mostly one.

    Raises:
        BadRecord: there is none, or something else, or one that holds what cannot be stored.
    """
    if line.problem:
        raise BadRecord(line.problem)
    try:
        value = orjson.loads(line.data)
    except orjson.JSONDecodeError as error:
        found = list(_values(line.data, reading, f"line {line.number}"))
        broken = any(isinstance(value, BadRecord) for _, value, _ in found)
        if not found or broken or not all(isinstance(value, dict) for _, value, _ in found):
            raise BadRecord(_json_problem(line.data, error)) from error
        return [_checked(value) for _, value, _ in found]
    row = _checked(value)
    _refuse_long_integers(_integers_marked(line.data))
    return [row]


def _checked(value: Any) -> _Row:
    """A parsed JSON value as a row, and its content id."""
    if isinstance(value, BadRecord):
        raise value
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
        data.decode()
    except UnicodeDecodeError as undecodable:
        return f"invalid UTF-8 at byte {undecodable.start} of the line"
    return f"not valid JSON at column {error.colno}: {error.msg}"


def _values(data: bytes, reading: Reading, where: str = "") -> Iterator[tuple[int, Any, str]]:
    """(line, value, beginning) of the JSON values in a text: those of an array, or one behind the other.

    NaN and the infinities, as Python writes them, become null, which is tallied. A piece that is not valid becomes a
    ``BadRecord``, and the next value is looked for at the beginning of a line.
    """
    text = data.decode("utf-8", "surrogateescape")
    strange = list[str]()
    decoder = json.JSONDecoder(parse_constant=strange.append, parse_float=lambda digits: _finite(digits, strange))
    at, line, counted = 0, 1, 0
    if (start := _BETWEEN.match(text)) and text[start.end() : start.end() + 1] == "[":
        at = start.end() + 1
    while (at := _BETWEEN.match(text, at).end()) < len(text):  # type: ignore[union-attr]
        line, counted = line + text.count("\n", counted, at), at
        value: Any
        try:
            value, end = decoder.raw_decode(text, at)
            _storable(value)
        except BadRecord as bad:
            value = bad
        except (json.JSONDecodeError, RecursionError) as error:
            problem = "nested too deeply" if isinstance(error, RecursionError) else f"not valid JSON: {error}"
            value = BadRecord(problem.partition(" (char")[0])
            indent = text[text.rfind("\n", 0, at) + 1 : at].replace("[", "")
            end = text.find(f"\n{indent}{{", at)
            end = end if end > 0 else len(text)
        if strange and not isinstance(value, BadRecord):
            what = " and ".join(
                sorted({one.lstrip("-") if one[-1].isalpha() else "a number beyond all floats" for one in strange})
            )
            reading.tally(f"a record holds {what}, read as null", where or f"line {line}")
        strange.clear()
        yield line, value, text[at : at + 200]
        at = end


def _finite(digits: str, strange: list[str]) -> float | None:
    value = float(digits)
    if math.isfinite(value):
        return value
    strange.append(digits)
    return None


def _storable(value: Any) -> None:
    """Raises ``BadRecord`` where a value is no JSON that can be stored as it is."""
    try:
        orjson.dumps(value)
    except TypeError as error:
        if "64-bit" in str(error):
            raise BadRecord("an integer beyond 64 bits cannot be stored; write it as a string") from error
        if "surrogate" in str(error):
            raise BadRecord("it holds half a character, or bytes that are not UTF-8") from error
        raise BadRecord("nested more than 254 levels deep") from error


def json_kind(stream: IO[bytes], reading: Reading) -> JsonKind:
    """How the objects in a stream are laid out, told from its first lines and not from its name."""
    filled = (line for line in lines(stream, reading.max_line) if line.problem or line.data.strip())
    first, *more = list(islice(filled, 20)) or [Line(1, b"")]
    begin, following = first.data.strip(), [line.data.strip() for line in more]
    if first.problem or not begin.startswith((b"{", b"[")):
        return "lines"
    if _is_object(begin):
        return "lines" if more else "object"
    if begin.startswith(b"["):
        if more and _is_json(begin):
            return "lines"
        following, begin = (following, begin[1:]) if begin[1:] else (following[1:], (*following, b"")[0])
    # Lines of an array: an object each, commas and brackets beside it.
    if following and all(_is_object(line.rstrip(b"],")) for line in (begin, following[0])):
        return "array lines"
    if first.data.lstrip().startswith(b"["):
        return "array"
    return "lines" if any(line.data.startswith(b"{") and _is_object(line.data) for line in more) else "objects"


def _is_json(data: bytes) -> bool:
    try:
        orjson.loads(data)
    except orjson.JSONDecodeError:
        return False
    return True


def _is_object(data: bytes) -> bool:
    """Whether a line is one object, as Python writes it (with NaN)."""
    if not data.startswith(b"{"):
        return False
    try:
        json.loads(data)
    except (ValueError, RecursionError):
        return _is_json(data)
    return True


def read_json(stream: IO[bytes], name: str, reading: Reading, rows: bool = False) -> Iterator[Records]:
    """Objects in a JSON array, one behind the other, or in an object that holds exactly one such array.

    ``line`` is the position in an array, and the line where an object begins otherwise.

    Args:
        rows: one object alone is a row.

    Raises:
        InputError: no such array or several of them, or too large to be parsed whole.
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
    pending, size = Pending(name, reading), len(data)
    found = list(_elements(data, name, reading, rows))
    del data
    for line, value, spelling, shown in found:
        try:
            row, digest = _checked(value)
            _refuse_long_integers(spelling)
        except BadRecord as bad:
            reading.refuse(name, line, bad, shown or ("" if isinstance(value, dict | list) else orjson.dumps(value)))
            continue
        if pending.add(line, row, size // len(found), digest):
            yield from pending.flush()
    yield from pending.flush()


def _elements(data: bytes, name: str, reading: Reading, rows: bool) -> Iterator[tuple[int, Any, Any, str]]:
    """(line or position, value, its ``_integers_marked``, its beginning where it is broken) of a document."""
    try:
        document = orjson.loads(data.removeprefix(b"\xef\xbb\xbf"))
    except orjson.JSONDecodeError as error:
        values = list(_values(data, reading))
        if len(values) == 1 and isinstance(values[0][1], dict) and not rows:  # NaN somewhere in an object of rows
            array = _array_in(values[0][1], name)
            yield from ((at, value, None, "") for at, value in enumerate(array, start=1))
        elif not any(isinstance(value, dict) for _, value, _ in values):
            raise InputError(f"{name} is not valid JSON: {error}") from error
        else:
            yield from ((line, value, None, shown) for line, value, shown in values)
        return
    if rows and isinstance(document, dict):
        document = [document]
    array = _array_in(document, name)
    try:
        spelled = _integers_marked(data)
    except RecursionError as error:
        raise InputError(f"{name} is nested too deeply to be read; write it as JSON Lines") from error
    if spelled is None:
        marks: Iterable[Any] = repeat(None)
    else:
        marks = [spelled] if array == [spelled] or (rows and isinstance(spelled, dict)) else _array_in(spelled, name)
    yield from ((at, value, mark, "") for at, (value, mark) in enumerate(zip(array, marks, strict=False), start=1))


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
