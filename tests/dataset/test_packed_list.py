"""A list as bytes behaves as the list."""

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataset.packed_list import PackedList

items = st.lists(
    st.dictionaries(st.text(max_size=5), st.none() | st.floats(allow_nan=False) | st.text(max_size=9))
)


@given(items)
def test_equals_the_list_it_was_made_of(plain: list[dict]) -> None:
    packed = PackedList(iter(plain))
    assert len(packed) == len(plain)
    assert list(packed) == plain
    assert [packed[i - len(plain)] for i in range(len(plain))] == plain
    assert list(pickle.loads(pickle.dumps(packed))) == plain


def test_items_are_finished_when_they_are_asked_for() -> None:
    packed = PackedList(
        [dict(name='a'), dict(name='b', side='L')], lambda item: item | dict(path=f'png/{item["name"]}')
    )
    assert list(packed) == [dict(name='a', path='png/a'), dict(name='b', side='L', path='png/b')]


def test_keys_that_items_share_take_no_memory_for_each() -> None:
    short, long = (PackedList([{'a' * length: 1}] * 1000) for length in (1, 100))
    assert len(pickle.dumps(long)) - len(pickle.dumps(short)) < 200


def test_items_are_copies() -> None:
    packed = PackedList([dict(a=[1])])
    packed[0]['a'].append(2)
    assert packed[0] == dict(a=[1])


@pytest.mark.parametrize('index', [2, -3])
def test_index_outside_is_an_error(index: int) -> None:
    with pytest.raises(IndexError):
        PackedList([dict(a=1), dict(a=2)])[index]
