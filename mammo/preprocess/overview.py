"""A page to look through: every image with its crop box, every skipped input with its reason.

meta items, records, skipped rows -> HTML text that shows OUT/thumbs/*.png
"""

from collections import Counter
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Preprocessing overview</title><style>
body {{ font: 14px/1.4 system-ui, sans-serif; margin: 1.5rem; background: #f4f4f2; color: #222 }}
main {{ display: flex; flex-wrap: wrap; gap: 12px }}
figure {{ margin: 0; padding: 8px; background: #fff; border-radius: 6px; box-shadow: 0 1px 3px #0003 }}
.frame {{ position: relative; width: fit-content; height: 240px; background: #000 }}
.frame img {{ height: 240px; display: block }}
.frame svg {{ position: absolute; inset: 0; width: 100%; height: 100% }}
rect {{ fill: none; stroke: #ffb000; stroke-width: 2; vector-effect: non-scaling-stroke }}
figcaption {{ max-width: 180px; font-size: 12px; overflow-wrap: anywhere }}
table {{ border-collapse: collapse; background: #fff; margin: .5rem 0 1.5rem }}
th, td {{ border: 1px solid #ccc; padding: 3px 9px; text-align: left }}
td {{ overflow-wrap: anywhere; min-width: 10em }}
</style></head><body>
<h1>{n_images} images, {n_skipped} skipped</h1>
<p>The box is what png/ holds of each image; outside the breast it is black. Look for cut-off tissue, labels
inside the breast, negatives, and the wrong side or view.</p>
<main>
{figures}
</main>
<h2>Skipped</h2>
{reasons}
{skipped}
</body></html>
"""
_FIGURE = (
    '<figure><div class="frame"><img loading="lazy" src="thumbs/{name}" alt="{title}">'
    '<svg viewBox="0 0 {width} {height}" preserveAspectRatio="none">'
    '<rect x="{x}" y="{y}" width="{w}" height="{h}"/></svg></div>'
    '<figcaption><b>{title}</b><br>{source}<br>{spacing}<br>{notes}</figcaption></figure>'
)


def render(items: Sequence[dict], records: Sequence[dict], skipped: Sequence[dict]) -> str:
    """Lay out the page; records give the frame (height, width, box) of each item."""
    frames = {record['item']['img_path']: record['frame'] for record in records if 'item' in record}
    reasons = Counter(record['reason'] for record in skipped).most_common()
    return _PAGE.format(
        n_images=len(items),
        n_skipped=len(skipped),
        figures='\n'.join(_figure(item, frames[item['img_path']]) for item in items),
        reasons=_table(('reason', 'count'), reasons),
        skipped=_table(
            ('file', 'reason', 'message'), [(r['source'], r['reason'], r['message']) for r in skipped]
        ),
    )


def _figure(item: dict, frame: dict) -> str:
    y0, x0, y1, x1 = frame['box']
    title = ' '.join(item.get(key, '?') for key in ('patient_id', 'laterality', 'view'))
    size = f'{item["spacing_mm"]:g} mm' if 'spacing_mm' in item else 'unknown pixel size'
    return _FIGURE.format(
        name=escape(Path(item['img_path']).name),
        title=escape(title),
        source=escape(item['source']),
        notes=escape(', '.join((*item.get('notes', ()), *item.get('kinds', ())))),
        spacing=f'{x1 - x0} x {y1 - y0} px, {size}',
        **dict(x=x0, y=y0, w=x1 - x0, h=y1 - y0, width=frame['width'], height=frame['height']),
    )


def _table(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    if not rows:
        return ''
    lines = [''.join(f'<td>{escape(str(cell))}</td>' for cell in row) for row in rows]
    header = ''.join(f'<th>{escape(name)}</th>' for name in head)
    return f'<table><tr>{header}</tr>' + ''.join(f'<tr>{line}</tr>' for line in lines) + '</table>'
