"""What the columns of a table are: content, by which rows differ, or what stands beside it.

A row is all of its content columns. Two rows are copies where all of those say the same, whatever their ids,
addresses, times, scores, counts and provenance. Which columns count is guessed by the rule of ``roles`` and said to the
person, who may name them (``load.content_columns``).
"""

import re
from collections.abc import Collection, Iterable
from typing import Any, Literal

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from .columns import as_text, is_json_text, is_text, json_bytes, values_of
from .forms import Shape
from .turns import spoken, turns_of

Meaning = Literal[
    "content", "label", "id", "group", "source", "vector", "address", "time", "score", "count", "provenance"
]

#: Stand on a line of their own between the columns of a row's content, and between the turns of a conversation.
BETWEEN_COLUMNS, BETWEEN_TURNS = "\n\u241e\n", "\n\u241f\n"
_ABSENT = "\u2400"
_MARKS = (BETWEEN_COLUMNS.strip(), BETWEEN_TURNS.strip(), _ABSENT)  # doubled where they stand in a value

# By the words of a column's name, split at its capitals and at what is no letter.
_WORDS: dict[Meaning, frozenset[str]] = {
    "address": frozenset({"url", "uri", "urls", "link", "links", "href", "path", "filepath", "filename", "file",
                          "domain", "host", "hostname", "permalink", "doi", "email"}),
    "time": frozenset({"date", "datetime", "time", "timestamp", "created", "updated", "modified", "published",
                       "crawled", "utc", "at"}),
    "count": frozenset({"count", "counts", "num", "length", "len", "size", "tokens", "words", "chars", "characters",
                        "bytes", "likes", "votes", "upvotes", "downvotes", "views", "stars", "forks", "ups", "downs",
                        "rank"}),
    "score": frozenset({"score", "scores", "rating", "ratings", "prob", "probability", "probabilities", "confidence",
                        "perplexity", "ppl", "loss", "quality", "similarity", "reward", "rewards", "weight", "logprob",
                        "margin", "distance", "toxicity"}),
    "id": frozenset({"id", "ids", "uuid", "guid", "uid", "idx", "index", "hash", "sha", "sha1", "sha256", "md5",
                     "digest", "checksum", "key", "no", "number", "row", "line", "rownum"}),
    "provenance": frozenset({"source", "sources", "origin", "dataset", "subset", "split", "license", "licence",
                             "author", "authors", "user", "username", "annotator", "annotators", "worker", "model",
                             "generator", "language", "lang", "locale", "version",
                             "meta", "metadata", "repo", "repository", "crawl",
                             "dump", "snapshot", "collection", "provenance", "publisher", "config"}),
}  # fmt: skip
_WHOLES = (
    frozenset({"conversation", "conversations", "conv", "dialogue", "dialog", "thread", "chat", "session"}),
    frozenset({"document", "doc", "article", "passage", "paper", "book"}),
    frozenset({"url", "uri", "permalink", "doi"}),
)
_LABELS = frozenset({"label", "labels", "class", "category", "target", "intent", "sentiment", "topic", "tag", "tags"})
_FEW = 50  # values that a column of labels has at most
_ADDRESS = r"^[a-zA-Z][a-zA-Z0-9+.-]*://\S+$"
_TIME = r"^\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}\S*)?$"
_DIGEST = r"^(\{?[0-9a-fA-F]{8}-([0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}\}?|[0-9a-fA-F]{32,128})$"


def roles(sample: pa.RecordBatch, shape: Shape, named: dict[str, Meaning]) -> dict[str, Meaning]:
    """What each column of a table is.

    The columns of a known shape are content, and so is everything else but: what the user named otherwise; what its
    name says to be an id, an address, a time, a score, a count or provenance; dates and times, and numbers with a
    fraction; strings of which each is an address, a time or a digest; and whole numbers that number the rows.

    Args:
        sample: the first rows of the table.
        shape: their shape.
        named: what the user said of some columns, and what is known of others.
    """
    found: dict[str, Meaning] = {}
    for column, field in zip(sample.columns, sample.schema, strict=True):
        if field.name in named:
            found[field.name] = named[field.name]
        elif field.name in shape.columns:
            found[field.name] = "content"
        else:
            found[field.name] = meaning_by_name(field.name) or _by_values(column, field) or "content"
    return found


def meaning_by_name(name: str) -> Meaning | None:
    """What the name of a column says that it is, beside the content; None where it says nothing."""
    words = [word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+", name)]
    if not words:  # the index that a data frame wrote
        return "id"
    for meaning, known in _WORDS.items():
        # The last word says what it is (``answer_id``), or the first how many (``num_words``, ``n_tokens``).
        if words[-1] in known and (words[-1] != "at" or len(words) > 1):
            return meaning
    if words[0] in ("num", "n", "nb", "count") and len(words) > 1:
        return "count"
    return "address" if words[0] == "max" and "repo" in words else None


def group_column(sample: pa.RecordBatch, shape: Shape, taken: Collection[str]) -> str | None:
    """The column that says which rows are parts of one whole: a conversation's or a document's name or number, an URL.

    Known by its name, and by its values: numbers or words, several of them, with several rows for some.

    Args:
        sample: the first rows of the table.
        shape: their shape.
        taken: columns that mean something else.
    """
    found = list[tuple[int, str]]()
    for column, field in zip(sample.columns, sample.schema, strict=True):
        rank = _names_a_whole(field.name)
        if rank is not None and field.name not in (*shape.columns, *taken) and _has_parts(column, field):
            found.append((rank, field.name))
    return min(found)[1] if found else None


def _names_a_whole(name: str) -> int | None:
    """How surely the name of a column says that it tells which whole a row is part of, the surest 0; None: it is not.

    ``conversation_id`` does, and ``conversation``; ``document_length`` does not.
    """
    words = [word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", name)]
    while len(words) > 1 and words[-1] in _WORDS["id"]:
        words.pop()
    return next((rank for rank, wholes in enumerate(_WHOLES) if words and words[-1] in wholes), None)


def _has_parts(column: pa.Array, field: pa.Field) -> bool:
    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    if is_json_text(field) or pa.types.is_nested(kind) or pa.types.is_binary(kind):
        return False
    values = pl.Series(as_text(column, field), dtype=pl.String).drop_nulls()
    values = values.filter(values.str.strip_chars() != "")
    names = not values.str.contains(r"\s").any()  # what holds a blank is no name but a text
    return bool(names and 2 <= values.n_unique() < len(values))


def _by_values(column: pa.Array, field: pa.Field) -> Meaning | None:
    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    if pa.types.is_temporal(kind):
        return "time"
    if pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return "score"
    if pa.types.is_integer(kind):
        return "id" if _numbers_rows(column) else None
    if is_json_text(field) or not is_text(kind):
        return "score" if _is_vector(kind) else None
    text = pl.Series(as_text(column, field), dtype=pl.String).drop_nulls()
    for meaning, form in (("address", _ADDRESS), ("time", _TIME), ("id", _DIGEST)):
        if len(text) and text.str.contains(form).all():
            return meaning  # type: ignore[return-value]
    return None


def _numbers_rows(column: pa.Array) -> bool:
    """Whether whole numbers count the rows: each one more than the one before."""
    numbers = pl.Series(column).cast(pl.Int64, strict=False)
    return len(numbers) > 1 and numbers.null_count() == 0 and bool((numbers.diff().drop_nulls() == 1).all())


def _is_vector(kind: pa.DataType) -> bool:
    listed = pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    return bool(listed and pa.types.is_floating(kind.value_type))


def label_like(sample: pa.RecordBatch, content: Iterable[str], shape: Shape) -> tuple[str, int] | None:
    """A content column that looks like a class label, and its number of values: few, and repeated; by name first."""
    known = {name: values for name in content if name not in shape.columns and (values := _values(sample, name))}
    named = sorted(known, key=lambda name: name.lower() not in _LABELS)
    return (named[0], known[named[0]]) if named else None


def _values(sample: pa.RecordBatch, name: str) -> int:
    """How many values a column of labels has; 0 where it is none."""
    column = sample.column(sample.schema.get_field_index(name))
    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    if not (is_text(kind) or pa.types.is_integer(kind) or pa.types.is_boolean(kind)):
        return 0
    values = len(pc.unique(column.drop_null()))
    return values if 2 <= values <= min(_FEW, sample.num_rows // 3) else 0


def content_of(batch: pa.RecordBatch, columns: Iterable[str], shape: Shape) -> pl.Series:
    """What rows are compared by (String, [n]): the values of the content columns, ``BETWEEN_COLUMNS`` between them.

    Two rows have the same string only if they have the same values. Null throughout where one column of strings is all
    the content and the text: then the text says it all.
    """
    held = set(columns)
    names = [name for name in batch.schema.names if name in held]
    plain = len(names) == 1 and _is_strings(batch.schema.field(names[0]))
    if not names or (plain and shape.kind == "text" and list(shape.columns) == names):
        return pl.Series("content", [None] * batch.num_rows, dtype=pl.String)
    values = pl.DataFrame([_values_as_text(batch, name) for name in names])
    return values.select(pl.concat_str(pl.all(), separator=BETWEEN_COLUMNS).alias("content")).to_series()


def segments_of(content: pl.Series) -> pl.Series:
    """The columns and turns that a content is made of: lists of strings, [n]."""
    one = content.str.replace_all(BETWEEN_TURNS, BETWEEN_COLUMNS, literal=True)
    return one.str.split(BETWEEN_COLUMNS)


def _is_strings(field: pa.Field) -> bool:
    return is_text(field.type) and not is_json_text(field)


def _values_as_text(batch: pa.RecordBatch, name: str) -> pl.Series:
    """A column as strings of which no two are the same where its values differ."""
    at = batch.schema.get_field_index(name)
    column, field = batch.column(at), batch.schema.field(at)
    text = pl.Series(name, as_text(column, field), dtype=pl.String)
    flat = _is_strings(field) or pa.types.is_primitive(field.type)
    if flat and not text.str.contains(r"^\s*\[\s*\{").any():
        for mark in _MARKS:
            text = text.str.replace_all(mark, mark * 2, literal=True)
    else:
        text = pl.Series(name, [_spelled(value) for value in values_of(column, field)], dtype=pl.String)
    return text.fill_null(_ABSENT)


def _spelled(value: Any) -> str | None:
    if value is None:
        return None
    if (turns := turns_of(value)) is not None:
        return BETWEEN_TURNS.join(map(_escaped, spoken(turns)))
    return _escaped(value) if isinstance(value, str) else f"{_ABSENT} {_escaped(json_bytes(value).decode())}"


def _escaped(text: str) -> str:
    for mark in _MARKS:
        text = text.replace(mark, mark * 2)
    return text
