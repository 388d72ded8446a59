"""Profiles: which quality rules hold for a kind of text, and their limits, in the order in which a row is charged.

``PUBLISHED`` has the limits that the papers give, or datatrove where they are silent. Of these, ``web`` holds Gopher's
and C4's on filler text, which together take 15 % of 20 Newsgroups, and leaves out what would take most rows of such a
collection, text but no articles (the shares are of 20 Newsgroups):

- ``gopher.min_alpha_words`` (92 %): 80 % of *words* must have a letter, but to a tokeniser each punctuation mark is a
  word. The rule holds with words split at blank space instead, as ``basic.min_alpha_words``.
- ``c4.min_sentences`` (47 %) and FineWeb's rules on lines (42 %, 36 % by ``fineweb.min_line_punctuation`` alone): they
  ask for lines that are paragraphs, and lines of plain text are not. ``c4.max_curly_brackets`` takes code.

Any of them is switched on by a threshold: ``c4.min_sentences: 5``.

``prose`` is for text of any length: Gopher's rules, but for the floor of 50 words, judge its long texts alone. Of a set
of medical answers the floor took one in five. ``basic.min_alpha_words`` is not among them either: in tokenised text, as
WikiText is, each punctuation mark is a word at blank space too, and the rule would take 43 % of the paragraphs.
"""

PUBLISHED: dict[str, float] = {
    "gopher.min_words": 50, "gopher.max_words": 100_000,
    "gopher.min_mean_word_length": 3, "gopher.max_mean_word_length": 10,
    "gopher.max_symbol_ratio": 0.1, "gopher.max_bullet_lines": 0.9, "gopher.max_ellipsis_lines": 0.3,
    "gopher.min_alpha_words": 0.8, "gopher.min_stop_words": 2,
    "gopher.max_duplicate_lines": 0.3, "gopher.max_duplicate_paragraphs": 0.3,
    "gopher.max_duplicate_line_characters": 0.2, "gopher.max_duplicate_paragraph_characters": 0.2,
    **{f"gopher.max_top_{n}gram_characters": limit for n, limit in ((2, 0.2), (3, 0.18), (4, 0.16))},
    "gopher.max_duplicate_5gram_characters": 0.15, "gopher.max_duplicate_6gram_characters": 0.14,
    "gopher.max_duplicate_7gram_characters": 0.13, "gopher.max_duplicate_8gram_characters": 0.12,
    "gopher.max_duplicate_9gram_characters": 0.11, "gopher.max_duplicate_10gram_characters": 0.1,
    "c4.min_sentences": 5, "c4.max_lorem_ipsum": 0, "c4.max_curly_brackets": 0,
    "fineweb.min_line_punctuation": 0.12, "fineweb.max_short_lines": 0.67,
    "fineweb.max_duplicate_line_characters": 0.01, "fineweb.max_newlines_per_word": 0.3,
}  # fmt: skip

_DECODED = {"basic.max_replacement_characters": 0.01}
_SAYS_SOMETHING = dict.fromkeys(
    ("basic.max_non_alphanumeric_characters", "basic.max_repeated_word", "basic.max_top_pair_characters"), 0.7
)
_GOPHER = {rule: limit for rule, limit in PUBLISHED.items() if rule.startswith("gopher.")}
del _GOPHER["gopher.min_alpha_words"]

_WEB = {"basic.min_alpha_words": 0.8, "basic.max_longest_word": 1000, **_DECODED, **_GOPHER, "c4.max_lorem_ipsum": 0}

LIMITS: dict[str, dict[str, float]] = {
    "prose": {
        "basic.min_words": 1, **_SAYS_SOMETHING,
        **{rule: limit for rule, limit in _WEB.items() if rule not in ("gopher.min_words", "basic.min_alpha_words")},
    },
    "web": _WEB,
    "instruction": {
        "basic.min_words": 1, "basic.max_empty_answers": 0, **_DECODED, "basic.max_duplicate_lines": 0.8,
        **_SAYS_SOMETHING,
    },
    # A turn may be short, and be said again: no rule looks at lines.
    "chat": {"basic.min_words": 1, "basic.max_empty_answers": 0, **_DECODED, **_SAYS_SOMETHING},
    "short": {"basic.min_words": 1, **_DECODED, **_SAYS_SOMETHING},
    # Lists, headings and tables are what notes are made of; their lines are short, and their marks many.
    "notes": {
        "basic.min_words": 3, **_DECODED, **_SAYS_SOMETHING, "gopher.max_duplicate_lines": 0.3,
        "gopher.max_duplicate_paragraphs": 0.3, "gopher.max_duplicate_10gram_characters": 0.1,
        "c4.max_lorem_ipsum": 0, "c4.max_boilerplate_lines": 0.5,
    },
    "code": {"basic.min_words": 1, **_DECODED},
    "none": {},
}  # fmt: skip
