"""The report as files: figures as PNG, SVG and CSV, one self-contained HTML page, and report.json last.

report, patients by model -> DIR/report.json, DIR/report.html, DIR/figures/*
"""

import io
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.text import Text

from mammo.evaluation.cohort.pooling import Model
from mammo.evaluation.page import text
from mammo.evaluation.page.bars import bars
from mammo.evaluation.page.checklist import checklist
from mammo.evaluation.page.curves import curves
from mammo.evaluation.page.drawing import REPORT_RC, Drawn
from mammo.evaluation.page.panels import Members, instability, panels
from mammo.evaluation.units import html_in_words_of, in_words_of
from mammo.pages.environment import data_uri, environment
from mammo.records.storage.files import replacing, write_json, write_text


def write_report(
    out_dir: Path,
    report: dict[str, Any],
    models: dict[str, Model],
    gallery: list[dict[str, Any]],
    members: Members,
) -> None:
    """Write all files; ``report.json`` comes last, so that it stands for a whole report."""
    figures: dict[str, list[dict[str, str]]] = {}
    unit = report['settings']['unit']
    with mpl.rc_context(REPORT_RC):
        for drawn in draw(report, models, members):
            for label in drawn.figure.findobj(Text):
                label.set_text(in_words_of(unit, label.get_text()))
            source = _save(out_dir / 'figures', drawn)
            entry = dict(name=drawn.name, source=source, caption=drawn.caption)
            figures.setdefault(drawn.section, []).append(entry)
    write_text(out_dir / 'report.html', html_in_words_of(unit, render(report, figures, gallery)))
    write_json(out_dir / 'report.json', report)


def draw(report: dict[str, Any], models: dict[str, Model], members: Members) -> Iterator[Drawn]:
    """Every figure that the data allow, one at a time."""
    lines = curves(models, report) if report['settings']['kind'] == 'binary' else ()
    return itertools.chain(bars(report), lines, panels(models, report), instability(models, members))


def _save(folder: Path, drawn: Drawn) -> str:
    """Write a figure and its data -> it as a data address."""
    with replacing(folder / f'{drawn.name}.csv') as tmp:
        drawn.data.to_csv(tmp, index=False)
    for suffix in ('png', 'svg'):
        buffer = io.BytesIO()
        drawn.figure.savefig(buffer, format=suffix, metadata={'Date': None} if suffix == 'svg' else None)
        with replacing(folder / f'{drawn.name}.{suffix}') as tmp:
            tmp.write_bytes(buffer.getvalue())
    return data_uri(buffer.getvalue(), 'image/svg+xml')


def render(
    report: dict[str, Any], figures: dict[str, list[dict[str, str]]], gallery: list[dict[str, Any]]
) -> str:
    """Report, figures and gallery as data addresses -> HTML that needs nothing else."""
    templates = environment(Path(__file__).parent)
    filters: dict[str, Any] = dict(
        est=text.estimate_html,
        delta=lambda e: text.estimate_html(e, signed=True),
        share=lambda e: text.estimate_html(e, as_percent=True),
        delta_share=lambda e: text.estimate_html(e, as_percent=True, signed=True),
        p=text.p_text,
        number=text.number,
    )
    templates.filters |= filters
    template = templates.get_template('report.html.j2')
    more = dict(figures=figures, gallery=gallery, lead=text.lead, checklist=checklist(report))
    return template.render(report=report, **more, **report)
