"""The calculator's pages: what they show is what the Predictor says, and bad input gets a clear answer."""

import asyncio
import base64
import errno
import html
import itertools
import json
import logging
import re
import subprocess
import sys
import tempfile
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import httpx
import jsonschema
import numpy as np
import pytest

from mammo.inference.bundle.folder import write_bundle
from mammo.inference.exam.asking import ask
from mammo.inference.making import bundle_files
from mammo.inference.prediction import NOTICE
from mammo.inference.predictor import Predictor
from mammo.inference.refusals import ExamError, Refusal
from mammo.inference.web import app as app_module
from mammo.inference.web import entry as entry_module
from mammo.inference.web import guard, queue
from mammo.inference.web.app import Limits, build_app
from mammo.inference.web.entry import fields, shown_name
from mammo.inference.web.scratch import scratch as scratch_folder
from tests.support.web_server import Browser, left

CLINICAL = dict(age='54', er='positive', histology='lobular')
LIMIT = 30 * 2**20
Films = Callable[..., Path]


@pytest.fixture(scope='module')
def client(predictor: Predictor) -> Iterator[Browser]:
    with Browser(build_app(predictor, Limits(max_bytes=LIMIT)), base_url='http://localhost:7860') as found:
        yield found


@pytest.fixture(scope='module', autouse=True)
def temporary(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp('temporary')
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tempfile, 'tempdir', str(folder))
        yield folder


@pytest.fixture(autouse=True)
def scratch(temporary: Path) -> Iterator[Path]:
    """The folder of temporary files, in which no test leaves any file of an exam."""
    yield temporary
    assert left(temporary) == []


def send(
    client: Browser,
    *files: Path | tuple[str, Path],
    clinical: dict | None = None,
    url: str = '/predict',
    **data: Any,
) -> httpx.Response:
    """Post files, each with the name of its field if it is not ``images``."""
    pairs = [f if isinstance(f, tuple) else ('images', f) for f in files]
    uploads = [(place, (path.name, path.read_bytes())) for place, path in pairs]
    values = {f'clinical.{name}': value for name, value in (clinical or {}).items()} | data
    return client.post(url, data=values, files=uploads or {'images': ('', b'')})


def text_of(response: httpx.Response) -> str:
    """Words of a page, without tags and with single spaces."""
    return ' '.join(html.unescape(re.sub(r'<[^>]+>', ' ', response.text)).split())


def refusal(response: httpx.Response) -> str:
    """The words of the error summary."""
    assert response.status_code == 422
    assert NOTICE in response.text
    assert 'Traceback' not in response.text
    part = response.text.split('role="alert"')[1].split('</section>')[0]
    return ' '.join(html.unescape(re.sub(r'<[^>]+>', ' ', part)).split())


# ---- answers --------------------------------------------------------------------------------------------


def test_the_form_has_every_variable_with_its_unit_range_and_unknown_as_the_default(
    client: Browser,
) -> None:
    page = client.get('/').text
    assert 'Age (years)' in page
    assert '18 to 110 years; empty: unknown' in page
    assert page.count('<option value="">unknown</option>') == 2
    for level in ('negative', 'positive', 'ductal', 'lobular', 'other'):
        assert f'<option value="{level}">{level}</option>' in page
    assert re.search(r'name="tumor_side" value=""[^>]* checked', page)
    named = set(re.findall(r'name="([^"]+)"', page)) - {'viewport'}
    assert named == {'images', 'L_CC', 'L_MLO', 'R_CC', 'R_MLO', 'tumor_side', 'cropped_png',
                     'clinical.age', 'clinical.er', 'clinical.histology'}  # fmt: skip


def test_every_control_of_the_form_has_a_label_and_its_help_exists(client: Browser) -> None:
    page = client.get('/').text
    controls = re.findall(r'<(?:input|select)[^>]* id="([^"]+)"', page)
    assert len(controls) == len(re.findall(r'<(?:input|select)', page)) == 12
    assert set(re.findall(r'<label for="([^"]+)"', page)) == set(controls)
    ids = re.findall(r' id="([^"]+)"', page)
    assert len(ids) == len(set(ids))
    for described in re.findall(r'aria-describedby="([^"]+)"', page):
        assert set(described.split()) <= set(ids)


@pytest.mark.parametrize(
    ('clinical', 'side'), [(CLINICAL, ''), (CLINICAL, 'R'), ({}, 'L'), (dict(age='54'), '')]
)
def test_the_numbers_of_the_page_are_those_of_the_predictor(
    client: Browser, predictor: Predictor, exam: list[Path], clinical: dict, side: str
) -> None:
    response = send(client, *exam, clinical=clinical, tumor_side=side)
    expected = predictor.predict(exam, clinical, tumor_side=side or None)
    assert response.status_code == 200
    page = response.text
    main = re.search(r'id="main-value"><data value="([^"]+)">([^<]+)<', page)
    assert main is not None
    assert float(main[1]) == expected.main.lead
    assert main[2] == f'{100 * expected.main.lead:.1f}%'
    shown = set(map(float, re.findall(r'<data value="([^"]+)"', page)))
    scores = [*expected.tasks.values(), *([expected.fused] if expected.fused else [])]
    assert {v for s in scores for v in (s.value, s.low, s.high)} <= shown
    assert {v for image in expected.images for v in image['pred_score'].values()} <= shown
    words = text_of(response)
    assert ('at or above' if expected.main.decision['positive'] else 'below') + ' the threshold 0.4' in words
    assert 'not a confidence interval' in words
    assert f'4 models: {expected.main.low:.1%} to {expected.main.high:.1%}' in words
    assert words.count('(not used: other side)') == (2 if side else 0)
    for name in expected.missing:
        assert re.search(rf'Not given: [^.]*\b{name}\b', words)
    assert expected.bundle_id in page
    link = re.search(r'download="prediction.json" href="data:application/json;base64,([^"]+)"', page)
    assert link is not None
    offered = json.loads(base64.b64decode(link[1]))
    files = [image.pop('file') for image in offered['images']]
    assert files == [path.name for path in exam]
    said = expected.to_dict()
    assert offered['inputs'].pop('time') <= said['inputs'].pop('time')  # the page was made before
    assert offered == {
        **said,
        'images': [{k: v for k, v in i.items() if k != 'file'} for i in expected.images],
    }


def test_overlays_are_the_pictures_of_the_prediction(
    client: Browser, predictor: Predictor, exam: list
) -> None:
    page = send(client, *exam).text
    found = [base64.b64decode(part) for part in re.findall(r'src="data:image/png;base64,([^"]+)"', page)]
    assert found == list(predictor.predict(exam).overlays().values())
    assert re.findall(r'alt="([a-z]+ breast, [A-Z]+ view)', page) == [
        'left breast, CC view', 'left breast, MLO view', 'right breast, CC view', 'right breast, MLO view'
    ]  # fmt: skip


def test_places_of_the_form_tell_side_and_view(client: Browser, predictor: Predictor, films: Films) -> None:
    bare = films(ImageLaterality=None, ViewPosition=None, ViewCodeSequence=None, SeriesDescription=None)
    error = refusal(send(client, bare))
    assert f'{bare.name}: nothing tells the' in error
    assert 'in the place of its side and view' in error
    assert '<details open>' in send(client, bare).text
    answer = send(client, ('R_MLO', bare))
    assert answer.status_code == 200
    assert 'Right MLO' in text_of(answer)
    assert 'side and view: given' in text_of(answer)
    assert 'the header says L, R was given' in refusal(send(client, ('R_CC', films())))


def test_png_is_used_as_it_is_if_the_user_says_so(client: Browser, predictor: Predictor, png: Path) -> None:
    for options, cropped in ((dict(cropped_png='yes'), True), ({}, False)):
        answer = send(client, png, url='/api/predict', **options).json()
        expected = predictor.predict(png, cropped_png=cropped)
        assert answer['tasks']['N']['value'] == expected.main.value
        assert [i['found_in'] for i in answer['images']] == ['file name']


def test_a_bundle_of_one_model_without_clinical_values_or_thresholds(
    toy: Any, png: Path, tmp_path: Path
) -> None:
    one = dict(list(toy.trained.members.items())[:1])
    write_bundle(
        tmp_path / 'one', bundle_files(toy.trained._replace(members=one, fusions=[], decisions={}), None)
    )
    app = build_app(Predictor.load(tmp_path / 'one', 'cpu'))
    with Browser(app, base_url='http://127.0.0.1') as client:
        form = client.get('/').text
        assert 'no model with clinical values' in form
        assert 'cropped_png' not in form
        words = text_of(send(client, png))
        assert 'There is one model in this bundle' in words
        assert 'no threshold' in words
        assert 'there are images, L_CC' in refusal(send(client, png, unit='x'))
        assert 'takes no clinical values' in refusal(send(client, png, clinical=dict(age='50')))


def test_the_model_card_is_shown_and_html_in_it_is_not_used(
    predictor: Predictor, client: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert '<h1>Model card</h1>' in client.get('/card').text
    odd = '<script>alert(1)</script> [x](javascript:alert(1)) ![y](http://a/b.png)\n\n|a|b|\n|---:|---|\n|1|2|\n'
    monkeypatch.setattr(predictor, 'card', odd)
    page = client.get('/card').text
    assert '&lt;script&gt;alert' in page
    assert '<script>alert' not in page
    assert 'href="javascript' not in page
    assert '<img' not in page
    assert '<td>2</td>' in page
    assert 'style=' not in page


def test_programs_get_json(client: Browser, predictor: Predictor, exam: list[Path]) -> None:
    answer = send(client, *exam, clinical=CLINICAL, url='/api/predict')
    assert answer.headers['content-type'] == 'application/json'
    assert answer.json()['fused']['members'] == predictor.predict(exam, CLINICAL).fused.members
    bad = send(client, exam[0], clinical=dict(age='541'), url='/api/predict')
    assert bad.status_code == 422
    assert bad.json()['reason'] == 'CLINICAL_VALUE'
    assert bad.json()['message'].startswith("age is '541', expected a number from 18 to 110")
    assert bad.json()['remedy'] == Refusal.CLINICAL_VALUE.remedy
    other = client.get('/api/predict').json()
    assert (other['reason'], other['message']) == ('HTTP_405', 'Method Not Allowed')
    assert client.get('/health').json()['bundle_id'] == predictor.bundle_id


def test_text_stands_out_from_its_background(client: Browser) -> None:
    style = client.get('/static/style.css').text
    light, dark = (
        dict(re.findall(r'--([a-z]+): (#[0-9a-f]{6})', part)) for part in re.findall(r':root \{(.*)\}', style)
    )
    assert light.keys() == dark.keys()

    def luminance(color: str) -> float:  # WCAG 2.2, relative luminance
        parts = np.array([int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)])
        linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
        return float(linear @ [0.2126, 0.7152, 0.0722])

    pairs = [(text, ground) for text in ('ink', 'soft', 'blue', 'red') for ground in ('ground', 'paper')]
    for colors, (text, ground) in itertools.product((light, dark), [*pairs, ('notice', 'bar')]):
        low, high = sorted((luminance(colors[text]), luminance(colors[ground])))
        assert (high + 0.05) / (low + 0.05) >= 4.5, (text, ground)


# ---- bad exams ------------------------------------------------------------------------------------------


def test_an_empty_form_asks_for_images_and_keeps_what_was_typed(client: Browser) -> None:
    response = send(client, clinical=CLINICAL, tumor_side='R')
    assert refusal(response).count('No images; give 1 to 32 of one patient.') == 1
    assert 'name="clinical.age" value="54"' in response.text
    assert '<option value="lobular" selected>' in response.text
    assert re.search(r'value="R"[^>]* checked', response.text)
    assert '<title>Error: ' in response.text
    assert refusal(client.post('/predict')).startswith('tabindex') or 'No images' in text_of(
        client.post('/predict')
    )


@pytest.mark.parametrize(
    ('tags', 'message', 'advice'),
    [
        (dict(Modality='CT', BodyPartExamined='HEAD'), "Modality is 'CT'", 'For Presentation'),
        (dict(PresentationIntentType='FOR PROCESSING'), 'For Processing', 'the workstation shows it'),
        (dict(NumberOfFrames=40), '40 frames', 'tomosynthesis is not supported'),
        (dict(PixelData=None), 'no PixelData', 'For Presentation'),
        (dict(PixelData=bytes(2 * 480 * 320)), '', 'Look at the image'),
        (dict(Rows=60000, Columns=60000), '60000 x 60000', 'Take this file out'),
    ],
)
def test_what_is_no_usable_mammogram_is_named_with_what_to_do(
    client: Browser, films: Films, exam: list, tags: dict, message: str, advice: str
) -> None:
    bad = films(1, **tags)
    error = refusal(send(client, *exam[1:], bad, clinical=CLINICAL))
    assert f'{bad.name}: ' in error
    assert message in error
    assert advice in error
    assert 'choose them again' in error


def test_exams_that_do_not_belong_together_are_refused(client: Browser, films: Films, exam: list) -> None:
    assert 'These are images of 2 patients' in refusal(send(client, exam[0], films(1, 'L', 'MLO')))
    assert 'images of several studies or dates' in refusal(
        send(client, films(StudyDate='20200101'), films(view='MLO', StudyDate='20210101'))
    )
    twice = refusal(send(client, exam[0], ('L_CC', exam[0])))
    assert 'are the same image; give it once' in twice
    assert 'no image shows the right breast'.capitalize() in refusal(send(client, exam[0], tumor_side='R'))
    assert "Tumor side is 'X'" in refusal(send(client, exam[0], tumor_side='X'))


def test_one_view_and_two_left_cc_views_are_answered_with_a_note(client: Browser, films: Films) -> None:
    assert 'Only one view of the left breast (CC).' in text_of(send(client, films()))
    both = text_of(send(client, films(), films(SOPInstanceUID='1.2.3')))
    assert '2 images show the left breast in CC; all are used.' in both


def test_files_that_are_no_images_are_refused(client: Browser, tmp_path: Path, png: Path) -> None:
    for name, content, message in (
        ('letter.pdf', b'%PDF-1.7 and so on', 'letter.pdf: neither a DICOM file nor a PNG or JPEG image'),
        ('empty.dcm', b'', 'empty.dcm: '),
        ('L_CC.png', png.read_bytes()[:-200], 'L_CC.png: '),
    ):  # fmt: skip
        path = tmp_path / name
        path.write_bytes(content)
        assert message in refusal(send(client, path))


def test_every_clinical_field_that_is_wrong_is_told_at_the_field(client: Browser, exam: list) -> None:
    response = send(client, exam[0], clinical=dict(age='541', er='maybe', histology='ductal'))
    error = refusal(response)
    assert 'Some clinical values cannot be used.' in error
    assert "age is '541', expected a number from 18 to 110 years, or unknown" in error
    assert "er is 'maybe', expected one of negative, positive, or unknown" in error
    for name in ('age', 'er'):
        assert re.search(rf'id="field-{name}"[^>]* aria-describedby="field-{name}-error', response.text)
        assert f'href="#field-{name}"' in response.text
    assert 'id="field-histology-error"' not in response.text
    assert '<option value="ductal" selected>' in response.text


@pytest.mark.parametrize(
    ('typed', 'remedy'),
    [
        ('1,500', 'or unknown; for a decimal comma write 1.500, for thousands 1500'),
        ('1.500,5', 'or unknown; write a decimal point and no other marks'),
        ('1 500', 'or unknown; write a decimal point and no other marks'),
    ],
)
def test_a_number_that_can_be_read_in_two_ways_is_refused_with_the_remedy(
    client: Browser, predictor: Predictor, exam: list, typed: str, remedy: str
) -> None:
    assert f"age is '{typed}', expected a number from 18 to 110 years, {remedy}" in refusal(
        send(client, exam[0], clinical=dict(age=typed))
    )
    with pytest.raises(ExamError, match=re.escape(remedy)):
        ask(predictor, [str(exam[0])], [], [f'age={typed}'], None, None)


def test_a_decimal_comma_is_a_decimal_point(client: Browser, exam: list) -> None:
    comma, point = (send(client, exam[0], clinical=dict(age=age)) for age in ('54,5', '54.5'))
    assert re.findall(r'<data value="[^"]+"', comma.text) == re.findall(r'<data value="[^"]+"', point.text)


@pytest.mark.parametrize(
    ('data', 'message'),
    [
        ({'clinical.grade': '2'}, 'no clinical variable grade; there are age, er, histology'),
        ({'age': '54'}, 'no field is called age; there are images, L_CC'),
        ({'images': 'a path'}, 'no field is called images'),
        ({'clinical.age': ['54', '55']}, 'a field comes twice'),
        ({'clinical.age': '54', 'clinical.AGE': '55'}, 'given twice'),
    ],
)
def test_fields_that_the_form_does_not_have_are_never_ignored(
    client: Browser, exam: list, data: dict, message: str
) -> None:
    assert message.lower() in refusal(send(client, exam[0], **data)).lower()


def streamed(predictor: Predictor, limits: Limits, body: AsyncIterator[bytes]) -> httpx.Response:
    """Post a body of unknown length, piece by piece as it is asked for."""

    async def run() -> httpx.Response:
        transport = httpx.ASGITransport(build_app(predictor, limits))
        async with httpx.AsyncClient(transport=transport, base_url='http://localhost') as client:
            kind = {'Content-Type': 'multipart/form-data; boundary=x'}
            return await client.post('/predict', content=body, headers=kind)

    return asyncio.run(run())


# ---- names, hosts, sizes, errors ------------------------------------------------------------------------


def test_names_of_files_are_shown_as_text_and_never_used_as_paths(
    client: Browser, exam: list, films: Films, scratch: Path
) -> None:
    evil = '"><script>alert(1)</script>_L_CC.dcm'
    body = exam[0].read_bytes()
    page = client.post('/predict', files=[('images', (evil, body))])
    assert page.status_code == 200
    assert '<script>alert' not in page.text
    assert '&lt;script&gt;_L_CC.dcm' in page.text or 'script&gt;_L_CC.dcm' in page.text
    up = client.post('/predict', files=[('images', ('../../../../upwards.dcm', body))])
    assert up.status_code == 200
    assert '>upwards.dcm<' in up.text
    assert not list(scratch.parent.rglob('upwards*'))
    bad = client.post('/predict', files=[('images', ('<img src=x>.dcm', b'no'))])
    assert '<img src=x' not in bad.text


@pytest.mark.parametrize(
    ('name', 'expected'),
    [
        ('a/b\\c.dcm', 'c.dcm'),
        ('', 'image'),
        ('\x00\n', 'image'),
        ('.', 'image'),
        ('é L_CC.png', 'é L_CC.png'),
    ],
)
def test_shown_names_are_printable(name: str, expected: str) -> None:
    assert shown_name(name) == expected


def test_a_long_name_keeps_its_end() -> None:
    assert shown_name('x' * 300 + '_L_CC.dcm').endswith('x_L_CC.dcm')
    assert len(shown_name('x' * 300)) == 80


def test_values_that_were_typed_are_shown_as_text(client: Browser, exam: list) -> None:
    page = send(client, exam[0], clinical=dict(age='"><script>alert(1)</script>')).text
    assert '<script>alert' not in page


def test_every_answer_has_the_headers_and_the_notice(client: Browser, exam: list) -> None:
    pages = [
        client.get('/'),
        client.get('/card'),
        send(client, exam[0]),
        send(client),
        client.get('/nothing'),
    ]
    pages += [client.get('/', headers=dict(host='evil.example'))]
    for page in [*pages, client.get('/health'), client.get('/static/style.css')]:
        policy = page.headers['content-security-policy']
        assert policy.startswith("default-src 'none'; style-src 'self'; script-src 'self'")
        assert "frame-ancestors 'none'" in policy
        assert 'unsafe' not in policy
        assert page.headers['cache-control'] == 'no-store'
        assert page.headers['x-content-type-options'] == 'nosniff'
        assert page.headers['referrer-policy'] == 'same-origin'
    for page in pages:
        assert NOTICE in page.text
        assert '<html lang="en">' in page.text
        assert len(re.findall('<h1', page.text)) == 1
        assert not re.findall(
            r'(?:src|href|action)="(?!data:|#|/[^/]|/")[^"]*"|style=|<style|\son[a-z]+="', page.text
        )
    assert 'http' not in client.get('/static/style.css').text + client.get('/static/form.js').text


@pytest.mark.parametrize(
    'path', ['/docs', '/redoc', '/static/../app.py', '/static/', '/x', '/exam/x/predict', '/exam/x/again']
)
def test_there_are_no_other_pages(client: Browser, path: str) -> None:
    assert client.get(path).status_code in (404, 405)


@pytest.mark.parametrize(
    'host', ['evil.example', 'evil.example:7860', '127.0.0.1.evil.example', '', '[::1', '0.0.0.0']
)
def test_other_host_names_are_refused(client: Browser, host: str) -> None:
    assert client.get('/', headers=dict(host=host)).status_code == 421
    assert client.post('/predict', headers=dict(host=host)).status_code == 421


@pytest.mark.parametrize('host', ['localhost', '127.0.0.1:7860', '[::1]:7860', 'LOCALHOST:1'])
def test_names_of_this_computer_are_welcome(client: Browser, host: str) -> None:
    assert client.get('/', headers=dict(host=host)).status_code == 200


@pytest.mark.parametrize(
    'headers', [{'Origin': 'http://evil.example'}, {'Origin': 'null'}, {'Sec-Fetch-Site': 'cross-site'},
                {'Sec-Fetch-Site': 'same-site'}, {'Origin': 'http://localhost:1'}]
)  # fmt: skip
def test_forms_of_other_pages_are_refused(client: Browser, exam: list, headers: dict) -> None:
    files = [('images', ('a.dcm', exam[0].read_bytes()))]
    assert client.post('/predict', files=files, headers=headers).status_code == 403
    assert client.post('/api/predict', files=files, headers=headers).json()['reason'] == 'HTTP_403'
    own = {'Origin': 'http://localhost:7860', 'Sec-Fetch-Site': 'same-origin'}
    assert client.post('/predict', files=files, headers=own).status_code == 200


def test_the_page_of_an_answer_has_no_address(client: Browser) -> None:
    response = client.get('/predict', follow_redirects=False)
    assert (response.status_code, response.headers['location']) == (303, '/')


def test_an_upload_that_is_too_large_is_refused_by_its_announced_length(
    client: Browser, scratch: Path
) -> None:
    response = client.post('/predict', content=b'', headers={'Content-Length': str(2**31)})
    assert response.status_code == 413
    assert 'All files together may have 30 MB.' in response.text


def test_an_upload_without_length_is_read_up_to_the_limit_only(predictor: Predictor) -> None:
    sent = 0

    async def body() -> AsyncIterator[bytes]:
        nonlocal sent
        yield b'--x\r\nContent-Disposition: form-data; name="images"; filename="a"\r\n\r\n'
        for _ in range(2**11):  # 2 GB
            sent += 2**20
            yield bytes(2**20)

    response = streamed(predictor, Limits(max_bytes=LIMIT), body())
    assert response.status_code == 413
    assert 'All files together may have 30 MB.' in response.text
    assert LIMIT <= sent <= LIMIT + 2 * 2**20


def test_numbers_of_files_and_fields_and_their_sizes_are_limited(
    client: Browser, predictor: Predictor
) -> None:
    many = [('images', (f'{i}.dcm', b'x')) for i in range(33)]
    assert '33 images; give 1 to 32' in refusal(client.post('/predict', files=many))
    assert client.post('/predict', files=many * 3).status_code == 400
    assert client.post('/predict', data={f'a{i}': '' for i in range(100)}, files=many[:1]).status_code == 400
    assert client.post('/predict', data={'clinical.age': '1' * 20_000}, files=many[:1]).status_code == 400
    broken = client.post('/predict', content=b'no', headers={'Content-Type': 'multipart/form-data'})
    assert broken.status_code == 400
    assert 'cannot be read' in broken.text
    assert len(fields(predictor)) == 10


def test_an_error_of_the_program_gets_a_number_and_tells_nothing_of_the_patient(
    client: Browser, predictor: Predictor, exam: list, monkeypatch: pytest.MonkeyPatch, caplog: Any
) -> None:
    name = 'Doe^Jane'

    def fail(*_: Any, **__: Any) -> None:
        raise RuntimeError(name)

    monkeypatch.setattr(predictor, 'predict', fail)
    response = send(client, exam[0])
    number = re.search(r'incident ([0-9a-f]{8})', response.text)
    assert response.status_code == 500
    assert number is not None
    assert number[1] in caplog.text
    assert 'RuntimeError' in caplog.text
    assert 'in fail' in caplog.text  # where it happened
    assert 'Doe' not in caplog.text + response.text
    monkeypatch.undo()
    assert send(client, exam[0]).status_code == 200


def test_the_log_and_the_answer_hold_nothing_of_header_or_file_name(
    client: Browser, films: Films, caplog: Any
) -> None:
    caplog.set_level(logging.DEBUG, 'mammo.inference')
    tags = dict(
        PatientName='Doe^Jane', PatientID='ID4711', PatientBirthDate='19511231', AccessionNumber='ACC9'
    )
    good = send(client, films(name='Doe_Jane_L_CC.dcm', **tags))
    bad = send(client, films(name='Doe_Jane_2.dcm', PresentationIntentType='FOR PROCESSING', **tags))
    client.get('/Doe?patient=Doe')
    assert (good.status_code, bad.status_code) == (200, 422)
    for text in ('Jane', 'Doe', 'ID4711', '1951', 'ACC9'):
        assert text not in caplog.text
    for text in ('ID4711', '19511231', 'ACC9', 'Doe^Jane'):
        assert text not in good.text + bad.text
    ours = [r.message for r in caplog.records if r.name.startswith('mammo.inference.web')]
    assert re.fullmatch(r'POST /predict 303 \d+\.\d\d s', ours[0])
    assert re.fullmatch(r'GET /exam/\{key\}/predict 200 \d+\.\d\d s', ours[1])
    assert re.fullmatch(r'GET other 404 \d+\.\d\d s', ours[-1])


# ---- many at once ---------------------------------------------------------------------------------------


def together(predictor: Predictor, limits: Limits, exams: list[list[Path]]) -> list[httpx.Response]:
    """Send all exams at the same moment."""

    async def run() -> list[httpx.Response]:
        transport = httpx.ASGITransport(build_app(predictor, limits))
        async with httpx.AsyncClient(transport=transport, base_url='http://localhost', timeout=60) as client:
            posts = [client.post('/api/predict', files=[('images', (p.name, p.read_bytes())) for p in exam])
                     for exam in exams]  # fmt: skip
            return await asyncio.gather(*posts)

    return asyncio.run(run())


def test_requests_at_the_same_time_get_their_own_answers(predictor: Predictor, films: Films) -> None:
    exams = [[films(i, 'L', view) for view in ('CC', 'MLO')] for i in range(3)] * 2
    found = together(predictor, Limits(), exams)
    for response, exam in zip(found, exams, strict=True):
        assert response.json()['tasks'] == json.loads(predictor.predict(exam).to_json())['tasks']


@pytest.mark.parametrize(
    ('limits', 'status', 'text'),
    [
        (Limits(per_address=2), 429, '2 of your exams are being uploaded, wait or are computed'),
        (Limits(n_exams=2), 503, '2 exams are being uploaded, wait or are computed'),
    ],
)
def test_only_so_many_wait_and_the_next_is_told_to_come_again(
    predictor: Predictor, films: Films, limits: Limits, status: int, text: str
) -> None:
    found = together(predictor, limits, [[films()]] * 4)
    assert sorted(r.status_code for r in found) == [200, 200, status, status]
    busy = next(r for r in found if r.status_code == status)
    assert busy.headers['retry-after'] == '30'
    assert busy.json()['message'].startswith(text)


def test_one_exam_is_computed_at_a_time(predictor: Predictor, films: Films, monkeypatch: Any) -> None:
    running, most, original = 0, 0, Predictor.predict

    def counted(*args: Any, **options: Any) -> Any:
        nonlocal running, most
        running += 1
        most = max(most, running)
        try:
            return original(*args, **options)
        finally:
            running -= 1

    monkeypatch.setattr(Predictor, 'predict', counted)
    assert [r.status_code for r in together(predictor, Limits(), [[films()]] * 4)] == [200] * 4
    assert most == 1


def test_an_upload_that_is_too_slow_is_ended(predictor: Predictor, monkeypatch: Any) -> None:
    async def slow() -> AsyncIterator[bytes]:
        yield b'--x\r\nContent-Disposition: form-data; name="images"; filename="a"\r\n\r\n'
        await asyncio.sleep(5)
        yield b'more'

    monkeypatch.setattr(guard, 'GRACE_S', 0.2)
    response = streamed(predictor, Limits(), slow())
    assert response.status_code == 408
    assert 'took too long' in response.text


class Held:
    """Holds Predictor.predict until it is let go, image by image."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.steps, self.begun, original = threading.Semaphore(0), threading.Semaphore(0), Predictor.predict

        def held(*args: Any, progress: Callable[[int, int], None], **options: Any) -> Any:
            def after(i: int, n: int) -> None:
                progress(i, n)
                self.begun.release()
                assert self.steps.acquire(timeout=60)

            return original(*args, progress=after, **options)

        monkeypatch.setattr(Predictor, 'predict', held)


def test_a_page_tells_its_place_in_the_queue_then_progress_then_the_answer(
    client: Browser, predictor: Predictor, exam: list, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app_module, 'PATIENCE_S', 0.05)
    with monkeypatch.context() as patch:
        held = Held(patch)
        pages = [send_on(client, *exam[:2], clinical=CLINICAL) for _ in range(3)]
        assert len(set(pages)) == 3
        assert held.begun.acquire(timeout=60)
        waiting = [client.get(page) for page in pages]
        assert [r.headers['refresh'] for r in waiting] == ['2'] * 3
        assert '1 of 2 images seen' in text_of(waiting[0])
        assert '<progress id="seen" value="1" max="2">' in waiting[0].text
        assert '1 exam comes before it' in text_of(waiting[1])
        assert '2 exams come before it' in text_of(waiting[2])
        held.steps.release(6)
        found = [look(client, page) for page in pages]
    expected = predictor.predict(exam[:2], CLINICAL)
    for page, response in zip(pages, found, strict=True):
        assert f'<data value="{expected.main.lead}">' in response.text
        assert client.get(page).text == response.text  # Back and reload find it again
        assert 'name="clinical.age" value="54"' in client.get(page.replace('predict', 'again')).text


def send_on(client: Browser, *files: Path, **options: Any) -> str:
    """Send an exam -> address of its page, which is not asked for."""
    client.follow_redirects = False
    try:
        response = send(client, *files, **options)
    finally:
        client.follow_redirects = True
    assert response.status_code == 303
    return response.headers['location']


def look(client: Browser, page: str) -> httpx.Response:
    while 'refresh' in (response := client.get(page)).headers:
        pass
    return response


def test_what_is_wrong_with_an_image_is_told_on_its_page_with_what_was_typed(
    client: Browser, films: Films
) -> None:
    page = send_on(client, films(NumberOfFrames=40), clinical=CLINICAL)
    response = look(client, page)
    assert '40 frames' in refusal(response)
    assert 'name="clinical.age" value="54"' in response.text


def test_an_exam_whose_page_was_left_is_dropped_when_its_turn_comes(
    client: Browser, films: Films, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app_module, 'PATIENCE_S', 0.05)
    with monkeypatch.context() as patch:
        held = Held(patch)
        first, second = (send_on(client, films()) for _ in range(2))
        assert held.begun.acquire(timeout=60)
        monkeypatch.setattr(queue, 'LEFT_S', 0)
        held.steps.release()
        assert look(client, first).status_code == 200
        assert look(client, second).status_code == 408


def test_an_answer_is_forgotten(client: Browser, films: Films, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queue, 'KEEP_S', 0.01)
    page = send_on(client, films())
    while (gone := client.get(page)).status_code == 200:  # waits, is computed, is shown
        pass
    assert gone.status_code == 404
    assert 'not kept any longer' in gone.text


def test_only_so_many_answers_are_kept(
    client: Browser, films: Films, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queue, 'KEEP_N', 2)
    pages = []
    for _ in range(3):
        pages.append(send_on(client, films()))
        assert look(client, pages[-1]).status_code == 200
    assert [client.get(page).status_code for page in pages] == [404, 200, 200]


@pytest.mark.parametrize('url', ['/predict', '/api/predict'])
def test_a_full_disk_says_so_and_keeps_no_place(
    client: Browser, films: Films, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, 'No space left on device')

    with monkeypatch.context() as patch:
        patch.setattr(entry_module.shutil, 'copyfileobj', full)
        for _ in range(Limits.per_address + 1):
            response = send(client, films(), url=url)
            assert response.status_code == 507
            assert 'disk of the computer that runs this calculator is full' in text_of(response)
    assert send(client, films(), url=url).status_code == 200


# ---- what programs read ---------------------------------------------------------------------------------


def test_openapi_tells_of_the_routes_for_programs_and_their_answers(
    client: Browser, exam: list, films: Films
) -> None:
    content = client.get('/openapi.json').json()
    assert list(content['paths']) == ['/api/predict']
    post = content['paths']['/api/predict']['post']
    body = post['requestBody']['content']['multipart/form-data']['schema']
    slots, clinical = ['L_CC', 'L_MLO', 'R_CC', 'R_MLO'], [f'clinical.{name}' for name in CLINICAL]
    assert list(body['properties']) == ['images', *slots, 'tumor_side', 'cropped_png', *clinical]
    assert body['properties']['clinical.er']['enum'] == ['', 'negative', 'positive']

    def schema(status: str) -> dict:
        return post['responses'][status]['content']['application/json']['schema'] | dict(
            components=content['components']
        )

    answer = send(client, *exam, clinical=CLINICAL, url='/api/predict').json()
    jsonschema.validate(answer, schema('200'))
    jsonschema.validate(send(client, url='/api/predict').json(), schema('4XX'))
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(answer | dict(model='both'), schema('200'))


# ---- leftovers ------------------------------------------------------------------------------------------


def test_leftovers_of_dead_calculators_only_are_removed_at_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, 'tempdir', str(tmp_path))
    foreign = tmp_path / 'exam-of-a-student'
    foreign.mkdir()
    (foreign / 'notes.txt').write_text('mine')
    (tmp_path / 'exam-linked').symlink_to(foreign)
    code = (
        'import os, tempfile\nfrom mammo.inference.web.scratch import scratch\n'
        f'tempfile.tempdir = {str(tmp_path)!r}\n'
        'with scratch() as folder:\n    (folder / "0").write_text("image")\n    os._exit(9)'
    )
    subprocess.run([sys.executable, '-c', code], check=False)
    assert {path.name for path in left(tmp_path)} == {'0', 'notes.txt'}
    with scratch_folder() as alive:
        (alive / 'image').write_text('of a living one')
        assert {path.name for path in left(tmp_path)} == {'image', 'notes.txt'}
        with scratch_folder() as second:
            assert (alive / 'image').exists()
            assert second != alive
        assert not second.exists()
    assert {path.name for path in tmp_path.iterdir()} == {'exam-of-a-student', 'exam-linked'}


# ---- real images ----------------------------------------------------------------------------------------


@pytest.mark.real_data
def test_a_real_exam_and_a_real_film_are_answered(
    client: Browser, predictor: Predictor, real_data: Path
) -> None:
    files = sorted((real_data / 'nyu_gmic_sample/images').glob('*.png'))
    assert len(files) == 4
    for exam, views in ((files, 4), ([real_data / 'dicom_mg/nema_wg04_MG1_J2KI.dcm'], 1)):
        response = send(client, *exam)
        assert response.status_code == 200
        shown = re.search(r'id="main-value"><data value="([^"]+)"', response.text)
        assert shown is not None
        assert float(shown[1]) == predictor.predict(exam).main.lead
        pictures = re.findall(r'src="data:image/png;base64,([^"]+)"', response.text)
        assert len(pictures) == views
        for picture in pictures:
            drawn = cv2.imdecode(np.frombuffer(base64.b64decode(picture), np.uint8), cv2.IMREAD_COLOR)
            assert min(drawn.shape[:2]) > 100
    raw = real_data / 'dicom_mg/openrem_MG-Im-GE_Seno_1_ForProcessing.dcm'
    assert 'give the For Presentation image' in refusal(send(client, raw))
    malformed = real_data / 'dicom_mg/nema_wg04_MG1_JPLY_malformed.dcm'
    assert 'Export the image again' in refusal(send(client, malformed))
