"""The language-model providers by name; a vendor's module is imported when it is named."""

from __future__ import annotations

import difflib
from importlib import import_module

from ...state.config import LlmParams
from ...state.errors import UsageError
from . import Provider

_CLASSES = {"anthropic": "Anthropic", "openai": "OpenAI", "ollama": "Ollama"}


def open_provider(params: LlmParams) -> Provider:
    """The provider that ``llm.model`` names. Neither network, key nor the vendor's package is touched yet.

    Raises:
        UsageError: the name is not VENDOR:NAME, or the vendor is not known (the nearest is named).
    """
    vendor, _, model = (params.model or "").partition(":")
    if vendor not in _CLASSES:
        near = difflib.get_close_matches(vendor, _CLASSES, n=1)
        hint = f" (did you mean {near[0]}?)" if near else ""
        raise UsageError(
            f"llm.model: no provider {vendor!r}{hint}; it reads anthropic:NAME, openai:NAME or ollama:NAME"
        )
    if not model.strip():
        raise UsageError(f"llm.model: {vendor}: lacks the model's name, as in {vendor}:NAME")
    provider: Provider = getattr(import_module(f".{vendor}", __package__), _CLASSES[vendor])(model, params)
    return provider
