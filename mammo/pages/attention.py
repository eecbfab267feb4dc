"""A page to look through: the attention of a network on every image of a test set.

images of attention.json -> HTML text that shows the pictures beside it
"""

from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

from markupsafe import Markup

from mammo.pages.cards import Card, cards_page, keys_of_image, title_of_image

LEAD = (
    'Each picture: the image, then the attention of the network over it. The bar beside a map goes from 0 to '
    'the most in that picture, in multiples of an even spread: one colour means different numbers in two '
    'pictures. White outlines are lesions, where they are known. A map shows where the network looked, not '
    'why it decided.'
)
PICTURE = Markup('<a href="{file}"><img class="map" loading="lazy" src="{file}" alt="{title}"></a>')


def gallery(images: Sequence[dict[str, Any]]) -> str:
    """The page; images as ``attention.json`` has them."""
    n_breasts = len({(image['patient_id'], image['laterality']) for image in images})
    heading = f'Attention on {len(images)} images of {n_breasts} breasts'
    return cards_page(heading, LEAD, [_card(image) for image in images], ('side', 'view'))


def _card(image: dict[str, Any]) -> Card:
    title, keys = title_of_image(image), keys_of_image(image)
    lines = [image['img_path']]
    measured = image.get('lesion_share_and_chance', {}).get('image')
    if measured:
        share, chance = measured[-1]
        ratio = f'{share / chance:.2f}'
        lines.append(f'attention in lesions: {ratio} of an even spread (last map)')
        keys |= {'in lesions': [ratio]}
    outside = image.get('background_share_and_chance', {}).get('image')
    if outside:
        share, chance = outside[-1]
        lines.append(f'attention outside the breast: {share:.0%}, of an even spread {chance:.0%} (last map)')
        keys |= {'outside': [f'{share:.2f}']}
    return Card(PICTURE.format(file=quote(image['file']), title=title), title, lines, keys)
