"""README, tutorial, study file: counts, defaults, figures that stand on other pages."""

import functools
from typing import Any

import yaml
from facts import commands_of, config, count_of, default, project, row, rows, text, value, word

import mammo
from mammo.study.form import Folds, Study

PHANTOMS, CLINICAL, RSNA = (f'docs/results/{name}.md' for name in ('phantoms', 'clinical_nodes', 'rsna'))
METRICS = dict(N='ROC AUC', LVI='ROC AUC', multifocality='ROC AUC', NumPos='R2', tumor_size='R2')
DEMO = 'tools/demo.sh'
PAPER = yaml.safe_load(text('CITATION.cff'))['preferred-citation']
FIELDS = ('out', 'data', 'config', 'labels', 'tasks', 'variables', 'folds', 'seeds', 'options')


@functools.cache
def reachable() -> dict[str, dict[str, float]]:
    from mammo.phantoms.truth import best_reachable

    return {name.split('_r')[0]: sources for name, sources in best_reachable()['best'].items()}


def best(task: str, source: str = 'image') -> str:
    """Best metric that phantoms allow, from the truth that they are drawn from."""
    return f'{reachable()[task][source]:.3f}'


def of_demo(task: str, page: str = PHANTOMS) -> str:
    """Metric and interval of the demo, as the other page has them."""
    return row(page, f'{task}, {METRICS[task]}')[1]


def fused(place: int = 1) -> str:
    """N of images with clinical variables."""
    return row(PHANTOMS, 'both')[place]


def n_patients() -> str:
    return count_of(r'--patients (\d+) --seed 0', DEMO)


def folds_of_demo() -> tuple[int, int]:
    return int(count_of(r'--outer (\d)', DEMO)), int(count_of(r'--inner (\d)', DEMO))


def claim_3() -> list[str]:
    """ROC AUC of the linear image score, of age, of both."""
    linear = rows(RSNA, 'logistic regression on the averaged map')[-1]  # claim 3 comes after claim 2
    return [value(cell) for cell in linear[1:4]]


def clinical_arm(model: str) -> tuple[str, str]:
    """Pooled ROC AUC of a model on METABRIC and on BCNB."""
    metabric, bcnb = (cells for cells in rows(CLINICAL, model) if cells[0] == model)
    return value(metabric[2]), value(bcnb[1])


def torture(*starts: str) -> tuple[str, ...]:
    return tuple(value(row('docs/reliability.md', start)[0]) for start in starts)


def grid_of(name: str) -> tuple[int, int]:
    """Tokens of a config's neck, by height and width."""
    from models import TransformerNeck

    neck = {key: of_key for key, of_key in config(name).model.neck.items() if key != 'type'}
    return TransformerNeck(**neck, out_dims=1).grid


def needed() -> tuple[str, ...]:
    """Fields that a study file must have."""
    assert {*FIELDS, 'pretraining'} == {*Study.model_fields}, 'FIELDS lacks one'
    return tuple(name for name in FIELDS if Study.model_fields[name].is_required())


def of_folds(name: str) -> Any:
    return Folds.model_fields[name].default


DEMO_ROWS = [
    (f'| {task}, {METRICS[task]} | {{}} | {{}} |', lambda task=task: (of_demo(task), best(task)))
    for task in METRICS
]
TABLE = {
    'README.md': [
        *DEMO_ROWS,
        ('*{title}*, {journal} {volume}:{start} ({year})'.format(**PAPER), tuple),
        ('[doi {}](https://doi.org/{})', lambda: (PAPER['doi'],) * 2),
        ('Licence: {}.', lambda: yaml.safe_load(text('CITATION.cff'))['license']),
        ('(Python {} or 3.12, no GPU', lambda: project()['project']['requires-python'].strip('>=')),
        ('conda activate {}`', lambda: yaml.safe_load(text('environment.yml'))['name']),
        ('N with clinical variables, ROC AUC | {} | {} (with them)', lambda: (fused(), best('N', 'both'))),
        ('phantoms, {} patients | N {} of {} reachable, {} of {} with clinical variables',
         lambda: (n_patients(), value(of_demo('N')), best('N'), value(fused()), best('N', 'both'))),
        ('| METABRIC, {} patients; BCNB, {} tested |', lambda: (
            count_of(r'\((\d+) patients, \d+ positive', CLINICAL), count_of(r'(\d+) tested', CLINICAL))),
        ('| MLP {} and {}, logistic {} and {} (', lambda: (
            *clinical_arm('mlp, 25 members'), *clinical_arm('logistic'))),
        ('cancer on {} real women', lambda: count_of(r'breasts of (\d+) women', RSNA)),
        ('RSNA 2022, {} breasts', lambda: count_of(r'^(\d+) breasts of', RSNA)),
        ('images {}, age {}, both {};', lambda: tuple(claim_3())),
        ('mini-MIAS, {} women', lambda: count_of(r'splits the (\d+) women', 'docs/results/mini_mias.md')),
        ('| {} kills while saving, {} resumptions, {} bit flips |',
         lambda: torture('100 kills', '50 kills', '1000 single')),
    ],
    PHANTOMS: [
        *((sentence, lambda task=task: (of_demo(task, 'README.md'), best(task)))
          for task, (sentence, _) in zip(METRICS, DEMO_ROWS, strict=True)),
        ('clinical variables | {} | {} | {} |', lambda: (
            *row(PHANTOMS, 'clinical variables')[1:3], best('N', 'clinical'))),
        ('| images | {} | | {} |', lambda: (of_demo('N'), best('N'))),
        ('| both | {} | {} | {} |', lambda: (fused(), fused(2), best('N', 'both'))),
        ('the clinical variables alone has an AUC of {}, given what the images show {}, given both {},',
         lambda: (best('N', 'clinical'), best('N'), best('N', 'both'))),
        ('{} without labels, on whose patches', lambda: count_of(r'--patients (\d+) --seed 1', DEMO)),
        ('and {} for a {} x {} double cross-validation', lambda: (n_patients(), *folds_of_demo())),
        ('with {} patients in each training set', lambda: int(n_patients()) // 4),
        ('Its {} models are combined', lambda: word(folds_of_demo()[0] * folds_of_demo()[1])),
        ('the token grid at 224 x 128 has {} x {} cells',
         lambda: grid_of('configs/demo/full_breast_224x128_transformer.py')),
    ],
    'docs/tutorial.md': [
        ('{} commands, from the archive to a report', lambda: word(
            len(commands_of('docs/tutorial.md'))).capitalize()),
        ('{} by {} is the default', lambda: (
            word(int(default('tools/split.py', '--outer'))).capitalize(),
            word(int(default('tools/split.py', '--inner'))))),
        ('With {} patients it is full of', lambda: count_of(r'--patients (\d+)', 'docs/tutorial.md')),
    ],
    'docs/study.md': [
        ('usual: {} and {}, stratified by the main task', lambda: (of_folds('outer'), of_folds('inner'))),
        ('| `{}`, `{}`, `{}` | needed |', needed),
        ('| `{}`, `{}`, `{}`, `{}`, `{}`, `{}` | as above |', lambda: FIELDS[len(needed()):]),
        ('default: the first of `tasks`; {} |', lambda: str(of_folds('labelled_only')).lower()),
        ('seeds: {} ', lambda: Study.model_fields['seeds'].default),
    ],
    'docs/changelog.md': [('## {}', lambda: mammo.__version__)],
}  # fmt: skip
