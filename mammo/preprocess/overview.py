"""A page to look through: every image with its crop box, every skipped input with its reason.

meta items, records, skipped rows -> HTML text that shows OUT/thumbs/*.png
"""

from collections.abc import Sequence
from pathlib import Path

from markupsafe import Markup

from mammo.pages.cards import UNKNOWN, Card, Table, cards_page, keys_of_image, title_of_image

LEAD = (
    'The box is what png/ holds of each image; outside the breast it is black. Look for cut-off tissue, '
    'labels inside the breast, negatives, and the wrong side or view.'
)
FILTERS = ('vendor', 'side', 'view', 'code')
CODES = ('kinds', 'notes', 'view_modifiers')  # fields of an item that hold codes
PICTURE = Markup(
    '<div class="frame"><img loading="lazy" src="thumbs/{name}" alt="{title}">'
    '<svg viewBox="0 0 {width} {height}" preserveAspectRatio="none" aria-hidden="true">'
    '<rect x="{x}" y="{y}" width="{w}" height="{h}"/></svg></div>'
)


def render(items: Sequence[dict], records: Sequence[dict], skipped: Sequence[dict]) -> str:
    """Lay out the page; records give the frame (height, width, box) of each item."""
    frames = {record['item']['img_path']: record['frame'] for record in records if 'item' in record}
    rows = [((r['source'], r['reason'], r['message']), dict(code=[r['reason']])) for r in skipped]
    return cards_page(
        f'{len(items)} images, {len(skipped)} skipped',
        LEAD,
        [_card(item, frames[item['img_path']]) for item in items],
        FILTERS,
        Table('Skipped', ('file', 'reason', 'message'), rows),
    )


def _card(item: dict, frame: dict) -> Card:
    y0, x0, y1, x1 = frame['box']
    title, vendor = title_of_image(item), item.get('manufacturer') or UNKNOWN
    picture = PICTURE.format(
        name=Path(item['img_path']).name,
        title=title,
        **dict(x=x0, y=y0, w=x1 - x0, h=y1 - y0, width=frame['width'], height=frame['height']),
    )
    codes = [str(code) for field in CODES for code in item.get(field, ())]
    codes += ['INVERTED'] if item.get('inverted') else []
    spacing = f'{item["spacing_mm"]:g} mm' if 'spacing_mm' in item else 'unknown pixel size'
    keys = keys_of_image(item) | dict(
        vendor=[vendor], code=codes, width=[str(x1 - x0)], spacing=[str(item.get('spacing_mm', ''))]
    )
    lines = [item['source'], vendor, f'{x1 - x0} x {y1 - y0} px, {spacing}', ', '.join(codes)]
    return Card(picture, title, list(filter(None, lines)), keys)
