"""One spelling for every value: whatever kind of number, key or sequence it was made of."""

import math
from types import MappingProxyType

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recryst.state.canonical import canonical_json, plain

LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**53), 2**53),
    st.floats(),
    st.text(st.characters(exclude_categories=["Cs"])),
    st.floats(width=32).map(np.float32),
    st.integers(0, 255).map(np.uint8),
    st.booleans().map(np.bool_),
)
KEYS = st.one_of(st.text(st.characters(exclude_categories=["Cs"])), st.integers(0, 9), st.booleans(), st.none())
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.lists(inner),
        st.lists(inner).map(tuple),
        st.dictionaries(KEYS, inner),
        st.dictionaries(st.text("ab"), inner).map(MappingProxyType),
    ),
)


@given(VALUES)
def test_the_spelling_is_that_of_the_plain_value(value):
    said = orjson.dumps(plain(value), option=orjson.OPT_SORT_KEYS)
    assert canonical_json(value) == said
    assert canonical_json(orjson.loads(said)) == said


def test_what_no_json_holds_is_null_or_refused():
    assert canonical_json({"b": math.nan, "a": (np.float32(0.5), -math.inf)}) == b'{"a":[0.5,null],"b":null}'
    for value in (b"bytes", {"a": {1}}, "\ud800"):
        with pytest.raises(TypeError):
            canonical_json(value)
