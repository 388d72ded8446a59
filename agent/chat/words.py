"""Words behind a command, read as a shell reads them where ids may hold spaces."""

import shlex

from ..decide.proposals import Refusal


def unquoted(words: str) -> str:
    """Words without the quotes around them, which a person who knows shells may type."""
    quoted = len(words) > 2 and words[0] == words[-1] and words[0] in "\"'"
    return words[1:-1] if quoted else words


def quoted(words: str) -> list[str]:
    """Words as a shell reads them: those in quotes may hold spaces.

    Raises:
        Refusal: a quote is not closed.
    """
    try:
        return shlex.split(words)
    except ValueError as error:
        raise Refusal(f"{error}: an id with spaces stands between two quotes") from error


def first_and_rest(words: str) -> list[str]:
    """The first word, or what stands in quotes, and all that comes after it as it is."""
    if words[:1] in ("'", '"') and (end := words.find(words[0], 1)) > 0:
        return [words[1:end], words[end + 1 :].strip()]
    first, _, rest = words.partition(" ")
    return [one for one in (first, rest.strip()) if one]
