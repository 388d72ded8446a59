"""A vocabulary trimmed to the tokens that some texts use: most of what a small encoder weighs is tokens."""

import json
from collections.abc import Sequence
from typing import Any

import numpy as np


def trimmed(tokenizer: Any, texts: Sequence[str]) -> tuple[Any, np.ndarray]:
    """A WordPiece tokenizer with the tokens of ``texts``, and which those were (int64 [tokens], ascending).

    It reads ``texts`` as before: the longest piece that fits is among those that stay. Letters and digits stay, too,
    alone and inside a word, so that other words are spelled where they are not known.
    """
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerFast

    told = json.loads(tokenizer.backend_tokenizer.to_str())
    known: dict[str, int] = told["model"]["vocab"]
    prefix = told["model"]["continuing_subword_prefix"]
    characters = [chr(code) for code in range(33, 127)]
    wanted = {known[piece] for one in characters for piece in (one, prefix + one) if piece in known}
    wanted |= {token["id"] for token in told["added_tokens"]}
    for ids in tokenizer(list(texts), add_special_tokens=False, truncation=False, verbose=False)["input_ids"]:
        wanted.update(ids)
    stay = sorted(wanted)
    number = {old: new for new, old in enumerate(stay)}
    told["model"]["vocab"] = {piece: number[old] for piece, old in known.items() if old in number}
    for token in told["added_tokens"]:
        token["id"] = number[token["id"]]
    for token in told["post_processor"].get("special_tokens", {}).values():
        token["ids"] = [number[old] for old in token["ids"]]
    names = {name: str(token) for name, token in tokenizer.special_tokens_map.items()}
    made = PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=Tokenizer.from_str(json.dumps(told)), model_max_length=tokenizer.model_max_length, **names
    )
    return made, np.array(stay, dtype=np.int64)
