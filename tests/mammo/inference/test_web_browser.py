"""The calculator in headless Chromium: upload, fill, submit, read; on a desk, on a phone, without scripts."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from mammo.inference.prediction import NOTICE
from mammo.inference.predictor import Predictor
from tests.support.web_server import Server, serving

SWITCHES = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-sync',
            '--disable-background-networking', '--disable-component-update']  # fmt: skip
TIMEOUT_MS = 60_000
LIMIT_MB = 20
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


@pytest.fixture(params=[(1280, True), (360, True), (360, False)], ids=['desk', 'phone', 'phone, no scripts'])
def page(browser: Any, server: Server, request: pytest.FixtureRequest) -> Iterator[Any]:
    """The form; at the end nothing was asked of another host, and no script or style was refused."""
    width, scripts = request.param
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


def test_a_wrong_file_and_a_wrong_value_are_told_at_the_top_and_in_focus(page: Any, tmp_path: Path) -> None:
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
    page.get_by_label('Age (years)').fill('541')
    page.get_by_role('button', name='Compute').click()
    page.get_by_role('link', name='Age').click()
    page.wait_for_selector('#field-age:focus')
    assert page.locator('#field-age').get_attribute('aria-invalid') == 'true'


def test_the_model_card_fits(page: Any) -> None:
    page.get_by_role('link', name='Model card').click()
    page.get_by_role('heading', name='Model card').wait_for()
    fits(page)


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
