"""README and docs say what is so: numbers, defaults, messages and names are computed and looked for."""

import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
STATEMENTS = runpy.run_path(str(ROOT / 'tests/docs/statements.py'))
ALL = list(STATEMENTS['statements']())
NAMES = runpy.run_path(str(ROOT / 'tests/docs/names.py'))
SITE = runpy.run_path(str(ROOT / 'docs/checks/site.py'))


@pytest.mark.parametrize('page', sorted({statement.page for statement in ALL}))
def test_what_a_page_says_is_so(page: str) -> None:
    assert not [problem for one in ALL if one.page == page and (problem := one.problem())]


def test_a_false_statement_is_found() -> None:
    wrong = STATEMENTS['Statement']('README.md', 'Licence: {}.', lambda: 'MIT')
    assert wrong.problem() == 'README.md does not say: Licence: MIT.'


@pytest.mark.parametrize('check', NAMES['CHECKS'])
def test_what_pages_name_is_there(check: str) -> None:
    assert NAMES['problems'](check) == []


@pytest.mark.parametrize(
    ('check', 'said', 'name'),
    [
        ('files', '`tools/trian.py`', 'tools/trian.py'),
        ('files', '```\npython tools/gone/*.py\n```', 'tools/gone/*.py'),
        ('links', '[page](docs/gone.md#part)', 'docs/gone.md'),
        (
            'options',
            '`tools/split.py --outer 5 --outter 3`',
            "--outter in 'tools/split.py --outer 5 --outter 3'",
        ),
        ('options', '`--no-such`', "--no-such in '--no-such'"),
        ('functions', '```python\nfrom mammo.errors import Exit, Gone\n```', 'mammo.errors.Gone'),
        ('functions', '::: mammo.gone.train', 'mammo.gone.train'),
        ('targets', '`make tset`', 'tset'),
        ('settings', '`--cfg-options model.neck.depth=2 train_cfg.max_epoch=3`', 'train_cfg.max_epoch'),
    ],
)
def test_a_name_that_is_not_there_is_found(
    check: str, said: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    find = NAMES['CHECKS'][check]
    text = find.__globals__['text']
    monkeypatch.setitem(
        find.__globals__, 'text', lambda page: f'{said}\n' if page == 'README.md' else text(page)
    )
    assert list(find('README.md')) == [name]


def test_pages_that_ask_other_hosts_are_found(tmp_path: Path) -> None:
    (tmp_path / 'page.html').write_text(
        '<a href="https://example.org">free</a><script src="own.js"></script>'
        '<script src="https://example.org/a.js"></script><link rel="stylesheet" href="//example.org/a.css">'
    )
    (tmp_path / 'own.css').write_text('p { background: url(own.png) } @import "https://example.org/b.css";')
    (tmp_path / 'own.js').write_text(
        'load("https://unpkg.com/a"); import(`//cdn.example.org/b`); s.src = "https://example.org/c.js"'
        '; go("https://example.org/page") // see https://unpkg.com/d'
    )
    assert list(SITE['asked_of_others'](tmp_path)) == [
        'page.html: <script src=https://example.org/a.js>',
        'page.html: <link href=//example.org/a.css>',
        'own.js: https://unpkg.com/a',
        'own.js: //cdn.example.org/b',
        'own.js: https://example.org/c.js',
        'own.css: https://example.org/b.css',
    ]
