"""docs/cli.md is what the tools say of themselves.

mlp.py, tools/**.py --help -> docs/cli.md
"""

import argparse
import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / 'docs/cli.md'
HEAD = """# Commands

Written by `python docs/checks/cli.py` from what each command says with `--help`. Results go to standard
output, all else to standard error.

The Tab key completes options and their values in bash and zsh after `pip install argcomplete` and
`activate-global-python-argcomplete`.

| exit code | |
|---|---|
| 0 | done |
| 1 | ran, but made nothing, or not all that was asked for |
| 2 | a file, value, option or folder that cannot be used; one message says which, and what to do |
| 3 | training diverged |
| 4 | memory ran out, or a worker was killed |
| 75 | told to stop by a signal; the state is saved, and `--resume` goes on |
| 130 | Ctrl-C; one line says how to go on |

A config is Python code and is executed: run only configs you trust. Checkpoints are not executed.

Scripts that start the Python commands on several processes, with the same options behind their own arguments:

```text
bash tools/dist_train.sh CONFIG PROCESSES          GPUs, or CPU processes, of one machine; on several machines
bash tools/dist_test.sh CONFIG CHECKPOINT PROCESSES  with NNODES, NODE_RANK, MASTER_ADDR, PORT
bash tools/slurm_train.sh PARTITION JOB CONFIG WORK_DIR      GPUS=8, or GPUS=0 TASKS=4 for CPU tasks
bash tools/slurm_test.sh PARTITION JOB CONFIG CHECKPOINT
```
"""


def commands() -> list[str]:
    """Paths of all commands, relative to the root of the project."""
    found = sorted((ROOT / 'tools').glob('*.py')) + sorted((ROOT / 'tools/dataset_converters').glob('*.py'))
    return ['mlp.py', *(path.relative_to(ROOT).as_posix() for path in found)]


def help_of(command: str) -> str:
    """What a command says with --help, 100 columns wide."""
    run = subprocess.run(
        [sys.executable, command, '--help'],
        cwd=ROOT,
        env=os.environ | dict(COLUMNS='100'),
        capture_output=True,
        text=True,
        check=True,
    )
    return run.stdout.strip()


def sections() -> Iterator[str]:
    """The page, part by part."""
    yield HEAD
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for command, text in zip(commands(), pool.map(help_of, commands()), strict=True):
            yield f'## {command}\n\n```text\n{text}\n```\n'


def main() -> None:
    """Write the page."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    PAGE.write_text('\n'.join(sections()), encoding='utf-8')


if __name__ == '__main__':
    main()
