"""tools/evaluate.py as a user runs it, and its page in a browser."""

import importlib.util
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from scipy.special import expit

from mammo.records.predictions import write_predictions

ROOT = Path(__file__).resolve().parents[2]
FIGURES = ('outcome', 'roc', 'pr', 'decision', 'decision_recalibrated', 'avoided', 'subgroups')
FIGURES += ('calibration_1', 'calibration_2', 'waterfall_1', 'waterfall_2', 'centres', 'instability_1')


def run(arguments):
    spec = importlib.util.spec_from_file_location('evaluate_tool', ROOT / 'tools/evaluate.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr('sys.argv', ['evaluate.py', *arguments])
        module.main()


def simulate(path, seed, strength, first=0, n=120):
    truth, rng = np.random.default_rng(first), np.random.default_rng(seed)
    risk = truth.normal(-1, 1.2, n)
    labels = truth.random(n) < expit(risk)
    records = []
    for i in range(n):
        for side in 'LR':
            logit = strength * risk[i] + rng.normal(0, 0.7) if side == 'L' else 9.0
            fields = dict(
                img_path=f'p{first + i}_{side}.png', patient_id=f'p{first + i}', exam_id='1', view='CC'
            )
            task = dict(logit=float(logit), pred_score=float(expit(logit)), gt_label=int(labels[i]))
            more = dict(laterality=side, tumor_side='L', cohort='AB'[i % 2])
            records.append(
                {**fields, **more, 'tasks': {'N': task, 'size': {**task, 'gt_label': float(risk[i])}}}
            )
    write_predictions(path, records)


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp('evaluate')
    simulate(folder / 'a.pkl', 1, 1.0)
    simulate(folder / 'b.csv', 2, 0.5)
    simulate(folder / 'c.json', 3, 0.2)
    simulate(folder / 'a_dev.json', 4, 1.0, first=1000)
    return folder


@pytest.fixture(scope='module')
def out(folder):
    arguments = '--pred fusion={0}/a.pkl --pred <b>={0}/b.csv,{0}/c.json --dev fusion={0}/a_dev.json --task N'
    more = '--out-dir {0}/out --bootstrap 300 --subgroup cohort'
    run(f'{arguments} {more}'.format(folder).split())
    return folder / 'out'


def test_files_are_there_and_the_report_is_strict_json(out):
    report = json.loads(
        (out / 'report.json').read_text(), parse_constant=lambda name: pytest.fail(f'{name} in JSON')
    )
    assert set(report['models']) == {'fusion', '<b>'}
    assert report['models']['<b>']['flow']['prediction_files'] == 2
    assert report['models']['fusion']['flow']['images_of_the_other_side'] == 120
    assert report['settings']['aggregate'] == 'max'
    assert sorted(p.name for p in (out / 'figures').iterdir()) == sorted(
        f'{f}.{s}' for f in FIGURES for s in ('png', 'svg', 'csv')
    )


def test_page_is_self_contained_and_escapes_names(out):
    page = (out / 'report.html').read_text()
    assert not re.findall(r'(?:src|href)="(?!data:|#)[^"]*"|url\(|@import|<script', page)
    assert page.count('src="data:image/svg+xml;base64,') == len(FIGURES)
    assert '<b><b></b>' not in page
    assert '&lt;b&gt;' in page


def test_same_seed_writes_the_same_report_and_page(folder, out):
    arguments = '--pred fusion={0}/a.pkl --pred <b>={0}/b.csv,{0}/c.json --dev fusion={0}/a_dev.json --task N'
    run(f'{arguments} --out-dir {{0}}/again --bootstrap 300 --subgroup cohort'.format(folder).split())
    for name in ('report.json', 'report.html'):
        assert (folder / 'again' / name).read_bytes() == (out / name).read_bytes()


def test_a_value_is_the_mean_over_images_as_everywhere_unless_asked_otherwise(tmp_path):
    fields = dict(exam_id=None, view=None, laterality=None)
    records = [
        dict(fields, img_path=f'{i}_{d}.png', patient_id=f'p{i}',
             tasks=dict(size=dict(logit=None, pred_score=i + d, gt_label=i)))
        for i in range(20) for d in (-1, 0, 1)
    ]  # fmt: skip
    write_predictions(tmp_path / 'a.csv', records)
    common = f'--pred a={tmp_path}/a.csv --task size --bootstrap 100 --out-dir {tmp_path}'
    run(f'{common}/mean'.split())
    run(f'{common}/max --aggregate max'.split())
    mean, highest = (json.loads((tmp_path / name / 'report.json').read_text()) for name in ('mean', 'max'))
    assert (mean['settings']['aggregate'], mean['models']['a']['r2']['value']) == ('mean', 1)
    assert highest['models']['a']['r2']['value'] < 1


def test_breasts_are_called_breasts(folder, capsys):
    patients = folder / 'our patients.pkl'
    shutil.copy(folder / 'a.pkl', patients)
    run(
        [
            '--pred',
            f'a={patients}',
            *f'--task N --unit breast --out-dir {folder}/sides --bootstrap 100'.split(),
        ]
    )
    assert re.search(r'a +240 breasts  roc_auc', capsys.readouterr().out)
    page = (folder / 'sides/report.html').read_text()
    assert f'{patients}</code>, SHA-256' in page
    assert 'Patient and public involvement' in page
    page = page.replace(str(patients), '').replace('Patient and public involvement', '')
    shown = re.sub(r'<style.*?</style>|<[^>]*>', ' ', page, flags=re.DOTALL)
    assert 'Left out: breasts without label'.lower() in shown.lower()
    assert re.findall(r'(?i)\bpatients?\b.*', shown) == []
    report = json.loads((folder / 'sides/report.json').read_text())
    assert 'breasts of 120 women' in ' '.join(report['notices'])


def test_regression_task_has_a_page(folder):
    run(f'--pred a={folder}/a.pkl --task size --out-dir {folder}/size --bootstrap 100'.split())
    assert 'Pearson' in (folder / 'size/report.html').read_text()


@pytest.mark.parametrize(
    'scores', [[(0.5, 1)], [(0.2, 0), (0.4, 0)], [(-2, 0), (3, 1), (0.5, 0), (1, 1)], [(0.5, 0), (0.5, 1)]]
)
def test_poor_data_still_give_a_page(tmp_path, scores):
    task = [{'N': dict(logit=None, pred_score=score, gt_label=label)} for score, label in scores]
    fields = dict(img_path='', exam_id=None, view=None, laterality=None)
    write_predictions(
        tmp_path / 'a.csv', [{**fields, 'patient_id': f'p{i}', 'tasks': t} for i, t in enumerate(task)]
    )
    run(f'--pred a={tmp_path}/a.csv --task N --out-dir {tmp_path}/out --bootstrap 100'.split())
    assert 'Checklist' in (tmp_path / 'out/report.html').read_text()


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        ('--pred a={0}/none.json --task N', 'none.json: no such prediction file'),
        ('--pred a={0}/a.pkl --task M', "records has task 'M'; check --task"),
        ('--pred {0}/a.pkl --task N', 'expected NAME=PATH'),
        ('--pred a={0}/a.pkl --pred a={0}/a.pkl --task N', 'each name once'),
        ('--pred a={0}/a.pkl --dev a={0}/b.csv --task N', '120 patients are in development and test: p0, '),
        ('--pred a={0}/a.pkl --task N --sensitivity 90', 'not above 0 and up to 1'),
        ('--pred a={0}/a.pkl --task N --seed -1', '-1 is less than 0'),
        ('--pred a={0}/a.pkl --task N --bootstrap 3', '3 is less than 100'),
    ],
)
def test_wrong_use_is_one_message_and_exit_code_2(folder, tmp_path, capsys, arguments, message):
    with pytest.raises(SystemExit) as stop:
        run([*arguments.format(folder).split(), '--out-dir', str(tmp_path / 'out')])
    assert stop.value.code == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / 'out').exists()


@pytest.fixture(scope='module')
def browser(chromium):
    playwright = pytest.importorskip('playwright.sync_api')
    with playwright.sync_playwright() as instance:
        browser = instance.chromium.launch(executable_path=chromium, args=['--no-sandbox'])
        yield browser
        browser.close()


@pytest.mark.parametrize('width', [360, 1280])
def test_page_shows_every_figure_without_error_and_without_sideways_scrolling(out, browser, width):
    page = browser.new_page(viewport=dict(width=width, height=800))
    problems = []
    page.on('console', lambda message: problems.append(message.text))
    page.goto((out / 'report.html').as_uri())
    page.evaluate('document.querySelectorAll("details").forEach(d => d.open = true)')
    page.wait_for_function('[...document.images].every(i => i.complete && i.naturalWidth > 100)')
    assert page.evaluate('document.images.length') == len(FIGURES)
    assert page.evaluate('document.documentElement.scrollWidth') <= width
    over = 'e => e.getBoundingClientRect().right > innerWidth + 1'
    assert page.evaluate(f'[...document.querySelectorAll("main *")].filter({over}).length') == 0
    assert problems == []
    page.close()


def test_page_is_read_with_the_keyboard_from_its_main_landmark(out, browser):
    page = browser.new_page()
    page.goto((out / 'report.html').as_uri())
    page.keyboard.press('Tab')
    assert page.evaluate('document.activeElement.textContent') == 'Skip to the summary'
    assert page.locator('main h2').first.text_content() == 'Summary'
    assert page.locator('details[open]').count() == 0
    page.locator('summary').first.focus()
    page.keyboard.press('Enter')
    assert page.locator('details[open]').count() == 1
    page.close()


def test_printed_page_of_two_models_has_six_pages_at_most(out, browser):
    page = browser.new_page()
    page.goto((out / 'report.html').as_uri())
    content = page.pdf(format='A4', prefer_css_page_size=True)
    assert 1 <= len(re.findall(rb'/Type\s*/Page\b', content)) <= 6
    page.close()
