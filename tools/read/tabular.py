"""CSV and its kin: which dialect a file is written in, and its records.

Nothing in such a file says how it is written. So its dialect is the one that parses its beginning best, and it is
told. A record that the dialect cannot read takes no sound lines with it: those are read again by themselves.
"""

import csv
import io
import re
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import IO, Any, NamedTuple

from ...state.errors import InputError
from .records import Pending, Reading, Records, distinct_names
from .streams import lines, peeked, translated

_SAMPLE_BYTES = 1 << 19
_DELIMITERS = {",": "a comma", "\t": "a tab", ";": "a semicolon", "|": "a vertical bar"}
_SWAPPED = bytes.maketrans(b"\r\n", b"\n\r")
_INNER_CR, _INNER = re.compile(r"\r(?!\n|\Z)"), "\udffe"  # ``csv`` takes no line end in values without quotes
_LONE_CR = re.compile(rb"\r(?!\n)")
_HINT = re.compile("sep=(.)\r?\n?")  # the first line that some spreadsheets write
_REREAD = 1 << 24  # characters of lines read again behind broken quotes, beside as many as were read


@dataclass(frozen=True)
class Dialect:
    """How records are written: ``delimiter`` between values, ``quote`` around those that need it, or nowhere.

    ``escape``: a backslash makes the mark behind it part of the value, where else a quote in quotes is doubled.
    ``bare``: not so in values without quotes (Spark). ``blanks``: those behind a delimiter are no part of the value.
    """

    delimiter: str = ","
    quote: str = '"'
    escape: bool = False
    bare: bool = False
    blanks: bool = False

    def reader(self, text: Iterable[str]) -> Iterator[list[str]]:
        """The records in lines of text, which may come one after the end was reached."""
        if self.escape:  # ``csv`` takes the backslash off whatever stands behind it
            marks = re.escape(f"\\{self.quote}" if self.quote else f'\\{self.delimiter}"\r\n{_INNER}')
            lone = re.compile(rf"\\([{marks}]?)")
            text = map(lambda line: lone.sub(lambda found: found[0] if found[1] else "\\\\", line), text)  # noqa: C417
        quoting: Any = csv.QUOTE_MINIMAL if self.quote else csv.QUOTE_NONE
        return csv.reader(
            text, delimiter=self.delimiter, quotechar=self.quote or None, quoting=quoting, strict=True,
            escapechar="\\" if self.escape else None, skipinitialspace=self.blanks,
        )  # fmt: skip

    def bare_values(self, record: str, values: list[str]) -> list[str]:
        """``values`` of a record, those without quotes as they stand in its text."""
        found = self.pattern(rf"|([^{self.delimiter}]*)").findall(record.rstrip("\r\n"))
        pairs = zip(found, values, strict=False)
        return [bare or value for (_, bare), value in pairs] if len(found) == len(values) else values

    def pattern(self, otherwise: str = "") -> re.Pattern[str]:
        """Finds quoted values."""
        mark, quote = re.escape(self.delimiter), self.quote
        inner = rf"(?:[^{quote}\\]|\\.|{quote}{quote})*+" if self.escape else rf"(?:[^{quote}]|{quote}{quote})*+"
        flags = re.DOTALL | (0 if otherwise else re.MULTILINE)
        return re.compile(rf"(?:^|(?<={mark}))(?:{quote}({inner}){quote}(?={mark}|\r?$){otherwise})", flags)

    def said(self) -> str:
        """For a person."""
        quoting = f"values in {self.quote}" if self.quote else "a quote part of its value"
        escape = ", a backslash before marks that are part of one" if self.escape else ""
        blanks = ", without the blanks behind it" if self.blanks else ""
        return f"{_DELIMITERS.get(self.delimiter, repr(self.delimiter))} between values{blanks}, {quoting}{escape}"


class _Fit(NamedTuple):
    """How a dialect reads a sample.

    ``share`` of the lines below the header are in records as wide as that is; ``melted`` records span lines each of
    which would be as wide by itself.
    """

    share: float
    width: int
    melted: int


def dialect_of(sample: str, tabs: bool, delimiters: Iterable[str] = _DELIMITERS) -> Dialect:
    """The dialect in which most lines of ``sample`` are records as wide as the header.

    Args:
        sample: whole lines.
        tabs: whether the file's name says that a tab stands between values.
        delimiters: those that come into question.
    """
    text = list(io.StringIO(sample, newline="\n"))
    found = [_best(sample, text, delimiter) for delimiter in delimiters]

    def rank(fitted: tuple[Dialect, _Fit]) -> tuple[Any, ...]:
        dialect, fit = fitted
        named = dialect.delimiter == ("\t" if tabs else ",")
        return fit.width > 1, tabs and named and fit.share > 0.5, fit.share, fit.width, named

    return max(found, key=rank)[0]


def _best(sample: str, text: list[str], delimiter: str) -> tuple[Dialect, _Fit]:
    """The best dialect with a delimiter, and how it fits."""
    plain, verbatim = Dialect(delimiter), Dialect(delimiter, quote="")
    quoted, unquoted = _fit(plain, text), _fit(verbatim, text)
    if unquoted.share > quoted.share or (unquoted.share == quoted.share and _is_verbatim(plain, quoted, sample, text)):
        best, fit = verbatim, unquoted
    else:
        best, fit = plain, quoted
    for other in _others(delimiter, sample):
        # What a sample shows of a dialect decides between two that read all of it.
        shown = _escapes(other, sample) if other.escape else other.quote == "'" and _needed(other, sample)
        if not shown and fit.share == 1:
            continue
        tried = _fit(other, text)
        if tried.share > fit.share or (shown and tried.share == 1 and not (tried.melted and unquoted.share == 1)):
            best, fit = other, tried
    if best.escape and best.quote == '"':
        # Python escapes a quote in a value without quotes, where Spark puts the value in them and escapes nothing else.
        best = replace(best, bare=f"\\{best.quote}" not in best.pattern().sub("", sample))
    return best, fit


def _others(delimiter: str, sample: str) -> Iterator[Dialect]:
    """The less common dialects with a delimiter of which a sample holds the marks."""
    plain = Dialect(delimiter)
    if f"{delimiter} " in sample:
        yield replace(plain, blanks=True)
    if re.search(rf"(^|{re.escape(delimiter)})'", sample, re.MULTILINE):
        yield replace(plain, quote="'")
    if "\\" in sample:
        yield replace(plain, quote="", escape=True)
        yield replace(plain, escape=True)
        yield replace(plain, quote="'", escape=True)


def _fit(dialect: Dialect, text: list[str]) -> _Fit:
    reader = dialect.reader(text)
    width = filled = sound = melted = 0
    while True:
        start = reader.line_num  # type: ignore[attr-defined]
        try:
            record = next(reader)
        except StopIteration:
            return _Fit(sound / filled if filled else 1.0, width, melted)
        except csv.Error:
            record = []
        span = text[start : reader.line_num]  # type: ignore[attr-defined]
        if not width:
            width = len(record) if record else -1
            continue
        size = sum(not line.isspace() for line in span)
        filled += size
        if len(record) != width:  # the lines behind a broken quote are read again by themselves
            sound += sum(_is_record(dialect, line, width) for line in span[1:])
        else:
            sound += size
            melted += dialect.quote != "" and _is_melted(dialect, span, width)


def _is_melted(dialect: Dialect, span: list[str], width: int) -> bool:
    """Whether each of several lines of a record would be one without quoting."""
    return len(span) > 1 and width > 1 and all(line.count(dialect.delimiter) + 1 == width for line in span)


def _is_verbatim(dialect: Dialect, fit: _Fit, sample: str, text: list[str]) -> bool:
    """Whether quotes are part of the values where a sample can be read either way.

    They are where lines would melt that are records without them. Beside tabs, which texts hold hardly ever, one such
    record tells; and so do values in quotes that need none, if not every line has one.
    """
    if dialect.delimiter != "\t":
        return fit.melted > 1
    quoted = len(dialect.pattern().findall(sample))
    return fit.melted > 0 or (0 < quoted < len(text) and not _needed(dialect, sample))


def _needed(dialect: Dialect, sample: str) -> bool:
    """Whether a value in a sample stands in quotes because it must: it holds a mark, or a line end."""
    quote = dialect.quote
    marks = (dialect.delimiter, "\n", quote * 2, *('",' if quote == '"' else ""))
    return any(mark in value for value in dialect.pattern().findall(sample) for mark in marks)


def _escapes(dialect: Dialect, sample: str) -> bool:
    """Whether no quote in a sample is doubled, and some have a backslash before them: in quotes, or all outside."""
    if not dialect.quote:
        return False
    pattern, quote = dialect.pattern(), dialect.quote
    inside, outside = pattern.findall(sample), pattern.sub("", sample)
    if any(quote * 2 in value for value in inside):
        return False
    escaped = len(re.findall(rf"(?<!\\)(?:\\\\)*\\{quote}", outside))
    return any(f"\\{quote}" in value for value in inside) or 0 < escaped == outside.count(quote)


class _Text(NamedTuple):
    """A line of a file: what the parser sees of it, why it cannot be used, and what is shown of it then."""

    number: int
    text: str
    problem: str
    shown: str


@dataclass
class _Source:
    """Lines for a parser; what it took for one record, and lines it is to take again."""

    found: Iterator[_Text]
    taken: list[_Text] = field(default_factory=list)
    again: deque[_Text] = field(default_factory=deque)

    left: int = _REREAD

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        if self.again:
            line = self.again.popleft()
        else:
            line = next(self.found)
            self.left += len(line.text)
        self.taken.append(line)
        return line.text

    def give_back(self) -> bool:
        """Take all lines of the record again but the first; not if more were read twice than once."""
        size = sum(len(line.text) for line in self.taken)
        if size > self.left:
            return False
        self.left -= size
        self.again.extendleft(reversed(self.taken[1:]))
        self.taken = self.taken[:1]
        return True


def read_csv(stream: IO[bytes], name: str, reading: Reading, tabs: bool = False) -> Iterator[Records]:
    """CSV with a header line, in whatever dialect; every value stays the text it is. Quoted values may hold line ends.

    Args:
        stream: UTF-8.
        tabs: whether the file's name says that a tab stands between values.

    Raises:
        InputError: the header line is missing or broken.
    """
    csv.field_size_limit(reading.max_line)
    head, stream = peeked(stream, _SAMPLE_BYTES)
    swapped = len(_LONE_CR.findall(head)) > head.count(b"\n")  # old line ends: read with both marks exchanged
    if swapped:
        head, stream = head.translate(_SWAPPED), translated(stream, lambda data: data.translate(_SWAPPED))
    whole = head if len(head) < _SAMPLE_BYTES else head[: head.rfind(b"\n") + 1]
    sample = _INNER_CR.sub(_INNER, whole.decode("utf-8", "replace").lstrip("\ufeff"))
    hint = _HINT.match(sample)
    dialect = dialect_of(sample[hint.end() :] if hint else sample, tabs, hint[1] if hint else _DELIMITERS)
    if dialect != Dialect("\t" if tabs else ",") or swapped:
        reading.notes.append(f"{name} was read as CSV with {dialect.said()}" + swapped * ", lines ending in CR")
    source = _Source(_texts(stream, reading, dialect))
    if hint:
        next(source)
    records = _records(source, name, reading, dialect)
    header = next(records, None)
    if header is None:
        return
    names = distinct_names(header[1], reading)
    pending = Pending(name, reading)
    ends = str.maketrans({"\n": "\r", "\r": "\n", _INNER: "\n"} if swapped else {_INNER: "\r"})
    for line, values in records:
        if swapped or any(_INNER in value for value in values):
            values = [value.translate(ends) for value in values]
        if pending.add(line, dict(zip(names, values, strict=True)), sum(map(len, values))):
            yield from pending.flush()
    yield from pending.flush()


def _texts(stream: IO[bytes], reading: Reading, dialect: Dialect) -> Iterator[_Text]:
    for number, data, unread, odd_quotes in lines(stream, reading.max_line):
        problem = unread
        try:
            text = shown = data.decode()
        except UnicodeDecodeError as error:
            text = shown = data.decode("utf-8", "replace")
            problem = problem or f"invalid UTF-8 at byte {error.start} of line {number}"
        if unread:
            # Stands in for a line that was not read whole, and opens or closes a quoted value as that did.
            text = f"?{dialect.delimiter}{dialect.quote}\n" if odd_quotes else "?\n"
        yield _Text(number, _INNER_CR.sub(_INNER, text) if "\r" in text else text, problem, shown)


def _records(source: _Source, name: str, reading: Reading, dialect: Dialect) -> Iterator[tuple[int, list[str]]]:
    """(line, values) of every sound record, the header first, all as wide as that is; the others are quarantined.

    Raises:
        InputError: the first record is broken: without it, a row would pass for the header.
    """
    parser, header = dialect.reader(source), list[str]()
    while True:
        source.taken, values, problem = [], list[str](), ""
        try:
            values = next(parser)
        except StopIteration:
            return
        except csv.Error as error:
            told = str(error).partition(" - ")[0]
            problem = "a quoted field is never closed" if "end of data" in told else f"not valid CSV: {told}"
        first = source.taken[0]
        problem = " and ".join(line.problem for line in source.taken if line.problem) or problem
        if not problem and (not values or (len(values) < min(2, len(header)) and not values[0].strip(f" {_INNER}"))):
            continue  # a blank line
        if dialect.bare and any("\\\\" in line.text for line in source.taken):
            values = dialect.bare_values("".join(line.text for line in source.taken), values)
        if not header:
            problem = problem or ("a line end in a name" if any(_INNER in value for value in values) else "")
            if problem:
                raise InputError(f"{name} has no sound header: line {first.number}: {problem}; mend that line")
            header = values
        elif not problem and len(values) != len(header):
            problem = f"{len(values)} fields where the header has {len(header)}"
        elif not problem and values == header and len(header) > 1:
            reading.refuse(name, first.number, "the header again", first.shown)
            continue
        if header and dialect.quote and (problem or len(source.taken) > 1):
            values, problem = _mended(source, values, problem, dialect, len(header), reading, name)
        if problem:
            reading.refuse(name, first.number, problem, "".join(line.shown for line in source.taken))
        else:
            yield first.number, values


def _mended(
    source: _Source, values: list[str], problem: str, dialect: Dialect, width: int, reading: Reading, name: str
) -> tuple[list[str], str]:
    """A record that is broken or spans lines, without those that are records by themselves: its values or its problem.

    Those lines are given back to ``source``, unless too many were already.
    """
    melted = _is_melted(dialect, [line.text for line in source.taken], width)
    if melted and not problem and dialect.delimiter == "\t":
        problem = "a quote takes in lines that are records by themselves"
    elif melted and not problem:
        what = "a quoted value spans lines that would be records by themselves, and was read as one value"
        reading.tally(f"{name}: {what}", f"line {source.taken[0].number}")
    if problem and len(source.taken) > 1 and _mostly_records(dialect, source.taken[1:], width):
        problem = source.taken[0].problem or problem
        if not source.give_back():
            return values, problem
    first = source.taken[0]
    if problem and len(source.taken) == 1 and not first.problem and not (dialect.escape and "\\" in first.text):
        verbatim = first.text.rstrip("\r\n").split(dialect.delimiter)
        closed = first.text.count(dialect.quote) % 2 == 0
        if len(verbatim) == width and (closed or dialect.delimiter == "\t"):
            reading.tally(f"{name}: a line was read with its quotes as part of the values", f"line {first.number}")
            return verbatim, ""
    return values, problem


def _mostly_records(dialect: Dialect, following: list[_Text], width: int) -> bool:
    """Whether at least half of some lines are records by themselves."""
    filled = [line for line in following if not line.text.isspace()]
    return 2 * sum(not line.problem and _is_record(dialect, line.text, width) for line in filled) >= max(1, len(filled))


def _is_record(dialect: Dialect, text: str, width: int) -> bool:
    try:
        return [len(values) for values in dialect.reader([text])] == [width]
    except csv.Error:
        return False
