"""A page of pictures: complete without scripts; filtered, sorted and usable from the keyboard with them."""

import json
import re
from collections.abc import Iterator
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from markupsafe import Markup

from mammo.pages.cards import Card, Table, cards_page, keys_of_image, title_of_image
from mammo.preprocess.overview import render

DOT = Markup(
    '<img alt="" src="data:image/gif;base64,R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7">'
)
IMAGES = [
    ('p10', 'B', 'CC', []),
    ('p9', 'A "<x>"', 'MLO', ['IMPLANT']),
    ('p2', 'B', 'MLO', ['IMPLANT', 'ID']),
]


@pytest.fixture
def html() -> str:
    cards = [
        Card(
            DOT, patient, ['<script>bad</script>'], dict(patient=[patient], vendor=[v], view=[w], code=codes)
        )
        for patient, v, w, codes in IMAGES
    ]
    rows = [
        ((f'f{number}', code), dict(code=[code]))
        for number, code in ((10, 'TRUNCATED'), (9, 'IMPLANT'), (2, 'TRUNCATED'))
    ]
    table = Table('Skipped', ('file', 'reason'), rows)
    return cards_page('All', 'Look.', cards, ('vendor', 'view', 'code'), table)


def test_texts_of_outside_are_escaped_and_keys_survive(html: str) -> None:
    assert '<script>bad' not in html
    keys = [json.loads(unescape(text)) for text in re.findall(r'<figure data-keys="([^"]*)"', html)]
    assert [one['vendor'] for one in keys] == [['B'], ['A "<x>"'], ['B']]
    assert '<option value="IMPLANT">IMPLANT (3)</option>' in html
    assert not re.search(r'(?:src|href)="(?!data:)', html)


def test_an_image_of_unknown_side_says_so() -> None:
    assert title_of_image(dict(patient_id='p', view='CC')) == 'p unknown CC'
    assert keys_of_image({})['patient'] == ['unknown']


def test_codes_of_an_image_and_of_a_skipped_input_are_one_choice() -> None:
    item = dict(img_path='png/a.png', source='a.dcm', patient_id='p', notes=['IMPLANT'], kinds=['STEREO'],
                inverted=True)  # fmt: skip
    record = dict(item=item, frame=dict(height=9, width=8, box=[1, 2, 7, 6]))
    page = render([item], [record], [dict(source='b', reason='STEREO', message='m')])
    assert '<option value="STEREO">STEREO (2)</option>' in page
    assert '<option value="INVERTED">INVERTED (1)</option>' in page
    assert '<rect x="2" y="1" width="4" height="6"/>' in page


@pytest.fixture(scope='module')
def browser(chromium: str) -> Iterator[Any]:
    playwright = pytest.importorskip('playwright.sync_api', reason='playwright is not installed')
    with playwright.sync_playwright() as instance:
        running = instance.chromium.launch(executable_path=chromium, args=['--no-sandbox'])
        yield running
        running.close()


@pytest.fixture
def page(browser: Any, html: str, tmp_path: Path) -> Iterator[Any]:
    (tmp_path / 'page.html').write_text(html)
    opened, said = browser.new_page(viewport=dict(width=360, height=800)), []
    opened.on('console', lambda message: said.append(message.text))
    opened.on('pageerror', lambda error: said.append(str(error)))
    opened.goto((tmp_path / 'page.html').as_uri())
    yield opened
    opened.close()
    assert said == []


def titles(page: Any) -> list[str]:
    return page.locator('figure:visible b').all_inner_texts()


def test_filters_hold_together_and_count(page: Any) -> None:
    page.get_by_label('code').select_option('IMPLANT')
    assert titles(page) == ['p9', 'p2']
    assert page.get_by_role('status').inner_text() == '2 of 3 images, 1 of 3 skipped'
    page.get_by_label('vendor').select_option('B')
    assert titles(page) == ['p2']
    assert page.get_by_role('status').inner_text() == '1 of 3 images, 0 of 3 skipped'
    assert page.locator('section').is_hidden()
    page.get_by_role('button', name='Show all').click()
    page.wait_for_function('document.querySelector("output").textContent.startsWith("3 of 3")')
    assert titles(page) == ['p10', 'p9', 'p2']
    assert page.evaluate('document.documentElement.scrollWidth') <= 360


def test_pictures_sort_numbers_by_value_and_keep_the_order_of_equals(page: Any) -> None:
    page.get_by_label('sorted by').select_option('patient')
    assert titles(page) == ['p2', 'p9', 'p10']
    page.get_by_label('falling').check()
    assert titles(page) == ['p10', 'p9', 'p2']
    page.get_by_label('sorted by').select_option('vendor')
    assert titles(page) == ['p10', 'p2', 'p9']
    page.get_by_label('sorted by').select_option('')
    assert titles(page) == ['p2', 'p9', 'p10']


def test_decimal_numbers_sort_by_value(browser: Any, tmp_path: Path) -> None:
    ratios = ('1.4', '', '0.5', '1.35', '0.0941', '10')
    cards = [Card(DOT, ratio or 'none', [], dict(ratio=[ratio])) for ratio in ratios]
    (tmp_path / 'page.html').write_text(cards_page('All', '', cards, ()))
    page = browser.new_page()
    page.goto((tmp_path / 'page.html').as_uri())
    page.get_by_label('sorted by').select_option('ratio')
    rising = ['0.0941', '0.5', '1.35', '1.4', '10']
    assert titles(page) == [*rising, 'none']
    page.get_by_label('falling').check()
    assert titles(page) == [*rising[::-1], 'none']
    page.close()


def test_columns_sort_from_the_keyboard_and_say_so(page: Any) -> None:
    header, files = page.get_by_role('columnheader', name='file'), page.locator('td:first-child')
    assert header.get_attribute('aria-sort') == 'none'
    for said, order in (('ascending', ['f2', 'f9', 'f10']), ('descending', ['f10', 'f9', 'f2'])):
        header.get_by_role('button').focus()
        page.keyboard.press('Enter')
        assert header.get_attribute('aria-sort') == said
        assert files.all_inner_texts() == order
    page.get_by_role('columnheader', name='reason').get_by_role('button').press('Space')
    assert header.get_attribute('aria-sort') == 'none'


def test_without_scripts_all_is_there_and_no_dead_control(browser: Any, html: str, tmp_path: Path) -> None:
    (tmp_path / 'page.html').write_text(html)
    context = browser.new_context(java_script_enabled=False)
    plain = context.new_page()
    plain.goto((tmp_path / 'page.html').as_uri())
    assert titles(plain) == ['p10', 'p9', 'p2']
    assert plain.locator('form').is_hidden()
    assert plain.locator('th').all_inner_texts() == ['file', 'reason']
    context.close()
