"""What a text is, as far as the quality rules are concerned: a rule made for one kind does not judge another.

Rules that count articles and sentence ends were made for English prose, rules that count words for scripts that put
blanks between them, and hardly any for code. What a text is read as is a guess by its looks, and spares it a rule; it
never makes a rule harsher.
"""

import polars as pl

#: What a text may be read as: ``prose`` is English, or of no language that is known for certain.
READ_AS = ("prose", "other", "unspaced", "code")

#: A character of a script that puts no blank space between words.
UNSPACED = r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}]"

_READ = 16_384  # characters of a text that are looked at
_CODE_SHARE = 0.25  # of a text's lines that must look like code; comments and docstrings do not
# Statements, by their first words and their last mark; case matters, because prose begins a line with a capital.
_STATEMENTS = (
    r"from [\w.]+ import .*",
    r"import [\w.]+(?: as \w+)?(?:, [\w.]+)*;?",
    r"(?:using|package|namespace|use|import)\b[^.?!]*;",
    r"#\s*(?:include|define|ifdef|ifndef|endif|pragma)\b.*",
    r"(?:(?:async|export|default|public|private|protected|static|final|abstract|pub|inline|const|void|int) )*"
    r"(?:def|class|function|func|fn|sub|struct|enum|interface|trait|impl|void|int)\b.*[:{(]",
    r"(?:if|elif|else|for|while|switch|case|try|except|catch|finally|with|do|foreach|unless|match)\b.*[:{]",
    r"(?:if|elif|while) .*(?:==|!=|<=|>=|&&|\|\|).*",
    r"(?:return|raise|throw|yield|await|assert|print|echo|var|let|const|public|private|protected|static)\b"
    r".*[;{}()\[\],]",
    r"return [\w.\[\]]+",
    r"(?:pass|break|continue|end|fi|done|esac|else|then|do)",
    r"[\w.\[\]'\"$*&]+(?:, *[\w.]+)* *(?:: *[\w.\[\]]+ *)?(?:[-+*/|&%:]?=|<-) *[^\s=].*",
    r".*(?:[=\[\]{}<>]|\w\().*;",
    r"[\w.]+\(.*\)[;:,]?",
    r"[{}()\[\];,]+",
    r".*\{",
    r"\}.*",
    r"(?://|/\*|\*/).*",
    r"\"[^\"]*\"\s*:\s*.*[,{\[\"\d]",
    r"(?:SELECT|INSERT INTO|UPDATE|CREATE|DELETE FROM|FROM|WHERE|GROUP BY|ORDER BY|LEFT JOIN|JOIN|VALUES)\b.*",
)
_CODE_LINE = rf"(?m)^[ \t]*(?:{'|'.join(_STATEMENTS)})[ \t\r]*$"


def word_counts(text: pl.Series) -> pl.Series:
    """Words of each text's beginning (strings, [n]), UInt32 [n], nulls as 0: split at blank space, and two characters
    of a script without blanks count as one more."""
    seen = text.fill_null("").str.slice(0, _READ)
    return seen.str.count_matches(r"\S+") + seen.str.count_matches(UNSPACED) // 2


def is_code(text: pl.Series) -> pl.Series:
    """Which texts (strings, [n]) look like a program, a query or data written as one: Boolean [n], nulls as false."""
    seen = text.fill_null("").str.slice(0, _READ)
    lines = seen.str.count_matches(r"(?m)\S.*$")
    found = seen.str.count_matches(_CODE_LINE)
    return (found > 0) & (found >= _CODE_SHARE * lines)


def read_as(text: pl.Series, languages: pl.Series) -> pl.Series:
    """What each text (strings, [n]) is read as, one of ``READ_AS`` (String [n]).

    ``languages``: the language of each that is known (strings, [n]); null for unknown.
    """
    seen = text.fill_null("").str.slice(0, _READ)
    letters = pl.Series("letters", seen.str.count_matches(r"\p{L}"))
    kinds = (
        pl.when(pl.Series("code", is_code(text)))
        .then(pl.lit("code"))
        .when(pl.Series("unspaced", seen.str.count_matches(UNSPACED) * 2) > letters)
        .then(pl.lit("unspaced"))
        .when((pl.Series("language", languages) != "en").fill_null(False))
        .then(pl.lit("other"))
        .otherwise(pl.lit("prose"))
    )
    return pl.select(kinds.alias("read_as")).to_series()
