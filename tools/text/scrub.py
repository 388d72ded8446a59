"""Scrubbing: e-mail addresses, phone numbers and secrets in texts, each replaced by its kind.

Addresses are found by one pattern, phone numbers by Google's libphonenumber, secrets by the deny-lists of the package
``detect-secrets`` and by what they lack. Patterns run in the engine of Polars, whose time is
linear in the text whatever the text is; libphonenumber sees short pieces only. What is found is likely, not certain:
the tests tell what is missed and what is taken by mistake.
"""

import re
from collections.abc import Callable
from functools import cache, partial
from importlib import import_module

import polars as pl

from ...state.errors import MissingExtraError, UsageError
from ...state.params.preparation import ScrubParams

EMAIL, PHONE, SECRET = "[EMAIL]", "[PHONE]", "[SECRET]"

# Letters of the scripts that part words by spaces: in others, the words before an address would be taken for its name.
_NAME = r"\p{Latin}\p{Greek}\p{Cyrillic}0-9"
# The sign and the dot as they stand in text (full width too), in a URL, in HTML and escaped in JSON.
_SIGN = r"(?:[@\uff20\ufe6b]|(?i:%40|&#0*64;|&#x0*40;|&commat;|\\u0040))"
_ENCODED_DOT = r"(?i:%2e|&#0*46;|&#x0*2e;|&period;|\\u002e)"
_DOT = rf"(?:[.\uff0e]|{_ENCODED_DOT})"
_EMAIL = (
    rf"[{_NAME}_](?:[{_NAME}._%+\uff0e-]|{_ENCODED_DOT})*{_SIGN}"
    rf"(?:[{_NAME}-]+{_DOT})+(?:xn--[a-z0-9-]+|[\p{{Latin}}\p{{Greek}}\p{{Cyrillic}}]{{2,24}})"
)

# Seven digits or more, parted by nothing but what parts the digits of a phone number, up to an extension.
_PART = "[-./()\\[\\]~ \u00a0\u00ad\u200b\u2010-\u2015\u2060\u2212\u3000\u30fc\uff08\uff09\uff0d-\uff0f\uff3b\uff3d]"
_DIGITS = rf"\d(?:{_PART}{{0,4}}\d){{6,}}"
_PIECE = re.compile(rf"[+\uff0b(\[\uff08]{{0,3}}{_PART}{{0,2}}{_DIGITS}")
_EXTENSION = 24  # characters after the digits in which an extension may stand
_MAX_DIGITS = 60  # more in one piece are a table of figures
_MAX_TRIES = 12  # numbers tried in one piece: the library would try every pair of groups of such a table
_IPV4 = re.compile(r"\d{1,3}(?:\.\d{1,3}){3}")
_DATE = re.compile(r"(?:19|20)\d\d([-/.])[01]\d\1[0-3]\d(?!\d)")
_DECIMALS = re.compile(r"\.\d|,\d{1,2}(?!\d)")

Replace = Callable[[pl.Series], tuple[pl.Series, int]]


def scrub(text: pl.Series, params: ScrubParams) -> tuple[pl.Series, dict[str, int]]:
    """Texts without what ``params.kinds`` names.

    An address becomes ``[EMAIL]``, a phone number ``[PHONE]`` and a secret ``[SECRET]``; a private key goes from its
    first line to its last, and of a URL with a password the user's name goes too. Phone numbers are those that are
    valid by the numbering plan they belong to: with a country code, or as they are written in ``phone_region``.

    Returns:
        The texts, nulls as they were, and how many of each kind were replaced; no counts where no kind is named.

    Raises:
        MissingExtraError: a package that knows the kind is not installed.
        UsageError: there are no phone numbers of that region.
    """
    counts: dict[str, int] = {}
    for kind, replace in _replacements(params).items():
        text, counts[kind] = replace(text)
    return text, counts


def check_scrub(params: ScrubParams) -> None:
    """Refuse what ``scrub`` cannot do, before anything is read; the errors are those of ``scrub``."""
    _replacements(params)


@cache
def _replacements(params: ScrubParams) -> dict[str, Replace]:
    """What to do for each kind, secrets first: a password in a URL stands before an ``@``, and keys hold digits."""
    found: dict[str, Replace] = {}
    if "secret" in params.kinds:
        found["secret"] = partial(_by_patterns, patterns=secret_patterns())
    if "email" in params.kinds:
        found["email"] = partial(_by_patterns, patterns=((_EMAIL, EMAIL),))
    if "phone" in params.kinds:
        found["phone"] = partial(_by_finder, find=_phone_finder(params.phone_region))
    return found


def _by_patterns(text: pl.Series, patterns: tuple[tuple[str, str], ...]) -> tuple[pl.Series, int]:
    """Every match of the patterns replaced, one pattern after the other, and how many there were."""
    count = 0
    for pattern, instead in patterns:
        holds = text.str.contains(pattern).fill_null(False)
        if holds.any():
            at = holds.arg_true()
            held = text.gather(at)
            count += int(held.str.count_matches(pattern).sum())
            text = text.clone().scatter(at, held.str.replace_all(pattern, instead))  # which works in place
    return text, count


def _by_finder(text: pl.Series, find: Callable[[str], list[tuple[int, int]]]) -> tuple[pl.Series, int]:
    """Every phone number replaced, and how many there were; only texts with enough digits are looked at."""
    at = text.str.contains(_DIGITS).fill_null(False).arg_true()
    if not len(at):
        return text, 0
    count, replaced = 0, []
    for one in text.gather(at):
        spans = find(one)
        count += len(spans)
        starts = [0, *(end for _, end in spans)]
        ends = [*(start for start, _ in spans), len(one)]
        replaced.append(PHONE.join(one[start:end] for start, end in zip(starts, ends, strict=True)))
    return (text.clone().scatter(at, pl.Series(replaced, dtype=pl.String)) if count else text), count


def _phone_finder(region: str) -> Callable[[str], list[tuple[int, int]]]:
    """A function from a text to where phone numbers stand in it, in order."""
    try:
        import phonenumbers
    except ImportError as error:
        raise MissingExtraError('scrubbing phone numbers needs `pip install "recryst[scrub]"`') from error
    if region not in phonenumbers.SUPPORTED_REGIONS:
        raise UsageError(f"scrub.phone_region: {region!r} is no ISO 3166 country code with phone numbers, as US or GB")

    numbers_in = partial(
        phonenumbers.PhoneNumberMatcher, region=region, leniency=phonenumbers.Leniency.VALID, max_tries=_MAX_TRIES
    )

    def find(text: str) -> list[tuple[int, int]]:
        spans: list[tuple[int, int]] = []
        for piece in _PIECE.finditer(text):
            if sum(map(str.isdigit, piece[0])) > _MAX_DIGITS:
                continue
            # The character before and those after are the library's to see: a letter, a currency, an extension.
            before = max(0, piece.start() - 1)
            for number in numbers_in(text[before : piece.end() + _EXTENSION]):
                start, end = before + number.start, before + number.end
                if start >= piece.end():
                    break
                if not _is_other(text, start, end):
                    spans.append((start, end))
        return spans

    return find


def _is_other(text: str, start: int, end: int) -> bool:
    """Whether what the library takes for a phone number is an IP address, or part of a decimal number or a time."""
    fraction = text[start - 1 : start] == "." and not text[start - 2 : start - 1].strip().strip("0123456789")
    known = _IPV4.fullmatch(text, start, end) or _DATE.match(text, start, end) or _DECIMALS.match(text, end)
    return fraction or known is not None


# Module of detect_secrets.plugins to class.
_DETECTORS = {
    "aws": "AWSKeyDetector", "azure_storage_key": "AzureStorageKeyDetector", "discord": "DiscordBotTokenDetector",
    "github_token": "GitHubTokenDetector", "gitlab_token": "GitLabTokenDetector", "jwt": "JwtTokenDetector",
    "mailchimp": "MailchimpDetector", "npm": "NpmDetector", "openai": "OpenAIDetector",
    "pypi_token": "PypiTokenDetector", "sendgrid": "SendGridDetector", "slack": "SlackDetector",
    "square_oauth": "SquareOAuthDetector", "stripe": "StripeDetector", "telegram_token": "TelegramBotTokenDetector",
    "twilio": "TwilioKeyDetector",
}  # fmt: skip

_KEY_LINE = r"-{4,5} ?(?:BEGIN|END) (?:[A-Z0-9]+ ){0,4}PRIVATE KEY(?: BLOCK)? ?-{4,5}"
_BREAK = r"(?:\\[nr]|\s)"  # a line's end, also as JSON and shell scripts spell it
_OWN = (
    # A private key from its first line to its last (RFC 7468, RFC 4716, OpenPGP) …
    rf"{_KEY_LINE}(?:-{{0,3}}[^-])*{_KEY_LINE}",
    # … or, cut off, to the end of its base64.
    rf"{_KEY_LINE}(?:{_BREAK}*[A-Z][A-Za-z-]+: [^\n\\]*)*(?:{_BREAK}*[A-Za-z0-9+/=]{{16,}})*",
    r"PuTTY-User-Key-File-[23]:(?s:.*?)Private-MAC: *[0-9a-f]+",
    r"sk-(?:ant|proj|svcacct|admin)-[A-Za-z0-9_-]{40,}",  # Anthropic, OpenAI since 2024
    r"github_pat_[A-Za-z0-9]{22}_[A-Za-z0-9]{59}",
    r"AIza[A-Za-z0-9_-]{35}",  # Google
    r"hf_[A-Za-z0-9]{34}",  # Hugging Face
    r"npm_[A-Za-z0-9]{36}",
    r"xapp-\d-[A-Za-z0-9]+-\d+-[a-f0-9]{64}",  # Slack, an app's
    r"(?i)aws_secret_access_key[\"']?\s*[=:]\s*[\"']?[A-Za-z0-9/+]{40}",  # detect-secrets wants quotes
)
# A user's name and password in a URL (RFC 3986, section 3.2.1); detect-secrets' own pattern knows no password with a
# character such as `!`.
_USER_INFO = r"://[^\s/:@]*:[^\s/@]+@"


@cache
def secret_patterns() -> tuple[tuple[str, str], ...]:
    """Pairs of a pattern, in the syntax of Polars, and what stands for its match.

    Raises:
        MissingExtraError: the package detect-secrets is missing.
    """
    try:
        lists = [
            getattr(import_module(f"detect_secrets.plugins.{module}"), name).denylist
            for module, name in _DETECTORS.items()
        ]
    except ImportError as error:
        raise MissingExtraError('scrubbing secrets needs `pip install "recryst[scrub]"`') from error
    theirs = [_linear(pattern) for listed in lists for pattern in listed]
    # As one pattern: Polars keeps a few compiled, and the alternatives share one pass.
    every = "|".join(f"(?:{pattern})" for pattern in (*_OWN, *theirs))
    return (every, SECRET), (_USER_INFO, f"://{SECRET}@")


def _linear(pattern: re.Pattern[str]) -> str:
    """A pattern of Python in the syntax of the engine whose time is linear in the text."""
    flags = "".join(letter for letter, flag in (("i", re.IGNORECASE), ("x", re.VERBOSE)) if pattern.flags & flag)
    body = pattern.pattern.replace(r"(?!\w)", r"\b{end-half}")
    if body.endswith("*?"):
        body = body.removesuffix("?")  # a lazy end matches nothing: a JSON Web Token's signature would stay
    return f"(?{flags}){body}" if flags else body
