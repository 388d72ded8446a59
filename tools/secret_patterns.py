"""What keys and other secrets look like: the deny-lists of the package ``detect-secrets``, and what they lack.

Only the lists are read: none of the package's checks, of which some ask the vendor's server, is ever run. Left out are
its detectors that find words, not keys: by entropy, by a word such as *password* before a value (which Cloudant's and
IBM's are too), and Artifactory's, which finds words in capitals.
"""

from __future__ import annotations

import re
from functools import cache
from importlib import import_module

from ..state.errors import MissingExtraError

# Module of detect_secrets.plugins to class.
_DETECTORS = {
    "aws": "AWSKeyDetector",
    "azure_storage_key": "AzureStorageKeyDetector",
    "discord": "DiscordBotTokenDetector",
    "github_token": "GitHubTokenDetector",
    "gitlab_token": "GitLabTokenDetector",
    "jwt": "JwtTokenDetector",
    "mailchimp": "MailchimpDetector",
    "npm": "NpmDetector",
    "openai": "OpenAIDetector",
    "pypi_token": "PypiTokenDetector",
    "sendgrid": "SendGridDetector",
    "slack": "SlackDetector",
    "square_oauth": "SquareOAuthDetector",
    "stripe": "StripeDetector",
    "telegram_token": "TelegramBotTokenDetector",
    "twilio": "TwilioKeyDetector",
}

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
def secret_patterns(instead: str) -> tuple[tuple[str, str], ...]:
    """Pairs of a pattern, in the syntax of Polars, and what stands for its match: ``instead``, or it in its URL.

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
    return (every, instead), (_USER_INFO, f"://{instead}@")


def _linear(pattern: re.Pattern[str]) -> str:
    """A pattern of Python in the syntax of the engine whose time is linear in the text."""
    flags = "".join(letter for letter, flag in (("i", re.IGNORECASE), ("x", re.VERBOSE)) if pattern.flags & flag)
    body = pattern.pattern.replace(r"(?!\w)", r"\b{end-half}")
    if body.endswith("*?"):
        body = body.removesuffix("?")  # a lazy end matches nothing: a JSON Web Token's signature would stay
    return f"(?{flags}){body}" if flags else body
