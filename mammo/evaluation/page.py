"""The report as files: figures as PNG and SVG, one self-contained HTML page, and report.json last.

report, name -> scores and labels -> DIR/report.json, DIR/report.html, DIR/figures/*.png and *.svg
"""

import base64
import io
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from mammo.evaluation.figures import Scored, draw
from mammo.records.files import replacing, write_json, write_text

CAPTIONS = dict(
    roc='Sensitivity against 1 - specificity, by patient. The area is in the legend, the diagonal is chance.',
    pr='Precision against recall. The area is the average precision; the grey line is the event rate.',
    calibration='Observed risk against predicted probability: smoothed by logistic regression on a '
    'restricted cubic spline, points are equal groups with Wilson intervals. The diagonal is ideal. '
    'Below: patients with (dark) and without (light) the event.',
    decision='Net benefit of biopsy from the threshold probability up, against biopsy for all and for none.',
    waterfall='One bar per patient, by rising score, from the threshold up or down.',
    subgroups='ROC AUC with DeLong interval. Groups under the floor, or with one class, have no mark.',
    scatter='Observed against predicted value, by patient; the diagonal is ideal.',
)


def write_report(
    out_dir: Path, report: dict[str, Any], scored: Scored, gallery: list[dict[str, Any]] | None = None
) -> None:
    """Write all files; ``report.json`` comes last, so that it stands for a whole report."""
    images = {}
    for name, figure in draw(scored, report):
        for suffix in ('png', 'svg'):
            buffer = io.BytesIO()
            figure.savefig(buffer, format=suffix, metadata={'Date': None} if suffix == 'svg' else None)
            with replacing(out_dir / 'figures' / f'{name}.{suffix}') as tmp:
                tmp.write_bytes(buffer.getvalue())
        images[name] = 'data:image/svg+xml;base64,' + base64.b64encode(buffer.getvalue()).decode()
    write_text(out_dir / 'report.html', render(report, images, gallery or []))
    write_json(out_dir / 'report.json', report)


def render(report: dict[str, Any], images: dict[str, str], gallery: list[dict[str, Any]]) -> str:
    """Report, figures and gallery as data addresses -> HTML that needs nothing else."""
    loader = jinja2.FileSystemLoader(Path(__file__).parent)
    environment = jinja2.Environment(
        loader=loader, autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    environment.filters |= dict(est=estimate_html, p=p_text, share=lambda e: estimate_html(e, percent=True))
    template = environment.get_template('report.html.j2')
    return template.render(report=report, images=images, captions=CAPTIONS, gallery=gallery, **report)


def estimate_html(estimate: dict[str, Any], percent: bool = False) -> Markup:
    """The value, and below it the interval, or the reason why there is none."""
    if estimate['value'] is None:
        return Markup('none <small>{}</small>').format(estimate['reason'])
    digits, factor = (1, 100) if percent else (3, 1)
    value, low, high = (
        None if estimate[key] is None else f'{estimate[key] * factor:.{digits}f}'.replace('-', '\u2212')
        for key in ('value', 'ci_low', 'ci_high')
    )
    below = (
        estimate.get('reason', 'no interval')
        if low is None
        else Markup('<span>{} to {}</span>').format(low, high)
    )
    return Markup('<b>{}{}</b> <small>{}</small>').format(value, '\u202f%' if percent else '', below)


def p_text(p: float | None) -> str:
    """A p value as journals print it."""
    return '—' if p is None else '< 0.001' if p < 0.001 else f'{p:.3f}'
