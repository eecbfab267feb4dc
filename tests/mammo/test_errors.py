"""What messages are made of."""

from mammo.errors import listed


def test_long_lists_are_shown_in_part() -> None:
    assert listed(['a', 'b']) == 'a, b'
    assert listed(range(10)).endswith('8, 9')
    assert listed(range(25)).endswith('8, 9 and 15 more')
    assert listed('abc', 2, '; ') == 'a; b and 1 more'
