"""Patterns of every kind with small numbers, and what & | ~ make of them, for hypothesis to draw."""

from hypothesis import strategies as st

from transept.parts.pattern import Band, Causal, Documents, First, Full, Prefix, Window
from transept.parts.pattern_blocks import GlobalBlocks, Local, RandomBlocks
from transept.parts.pattern_grid import Columns, Convolutional, Rows
from transept.parts.pattern_strides import Dilated, Strided, Summary

small = st.integers(0, 7)
some = st.integers(1, 7)
SIMPLE_PATTERN = st.one_of(
    st.sampled_from([Full(), Causal(), Documents()]),
    st.builds(Window, small),
    st.builds(Band, small, small),
    st.builds(First, small),
    st.builds(Prefix, small),
    st.builds(Dilated, small, some),
    st.builds(Strided, some),
    some.flatmap(lambda size: st.builds(Summary, st.just(size), st.integers(0, size))),
    st.builds(Local, some, st.integers(0, 2), st.integers(0, 2)),
    st.builds(GlobalBlocks, some, small, st.integers(0, 2)),
    st.builds(RandomBlocks, some, st.integers(0, 3), st.integers(1, 30), small, st.sampled_from([1, 4])),
    st.builds(Rows, some, small),
    st.builds(Columns, some, small),
    st.builds(Convolutional, some, st.sampled_from([1, 3, 5]), small),
)
ANY_PATTERN = st.recursive(
    SIMPLE_PATTERN,
    lambda inner: st.one_of(
        st.builds(lambda a, b: a & b, inner, inner),
        st.builds(lambda a, b: a | b, inner, inner),
        inner.map(lambda a: ~a),
    ),
    max_leaves=4,
)
