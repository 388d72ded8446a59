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
from .records import Pending, Reading, Records, distinct
from .streams import lines, peeked, translated

_SAMPLE_BYTES = 1 << 19
_DELIMITERS = {",": "a comma", "\t": "a tab", ";": "a semicolon", "|": "a vertical bar"}
_SWAPPED = bytes.maketrans(b"\r\n", b"\n\r")
_INNER_CR, _INNER = re.compile(r"\r(?!\n|\Z)"), "\udffe"  # ``csv`` takes no line end in values without quotes
_LONE_CR = re.compile(rb"\r(?!\n)")
_HINT = re.compile("sep=(.)\r?\n?")  # the first line that some spreadsheets write
_REREAD_BYTES = 1 << 26  # of lines read again after a broken quote, beside as many as were read


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
    single = Dialect(delimiter, "'")
    others = [single] if _needed(single, sample) else []
    if "\\" in sample and fit.share < 1:
        others += [replace(one, escape=True) for one in (plain, verbatim)]
    if "\\'" in sample and _needed(replace(single, escape=True), sample):
        others.append(replace(single, escape=True))
    if f"{delimiter} " in sample and fit.share < 1:
        others.append(replace(plain, blanks=True))
    for other in others:
        tried = _fit(other, text)
        if best == single and fit.share == tried.share == 1 and not any("''" in value for value in single.pattern().findall(sample)):
            best, fit = other, tried
        if tried.width > 1 and (tried.share > fit.share or (other.quote == "'" != best.quote and tried.share == 1)):
            best, fit = other, tried
    if best.escape and best.quote:
        # Python escapes a quote in a value without quotes, where Spark puts the value in them and escapes nothing else.
        best = replace(best, bare=f"\\{best.quote}" not in best.pattern().sub("", sample))
    return best, fit


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
        if len(record) == width:
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
    marks = {
        dialect.delimiter,
        "\n",
        quote * 2,
        *([f"\\{quote}"] if dialect.escape else []),
        *('",' if quote == '"' else []),
    }
    return any(mark in value for value in dialect.pattern().findall(sample) for mark in marks)


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

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        self.taken.append(self.again.popleft() if self.again else next(self.found))
        return self.taken[-1].text


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
    names = distinct(header[1], reading)
    pending = Pending(name, reading)
    ends = str.maketrans({"\n": "\r", "\r": "\n", _INNER: "\n"} if swapped else {_INNER: "\r"})
    for line, values in records:
        if swapped or any(_INNER in value for value in values):
            values = [value.translate(ends) for value in values]
        if pending.add(line, dict(zip(names, values, strict=True)), sum(map(len, values))):
            yield from pending.flush()
    yield from pending.flush()


def _texts(stream: IO[bytes], reading: Reading, dialect: Dialect) -> Iterator[_Text]:
    for line in lines(stream, reading.max_line):
        problem = line.problem
        text = line.data.decode("utf-8", "replace")
        if not problem:
            try:
                line.data.decode()
            except UnicodeDecodeError as error:
                problem = f"invalid UTF-8 at byte {error.start} of line {line.number}"
        shown = text
        if line.problem:  # stands in for the line, and opens or closes a quoted value as that did
            text = f"?{dialect.delimiter}{dialect.quote}\n" if line.odd_quotes else "?\n"
        yield _Text(line.number, _INNER_CR.sub(_INNER, text) if "\r" in text else text, problem, shown)


def _records(source: _Source, name: str, reading: Reading, dialect: Dialect) -> Iterator[tuple[int, list[str]]]:
    """(line, values) of every sound record, the header first, all as wide as that is; the others are quarantined.

    Raises:
        InputError: the first record is broken: without it, a row would pass for the header.
    """
    parser, header, read, reread = dialect.reader(source), list[str](), 0, 0
    while True:
        source.taken = []
        values, problem = list[str](), ""
        try:
            values = next(parser)
        except StopIteration:
            return
        except csv.Error as error:
            told = str(error).partition(" - ")[0]
            problem = "a quoted field is never closed" if "end of data" in told else f"not valid CSV: {told}"
        taken = source.taken
        problem = " and ".join(line.problem for line in taken if line.problem) or problem
        if not values and not problem:
            continue
        if dialect.bare and any("\\\\" in line.text for line in taken):
            values = dialect.bare_values("".join(line.text for line in taken), values)
        first = taken[0]
        if not header:
            problem = problem or ("a line end in a name" if any(_INNER in value for value in values) else "")
            if problem:
                raise InputError(f"{name} has no sound header: line {first.number}: {problem}; mend that line")
            header = values
            yield first.number, values
            continue
        width, size = len(header), sum(len(line.text) for line in taken)
        read += size
        if not problem and len(values) != width:
            problem = f"{len(values)} fields where the header has {width}"
        if not problem and values == header and width > 1:
            problem = "the header again"
        if dialect.quote and len(taken) > 1:
            melted = _is_melted(dialect, [line.text for line in taken], width)
            if melted and not problem and dialect.delimiter == "\t":
                problem = "a quote takes in lines that are records by themselves"
            elif melted and not problem:
                reading.tally(f"a quoted value of {name} spans lines of {width} values each", f"line {first.number}")
            if problem and reread + size <= read + _REREAD_BYTES and _mostly_records(dialect, taken[1:], width):
                source.again.extendleft(reversed(taken[1:]))
                reread += size
                taken = taken[:1]
                problem = first.problem or problem
        if problem and len(taken) == 1 and not first.problem:
            verbatim = first.text.rstrip("\r\n").split(dialect.delimiter)
            closed = first.text.count(dialect.quote or '"') % 2 == 0
            readable = dialect.quote and not (dialect.escape and "\\" in first.text)
            if readable and len(verbatim) == width and (closed or dialect.delimiter == "\t"):
                reading.tally(
                    f"a line of {name} was read with its quotes as part of the values", f"line {first.number}"
                )
                values, problem = verbatim, ""
        if problem:
            reading.refuse(name, first.number, problem, "".join(line.shown for line in taken))
        else:
            yield first.number, values


def _mostly_records(dialect: Dialect, following: list[_Text], width: int) -> bool:
    """Whether at least half of some lines are records by themselves."""
    filled = [line for line in following if not line.text.isspace()]
    return 2 * sum(not line.problem and _is_record(dialect, line.text, width) for line in filled) >= max(1, len(filled))


def _is_record(dialect: Dialect, text: str, width: int) -> bool:
    try:
        return [len(values) for values in dialect.reader([text])] == [width]
    except csv.Error:
        return False
