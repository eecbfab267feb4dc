"""Exit codes and what torture tries."""

import inspect

from facts import config, count_of, project, rows, word

from mammo.errors import Exit

PAGE, CLI = 'docs/reliability.md', 'docs/cli.md'
TORTURE = 'tests/torture/run_all.py'


def in_a_row() -> int:
    from mammo.engine.faults.batch_watch import BatchWatchHook

    of_class = inspect.signature(BatchWatchHook).parameters['max_in_a_row'].default
    assert config('configs/_base_/default_runtime.py').default_hooks.batch_watch.max_in_a_row == of_class
    return of_class


def damaged_percent() -> str:
    from dataset.replacement import MAX_DAMAGED_FRAC

    return f'{100 * MAX_DAMAGED_FRAC:g}'


def all_exit_codes() -> str:
    """The page has a row for every code."""
    listed = [int(cells[0]) for cells in rows(CLI) if cells[0].isdigit()]
    assert listed == [code.value for code in Exit], listed
    return '| exit code | |'


def all_mutated_are_listed() -> str:
    """Modules of the table are in the list of pyproject.toml."""
    modules = [cells[0].strip('`') for cells in rows(PAGE, '`') if cells[0].endswith('.py`')]
    unknown = set(modules) - set(project()['tool']['mutation'])
    assert not unknown, unknown
    return word(len(modules)) if len(modules) < 11 else str(len(modules))


TABLE = {
    CLI: [('{}', all_exit_codes)],
    PAGE: [
        ('not finite in {} steps in a row', in_a_row),
        ('more than {} % of them stop the run', damaged_percent),
        ('asks SLURM for the signal {} minutes ahead', lambda: word(
            int(count_of(r'--signal=TERM@(\d+)', 'tools/slurm_train.sh')) // 60)),
        ('and end with code {};', lambda: Exit.STOPPED.value),
        ('| {}, {} | trained; bad input', lambda: (Exit.DONE.value, Exit.BAD_INPUT.value)),
        ('| {} | loss or gradients were not finite', lambda: Exit.NOT_FINITE.value),
        ('| {} | out of memory', lambda: Exit.NO_RESOURCES.value),
        ('| {} | told to stop; `--resume` goes on', lambda: Exit.STOPPED.value),
        ('| {} kills in the middle of saving', lambda: count_of(
            r'kills_while_saving\(math.ceil\((\d+)', TORTURE)),
        ('| {} kills at random moments', lambda: count_of(r'math.ceil\((\d+) \* scale / len', TORTURE)),
        ('| {} single flipped bits', lambda: count_of(r'bit_flips\(math.ceil\((\d+)', TORTURE)),
        ('from each of these {} modules, with', all_mutated_are_listed),
    ],
}  # fmt: skip
