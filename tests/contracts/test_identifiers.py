"""Group keys, quoting, and lists in messages."""

from __future__ import annotations

import duckdb
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from compassign_core.contracts.identifiers import (
    first,
    group_keys,
    quote_name,
    quote_text,
    split_group_keys,
)

GROUP = st.integers(0, 2**31 - 1)
COMP = st.integers(0, 2**32 - 1)
PAIRS = st.lists(st.tuples(GROUP, COMP), max_size=20)
TEXT = st.text(st.characters(blacklist_characters="\x00", codec="utf-8"), max_size=20)


@given(PAIRS)
def test_keys_come_back_as_the_ids_they_were_made_of(pairs):
    groups = np.array([group for group, _ in pairs], dtype=np.int64)
    comps = np.array([comp for _, comp in pairs], dtype=np.int64)
    keys = group_keys(groups, comps)
    assert keys.dtype == np.int64 and (keys >= 0).all()
    assert [array.tolist() for array in split_group_keys(keys)] == [
        groups.tolist(),
        comps.tolist(),
    ]
    # one key a pair, in the order of (group, comp)
    assert len(set(keys.tolist())) == len(set(pairs))
    assert np.argsort(keys, kind="stable").tolist() == sorted(
        range(len(pairs)), key=pairs.__getitem__
    )


def test_the_key_is_the_documented_number():
    assert group_keys(3, 5) == (3 << 32) + 5
    assert group_keys([2**31 - 1], [2**32 - 1]).tolist() == [2**63 - 1]


@given(
    st.sampled_from(["group", "comp"]),
    st.one_of(st.integers(-(2**62), -1), st.integers(2**32, 2**62)),
)
def test_an_id_out_of_bounds_is_an_error_that_names_it(which, value):
    arguments = (value, 1) if which == "group" else (1, value)
    with pytest.raises(ValueError, match=f"{which}_id must lie in .0, .*{value}"):
        group_keys(*arguments)


def test_a_group_of_32_bits_is_out_of_bounds():
    with pytest.raises(ValueError, match="group_id"):
        group_keys([0, 2**31], [0, 0])


@given(TEXT)
def test_quoted_text_is_that_text_in_sql(text):
    assert duckdb.execute(f"SELECT {quote_text(text)}").fetchall() == [(text,)]


@given(TEXT.filter(bool))
def test_a_quoted_name_is_that_name_in_sql(name):
    result = duckdb.execute(f"SELECT 1 AS {quote_name(name)}")
    assert result.description[0][0] == name


def test_a_list_in_a_message_says_how_many_more_there_are():
    assert first([]) == ""
    assert first([1, 2], 2) == "1, 2"
    assert first(["a", "b", "c"], 2) == "a, b and 1 more"
    assert first(range(25)).endswith("18, 19 and 5 more")
