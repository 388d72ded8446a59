"""Whether two texts that are alike differ in a word on which the meaning turns.

Vectors put "enable" beside "disable" and "bisect_left" beside "bisect_right". What tells such texts apart is few: a
negation, a number, an operator, a name, or a word and its opposite. The kinds are those on which sentence encoders are
known to fail (Ribeiro et al. 2020, CheckList, §3; Hossain et al. 2020 on negation). English for the words; numbers,
operators and names of any language.
"""

import re
from collections.abc import Callable

import numpy as np
import polars as pl

_BLOCK = 50_000  # pairs looked at together

_WORD = r"[\p{L}\p{N}_]+(?:['’][\p{L}]+)?"
_NUMBER = r"\d+(?:[.,]\d+)*"
#: All that is neither word, blank nor the punctuation of a sentence.
_OPERATOR = r"[^\p{L}\p{N}_\s.,;:!?'’‘\"“”()\[\]{}`…–—-]"
#: Negations, and words that turn or narrow what follows.
_NEGATION = (
    r"(?i)\b(?:no|not|nor|none|never|neither|nothing|nobody|nowhere|without|cannot|unless|except|only|stop)\b|n['’]t\b"
)
#: A word with a sign of a name: an underscore, a digit or a capital inside; a capital where no sentence begins.
_IDENTIFIER = r"\b(?:\p{L}+[\p{N}_]|_+\p{L}|\p{Ll}+\p{Lu}|\p{Lu}\p{Lu})[\p{L}\p{N}_]*"
_NAME = r"[\p{L}\p{N},;:]\s+(\p{Lu}\p{L}+)"
_AFFIX = r"^(?:anti|counter|dis|down|up|de|en|em|ex|in|im|ir|il|mis|non|over|re|un|under)|(?:ful|less)$"
_LEAST_STEM = 3

#: Groups of words that stand for one another's opposite, or for different things of a kind.
_OPPOSITES = """
left right|first last|before after|min max|minimum maximum|up down|upper lower|top bottom
start stop end begin finish|open close shut|opened closed|true false|yes no|on off|in out|inside outside|into from
add remove delete drop insert replace|get set|read write|reads writes|push pop|old new|high low|higher lower
highest lowest|more less fewer|most least|buy sell|send receive|sent received|lend borrow|win lose|won lost
love hate|like dislike|hot cold|warm cool|always never sometimes often|all any none some|and or|over under
above below|front back|inner outer|north south east west|ascending descending|positive negative|even odd
big small large little|long short|longer shorter|fast slow|early late|good bad|better worse|best worst|male female
man woman|men women|boy girl|he she|his her|mother father|son daughter|brother sister|husband wife|king queen
day night|morning evening|past future|today tomorrow yesterday|now then
monday tuesday wednesday thursday friday saturday sunday
january february march april may june july august september october november december
one two three four five six seven eight nine ten|once twice|single double|single multiple|single married
who when where|lock unlock|mute unmute|lower raise|fall rise|gain loss|profit loss|input output|source target
client server|public private|save load|pass fail|passed failed|accept reject|allow deny forbid
allowed denied forbidden|show hide|shown hidden|encrypt decrypt|compress expand|attach detach|connect disconnect
arrive depart leave|arrival departure|deposit withdraw|credit debit|cheap expensive|rich poor|young old|alive dead
full empty|present absent|present missing|same different|same other|increase decrease|increases decreases
rows columns|row column|horizontal vertical|local remote|local global|asynchronous synchronous|sync async
black white|red blue green yellow|dog cat|breakfast lunch dinner
"""
_GROUPS = [line.split() for part in _OPPOSITES.strip().splitlines() for line in part.split("|")]


def _opposites() -> pl.DataFrame:
    """Each word with the groups it stands in: ``word`` string, ``group`` integer."""
    rows = [(word, number) for number, group in enumerate(_GROUPS) for word in group]
    return pl.DataFrame(rows, {"word": pl.String, "group": pl.Int64}, orient="row")


def opposites() -> frozenset[str]:
    """The words that have an opposite, or others of their kind, in the groups."""
    return frozenset(word for group in _GROUPS for word in group)


def is_negation(word: str) -> bool:
    """Whether a word negates, turns or narrows what follows it."""
    return re.search(_NEGATION, word) is not None


def same_facts(one: pl.Series, other: pl.Series) -> np.ndarray:
    """Whether the words that turn a meaning are the same in both texts of each pair: bool [m].

    Numbers and operators are the same in the same order, negations as many; a name of one stands in the other, and
    names in the same order where they are the same; no word of one has its opposite in the other alone, be it another
    word (left, right) or another affix (enable, disable).

    Args:
        one: strings [m]; null as empty. ``other``: the same of the other side.
    """
    return np.concatenate(
        [np.zeros(0, dtype=bool)]
        + [_same(one[at : at + _BLOCK], other[at : at + _BLOCK]) for at in range(0, len(one), _BLOCK)]
    )


def _same(one: pl.Series, other: pl.Series) -> np.ndarray:
    pairs = pl.DataFrame({"pair": pl.int_range(len(one), eager=True), "a": one.fill_null(""), "b": other.fill_null("")})
    found = pairs.select(
        "pair", *(expression.alias(f"{kind}{side}") for side in "ab" for kind, expression in _kinds(side))
    )
    equal = found.select(
        pl.all_horizontal(pl.col(f"{kind}a") == pl.col(f"{kind}b") for kind in ("numbers", "operators", "negations"))
        & (pl.col("namesa").list.set_difference("wordsb").list.len() == 0)
        & (pl.col("namesb").list.set_difference("wordsa").list.len() == 0)
        & ((pl.col("namesa") == pl.col("namesb")) | (pl.col("namesa").list.sort() != pl.col("namesb").list.sort()))
    ).to_series()
    left, right = (
        found.select("pair", word=pl.col(f"words{one}").list.set_difference(f"words{two}")).explode("word").drop_nulls()
        for one, two in ("ab", "ba")
    )
    turned = pl.concat([_meeting(left, right, _by_group), _meeting(left, right, _by_stem)]).unique()
    differ = np.zeros(len(one), dtype=bool)
    differ[turned.to_numpy()] = True
    return equal.to_numpy() & ~differ


def _kinds(side: str) -> list[tuple[str, pl.Expr]]:
    """What is compared of a text, by name: lists in the order of the text, distinct words, a count of negations."""
    text = pl.col(side)
    names = pl.concat_list(text.str.extract_all(_IDENTIFIER), text.str.extract_all(_NAME).list.eval(
        pl.element().str.extract(r"(\p{Lu}\p{L}+)$")))  # fmt: skip
    return [
        ("numbers", text.str.extract_all(_NUMBER)),
        ("operators", text.str.extract_all(_OPERATOR)),
        ("negations", text.str.count_matches(_NEGATION)),
        ("names", names.list.eval(pl.element().str.to_lowercase())),
        ("words", text.str.to_lowercase().str.extract_all(_WORD).list.unique()),
    ]


def _meeting(left: pl.DataFrame, right: pl.DataFrame, key: Callable[[pl.DataFrame], pl.DataFrame]) -> pl.Series:
    """The pairs of which a word of the left alone and one of the right alone have a key in common."""
    return key(left).join(key(right), on=["pair", "key"])["pair"]


def _by_group(words: pl.DataFrame) -> pl.DataFrame:
    return words.join(_opposites(), on="word").select("pair", key="group")


def _by_stem(words: pl.DataFrame) -> pl.DataFrame:
    stem = pl.col("word").str.replace(_AFFIX, "")
    bare = words.select("pair", key=stem).filter(pl.col("key").str.len_chars() >= _LEAST_STEM)
    return pl.concat([bare, words.select("pair", key="word")]).unique()
