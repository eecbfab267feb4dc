"""A page of many pictures, to be looked through: filtered and sorted by what is known of each.

cards (picture, caption, keys), rows of a table -> HTML text
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from markupsafe import Markup

from mammo.pages.environment import environment

UNKNOWN = 'unknown'
Keys = dict[str, list[str]]  # values by name, such as {'view': ['CC']}; the first one sorts


class Card(NamedTuple):
    """One picture."""

    picture: Markup
    title: str
    lines: Sequence[str]  # below the title
    keys: Keys


class Table(NamedTuple):
    """What has no picture; its columns sort."""

    title: str
    columns: Sequence[str]
    rows: Sequence[tuple[Sequence[str], Keys]]


def cards_page(
    heading: str, lead: str, cards: Sequence[Card], filters: Sequence[str], table: Table | None = None
) -> str:
    """The page; ``filters`` are names of keys.

    What lacks a key is hidden while that key is filtered by. Without scripts all is shown, as given.
    """
    every = [card.keys for card in cards] + [keys for _, keys in (table.rows if table else ())]
    choices = {name: _choices(name, every) for name in filters}
    template = environment(Path(__file__).parent).get_template('cards.html.j2')
    orders = list(dict.fromkeys(name for card in cards for name in card.keys))
    return template.render(
        heading=heading, lead=lead, cards=cards, choices=choices, orders=orders, table=table
    )


def keys_of_image(item: dict[str, Any]) -> Keys:
    """What every picture of a mammogram can be found by: patient, side, view; item of a meta file."""
    return dict(
        patient=[item.get('patient_id') or UNKNOWN],
        side=[item.get('laterality') or UNKNOWN],
        view=[item.get('view') or UNKNOWN],
    )


def title_of_image(item: dict[str, Any]) -> str:
    """Patient, side and view."""
    return ' '.join(values[0] for values in keys_of_image(item).values())


def _choices(name: str, every: Sequence[Keys]) -> list[tuple[str, int]]:
    """Values of a key in order, and how many have each."""

    def values() -> Iterator[str]:
        for keys in every:
            yield from dict.fromkeys(keys.get(name, ()))

    return sorted(Counter(values()).items())
