"""Labels by rules and by zero-shot classification: domain, tags and difficulty, over the user's taxonomy.

A label table has ``domain`` (string or null), ``tags`` (list of strings) and ``difficulty`` (string or null), and
beside each who gave it (``domain_by``, ``tags_by``, ``difficulty_by``): one of ``STAGES``, or null where nobody did.
Each stage fills in what those before it left open.
"""

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal, get_args
from unicodedata import east_asian_width

import numpy as np
import polars as pl

from ...state.errors import InputError
from ...state.phrases import Advance, silent
from ..vectors.encoders.sentence import HUB_NAME, ModelNotLoaded, local_first, safe_folder
from .taxonomy import AXES, LABELS, PARTS, Entry, Taxonomy

Stage = Literal["rules", "classifier", "zero_shot", "model"]
STAGES: tuple[Stage, ...] = get_args(Stage)

#: A class leads by keywords where it has at least this many times the hits of the next.
RULE_LEAD = 2

_CHARACTERS = 2000  # of a text that are read
_BATCH = 16  # texts to a call of the NLI model
_POSITIONS = 512  # tokens that such models read, unless they say fewer
_REMEDY = "name an NLI model in safetensors, by its folder or its name on the hub, or none: the other stages go on"
_TEMPLATES = {
    "domains": "This text is about {}.",
    "tags": "This text can be described as follows: {}.",
    "difficulties": "The difficulty of this text is as follows: {}.",
}


def by_rules(text: pl.Series, taxonomy: Taxonomy) -> pl.DataFrame:
    """Labels by keywords: whole words in any case, counted in the first 2,000 characters.

    A domain or difficulty needs twice the hits of the next one; a tag needs one hit. A class without keywords is
    never given, and stops no other.

    ``text``: strings [n], null where there is none.

    Returns:
        A label table [n].
    """
    read = text.fill_null("").str.slice(0, _CHARACTERS)
    tags = _named(_hits(read, taxonomy.tags) > 0, taxonomy.tags)
    domains, difficulties = (
        _leaders(_hits(read, entries), entries, lambda first, second: (first > 0) & (first >= RULE_LEAD * second))
        for entries in (taxonomy.domains, taxonomy.difficulties)
    )
    return label_table(zip(domains, tags, difficulties, strict=True), "rules")


def _hits(text: pl.Series, entries: Sequence[Entry]) -> np.ndarray:
    """How often the keywords of each entry stand in each text: int64 [n, entries]."""
    hits = np.zeros((len(text), len(entries)), dtype=np.int64)
    for at, entry in enumerate(entries):
        if entry.keywords:
            pattern = "(?i)" + "|".join(_whole_word(word) for word in entry.keywords)
            hits[:, at] = text.str.count_matches(pattern).to_numpy()
    return hits


def standing(text: pl.Series, entry: Entry) -> np.ndarray:
    """Which keywords of an entry stand in each text, as the rules read it: bool [n, keywords]."""
    read = text.fill_null("").str.slice(0, _CHARACTERS)
    found = np.zeros((len(text), len(entry.keywords)), dtype=bool)
    for at, word in enumerate(entry.keywords):
        found[:, at] = read.str.contains(f"(?i){_whole_word(word)}").to_numpy()
    return found


def _whole_word(word: str) -> str:
    """The pattern of a keyword that is no part of a longer word; its spaces stand for any white space.

    There is no boundary to look for beside a sign, or in scripts that do not space their words.
    """
    inner = r"\s+".join(pl.escape_regex(part) for part in word.split())
    first, last = (r"\b" if c.isalnum() and east_asian_width(c) not in "WF" else "" for c in (word[0], word[-1]))
    return f"{first}{inner}{last}"


def _named(given: np.ndarray, entries: Sequence[Entry]) -> list[list[str]]:
    """The names that each row of ``given`` (bool [n, entries]) has."""
    return [[entry.name for entry, has in zip(entries, row, strict=True) if has] for row in given]


def _leaders(
    values: np.ndarray, entries: Sequence[Entry], leads: Callable[[np.ndarray, np.ndarray], np.ndarray]
) -> list[str | None]:
    """The entry that leads in each row of ``values`` (float or int [n, entries]), or None.

    ``leads`` tells whether it does, from the first and second largest of each row, [n] each.
    """
    if not len(entries):
        return [None] * len(values)
    *_, second, first = np.sort(values, axis=1).T
    best = values.argmax(axis=1)
    return [entries[at].name if lead else None for at, lead in zip(best, leads(first, second), strict=True)]


def label_table(labels: Iterable[tuple[str | None, Sequence[str], str | None]], by: Stage) -> pl.DataFrame:
    """A label table from (domain, tags, difficulty) of each row, all of them given by one stage."""
    schema = {"domain": pl.String(), "tags": pl.List(pl.String), "difficulty": pl.String()}
    table = pl.DataFrame(dict(zip(schema, zip(*labels, strict=True), strict=False)), schema=schema)
    given = {f"{part}_by": pl.when(_given(part)).then(pl.lit(by)) for part in PARTS}
    return table.with_columns(**given).select(LABELS)


def _given(part: str, suffix: str = "") -> pl.Expr:
    """Whether a part of the labels says something, in the columns with a suffix."""
    column = pl.col(part + suffix)
    return (column.list.len() > 0 if part == "tags" else column.is_not_null()).fill_null(False)


def unsure(labels: pl.DataFrame, taxonomy: Taxonomy) -> np.ndarray:
    """Which rows of a label table lack a domain or a difficulty, or where there are only tags, a tag: bool [n]."""
    missing = np.zeros(labels.height, dtype=bool)
    if taxonomy.domains:
        missing |= labels["domain"].is_null().to_numpy()
    if taxonomy.difficulties:
        missing |= labels["difficulty"].is_null().to_numpy()
    if not (taxonomy.domains or taxonomy.difficulties):
        missing |= (labels["tags"].list.len() == 0).to_numpy()
    return missing


def filled_in(labels: pl.DataFrame, rows: np.ndarray, more: pl.DataFrame) -> pl.DataFrame:
    """``labels`` [n] with what ``more`` [m] says of the rows at the positions ``rows`` [m] where they said nothing."""
    other = more.with_columns(at=pl.Series(rows, dtype=pl.UInt32))
    joined = labels.with_row_index("at").join(other, on="at", how="left", suffix="_more", maintain_order="left")
    return joined.select(
        pl.when(~_given(part) & _given(part, "_more")).then(f"{column}_more").otherwise(column).alias(column)
        for part in PARTS for column in (part, f"{part}_by")
    )  # fmt: skip


def zero_shot(
    text: pl.Series, taxonomy: Taxonomy, model: str, min_margin: float, advance: Advance = silent
) -> pl.DataFrame:
    """Labels by a model of natural language inference: does the text entail "This text is about …"? (Yin et al. 2019)

    A domain or difficulty is given where its probability among the names leads the second by ``min_margin``, a tag
    where entailment leads contradiction by as much.

    Args:
        text: strings [n].
        taxonomy: the names; what is put to the model is their description.
        model: the name or the folder of a model of transformers with weights as safetensors. Code that comes with it
            is never run.

    Returns:
        A label table [n].

    Raises:
        InputError: the model cannot be loaded, or is no NLI model.
    """
    classify = _nli(model)
    labels: list[tuple[str | None, list[str], str | None]] = []
    for start in range(0, len(text), _BATCH):
        texts = text[start : start + _BATCH].fill_null("").str.slice(0, _CHARACTERS).to_list()
        domains, tags, difficulties = (_probabilities(classify, texts, axis, getattr(taxonomy, axis)) for axis in AXES)
        chosen = _named(2 * tags - 1 >= min_margin, taxonomy.tags)  # of a tag, p is set against 1 − p
        domain, difficulty = (
            _leaders(found, entries, lambda first, second: first - second >= min_margin)
            for found, entries in ((domains, taxonomy.domains), (difficulties, taxonomy.difficulties))
        )
        labels += zip(domain, chosen, difficulty, strict=True)
        advance(len(texts))
    return label_table(labels, "zero_shot")


def _probabilities(classify: Any, texts: list[str], axis: str, entries: Sequence[Entry]) -> np.ndarray:
    """What the model gives each entry for each text, float64 [texts, entries]; those of a tag stand for themselves."""
    found = np.zeros((len(texts), len(entries)))
    named = {f"{entry.name} ({entry.description})": at for at, entry in enumerate(entries)}
    known = [at for at, text in enumerate(texts) if text.strip()]  # an empty text entails nothing
    if not named or not known:
        return found
    answers = classify(
        [texts[at] for at in known],
        candidate_labels=list(named),
        hypothesis_template=_TEMPLATES[axis],
        multi_label=axis == "tags",
    )
    for at, answer in zip(known, answers, strict=True):
        for name, score in zip(answer["labels"], answer["scores"], strict=True):
            found[at, named[name]] = score
    return found


def usable(model: str) -> None:
    """See that an NLI model can be used, before a run that will need it at its end.

    Raises:
        InputError: the model cannot be loaded, or is no NLI model.
    """
    _nli(model)


def _nli(model: str) -> Any:
    """The classifier: from a folder, from the local cache of the hub, or from the hub.

    Raises:
        InputError: the model cannot be loaded, or is no NLI model.
    """
    if not Path(model).is_dir() and not HUB_NAME.fullmatch(model):
        raise InputError(f"label.nli_model: there is no folder {model!r}; {_REMEDY}")
    try:
        return local_first(model, partial(_loaded, model))
    except ModelNotLoaded as error:
        raise InputError(
            f"label.nli_model: cannot use the model {model!r}: {str(error).rstrip('.')}; {_REMEDY}"
        ) from error


def _loaded(model: str, local: bool) -> Any:
    from transformers import AutoModelForSequenceClassification, AutoTokenizer, pipeline

    folder = safe_folder(model, local)
    safe: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
    network = AutoModelForSequenceClassification.from_pretrained(folder, use_safetensors=True, **safe)
    tokeniser = AutoTokenizer.from_pretrained(folder, **safe)
    if not any(str(name).lower().startswith("entail") for name in network.config.label2id):
        raise ValueError("it is no NLI model: none of its labels is called entailment")
    if len(tokeniser) <= len(tokeniser.all_special_tokens):  # what a folder without a vocabulary gives
        raise ValueError("it has no vocabulary: its tokenizer.json is missing")
    positions = int(getattr(network.config, "max_position_embeddings", _POSITIONS))
    tokeniser.model_max_length = min(tokeniser.model_max_length, positions, _POSITIONS)
    return pipeline("zero-shot-classification", model=network, tokenizer=tokeniser)
