"""The calculator in headless Chromium: upload, fill, submit, read; on a desk, on a phone, without scripts."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import pytest

from mammo.inference.prediction import NOTICE
from mammo.inference.predictor import Predictor
from tests.support.web_server import Server, serving

SWITCHES = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-sync',
            '--disable-background-networking', '--disable-component-update']  # fmt: skip
TIMEOUT_MS = 60_000
LIMIT_MB = 20
A4_WIDTH_PX = 688  # between margins of 14 mm
pytestmark = pytest.mark.slow


@pytest.fixture(scope='module')
def browser(chromium: str) -> Iterator[Any]:
    api = pytest.importorskip('playwright.sync_api', reason='playwright is not installed')
    with api.sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=chromium, args=SWITCHES, timeout=TIMEOUT_MS)
        yield running
        running.close()


@pytest.fixture(scope='module')
def server(toy: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(toy.folder, tmp_path_factory.mktemp('browsed'), '--max-upload-mb', str(LIMIT_MB)) as found:
        yield found


class Screen(NamedTuple):
    width: int
    scripts: bool


@pytest.fixture(
    params=[Screen(1280, True), Screen(360, True), Screen(360, False)],
    ids=['desk', 'phone', 'phone, no scripts'],
)
def screen(request: pytest.FixtureRequest) -> Screen:
    return request.param


@pytest.fixture
def page(browser: Any, server: Server, screen: Screen) -> Iterator[Any]:
    """The form; at the end nothing was asked of another host, and no script or style was refused."""
    width, scripts = screen
    context = browser.new_context(viewport=dict(width=width, height=780), java_script_enabled=scripts)
    context.set_default_timeout(TIMEOUT_MS)
    found, asked, said = context.new_page(), [], []
    found.on('request', lambda r: asked.append(r.url))
    found.on('console', lambda m: said.append(m.text))
    found.on('pageerror', lambda e: said.append(str(e)))
    found.goto(server.url)
    yield found
    context.close()
    assert {urlsplit(url).netloc for url in asked if not url.startswith('data:')} == {
        urlsplit(server.url).netloc
    }
    assert [text for text in said if 'status of 4' not in text] == []


def fits(page: Any) -> None:
    """No sideways scrolling, and the notice stays in view at the very end of the page."""
    width = page.viewport_size['width']
    page.mouse.wheel(0, 100_000)
    page.wait_for_timeout(200)
    notice = page.locator('header .notice')
    assert NOTICE in notice.inner_text()
    box = notice.bounding_box()
    assert 0 <= box['y'] < 100
    for part in page.locator('main *:visible').all():
        place = part.bounding_box()
        if place and part.evaluate('e => !e.closest("table, .scroll, svg, details:not([open])")'):
            assert place['x'] + place['width'] <= width, part.evaluate('e => e.outerHTML')[:200]


def test_upload_fill_submit_and_read_the_result(
    page: Any, predictor: Predictor, exam: list[Path], tmp_path: Path
) -> None:
    page.get_by_label('Image files').set_input_files(exam)
    page.get_by_label('Age (years)').fill('54')
    page.get_by_label('Er').select_option('positive')
    page.get_by_label('Histology').select_option('lobular')
    page.get_by_label('right', exact=True).check()
    fits(page)
    page.get_by_role('button', name='Compute').click()
    page.wait_for_selector('#main-value')
    expected = predictor.predict(exam, dict(age=54, er='positive', histology='lobular'), tumor_side='R')
    assert page.locator('#main-value').inner_text() == f'{expected.main.lead:.1%}'
    called = 'POSITIVE' if expected.main.decision['positive'] else 'negative'
    assert page.locator('#decision').inner_text().startswith(called)
    assert page.locator('figure').count() == 4
    for picture in page.locator('figure img').all():
        box = picture.bounding_box()
        assert 100 < box['width'] <= page.viewport_size['width']
    fits(page)
    with page.expect_download() as download:
        page.get_by_role('link', name='Download as JSON').click()
    assert download.value.suggested_filename == 'prediction.json'
    download.value.save_as(tmp_path / 'prediction.json')
    answer = json.loads((tmp_path / 'prediction.json').read_text())
    assert answer['fused']['value'] == expected.main.value


def test_a_wrong_file_and_a_wrong_value_are_told_at_the_top_and_in_focus(
    page: Any, screen: Screen, tmp_path: Path
) -> None:
    wrong = tmp_path / 'letter L_CC.pdf'
    wrong.write_text('no image')
    page.get_by_label('Image files').set_input_files(wrong)
    page.get_by_label('Age (years)').fill('54')
    page.get_by_role('button', name='Compute').click()
    alert = page.get_by_role('alert')
    assert 'letter L_CC.pdf: neither a DICOM file nor a PNG or JPEG image.' in alert.inner_text()
    page.wait_for_selector('#problem:focus')
    assert page.get_by_label('Age (years)').input_value() == '54'
    assert page.title().startswith('Error: ')
    fits(page)
    if screen.scripts:
        return
    page.get_by_label('Age (years)').fill('541')
    page.get_by_role('button', name='Compute').click()
    page.get_by_role('link', name='Age').click()
    page.wait_for_selector('#field-age:focus')
    assert page.locator('#field-age').get_attribute('aria-invalid') == 'true'


def test_a_mistyped_value_is_told_before_anything_is_sent(page: Any, screen: Screen, server: Server) -> None:
    age = page.get_by_label('Age (years)')
    for typed in ('5x', '1 500', *(('541', '17,9', '1e2') if screen.scripts else ())):
        age.fill(typed)
        page.get_by_role('button', name='Compute').click()
        page.wait_for_selector('#field-age:focus')
        assert not age.evaluate('e => e.validity.valid'), typed
        assert page.url == server.url
    for typed in ('', '54', ' 54.5 ', '54,5', '+54', '110', '18', 'unknown'):
        age.fill(typed)
        assert age.evaluate('e => e.validity.valid'), typed


def typed_values(page: Any) -> list[Any]:
    picked = '[name=tumor_side]:checked'
    values = [page.locator(place).input_value() for place in ('#field-age', '#field-er', '#field-histology')]
    chosen = page.locator('#images').evaluate('e => e.files.length')
    return [*values, page.locator(picked).get_attribute('value'), chosen]


def test_back_brings_back_what_was_typed_and_nothing_else(
    page: Any, screen: Screen, exam: list[Path]
) -> None:
    page.get_by_label('Image files').set_input_files(exam)
    page.get_by_label('Age (years)').fill('54')
    page.get_by_label('Er').select_option('positive')
    page.get_by_role('button', name='Compute').click()
    page.wait_for_selector('#main-value')
    page.go_back()
    page.wait_for_timeout(500)
    values = page.locator('[name=tumor_side]').evaluate_all('all => all.map(e => e.value)')
    assert values == ['', 'L', 'R']  # each choice still means what it says
    kept = ['54', 'positive', '', '', 4]
    assert typed_values(page) == (kept if screen.scripts else ['', '', '', '', 4])
    page.go_forward()
    page.get_by_role('link', name='Change what was typed').click()
    assert typed_values(page) == [*kept[:-1], 0]


@pytest.mark.parametrize('scheme', ['light', 'dark'])
def test_print_is_dark_on_white_and_shows_the_details(
    browser: Any, server: Server, exam: list[Path], scheme: str
) -> None:
    context = browser.new_context(color_scheme=scheme)
    context.set_default_timeout(TIMEOUT_MS)
    page = context.new_page()
    page.goto(server.url)
    page.get_by_label('Image files').set_input_files(exam)
    page.get_by_role('button', name='Compute').click()
    page.wait_for_selector('#main-value')
    color = 'e => getComputedStyle(e).getPropertyValue("color")'
    assert page.locator('#main-value').evaluate(color) == (
        'rgb(26, 26, 26)' if scheme == 'light' else 'rgb(233, 236, 238)'
    )
    page.emulate_media(media='print')
    assert page.locator('#main-value').evaluate(color) == 'rgb(26, 26, 26)'
    assert page.locator('.actions').is_hidden()
    box = page.get_by_text('This is the range').bounding_box()
    assert box
    assert box['height'] > 10
    for part in ('#inputs', '.notice'):
        assert page.locator(part).is_visible()
    context.close()


def test_the_model_card_fits(page: Any) -> None:
    page.get_by_role('link', name='Model card').click()
    page.get_by_role('heading', name='Model card').wait_for()
    fits(page)
    page.emulate_media(media='print')
    page.set_viewport_size(dict(width=A4_WIDTH_PX, height=900))
    for table in page.locator('.card table').all():  # whole, not cut off where it would scroll
        assert table.evaluate('e => getComputedStyle(e).display') == 'table'
    assert page.evaluate('document.documentElement.scrollWidth') <= A4_WIDTH_PX


def test_an_upload_that_is_too_large_gets_a_page(page: Any, tmp_path: Path) -> None:
    large = tmp_path / 'large_L_CC.dcm'
    with large.open('wb') as file:
        file.truncate((LIMIT_MB + 5) * 2**20)
    page.get_by_label('Image files').set_input_files(large)
    page.get_by_role('button', name='Compute').click()
    page.wait_for_selector('text=/All files together may have 20 MB|The files have 25 MB/')
    assert not re.search('ERR_', page.title())


def test_the_whole_form_works_from_the_keyboard(page: Any, server: Server) -> None:
    page.keyboard.press('Tab')
    assert page.locator('.skip:focus').inner_text() == 'Skip to the content'
    order = []
    for _ in range(9):
        page.keyboard.press('Tab')
        order.append(page.locator(':focus').get_attribute('id') or page.locator(':focus').inner_text())
    fields = ['images', 'Files that do not say side and view', 'cropped_png', 'side-unknown', 'field-age',
              'field-er', 'field-histology', 'Compute']  # fmt: skip
    assert order[1:] == fields
