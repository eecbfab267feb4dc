"""Stubs of sbatch, squeue and scancel that write down what they are asked; squeue answers from a file."""

from pathlib import Path

STUB = '#!/usr/bin/env bash\nprintf "%s\\n" "$@" >> {folder}/{name}.txt\n{answer}\n'


def write_stubs(folder: Path) -> Path:
    """Write them below ``folder``, where NAME.txt will hold their arguments -> what belongs on PATH."""
    answers = dict(sbatch="echo '77;cluster'", squeue=f'cat {folder}/queue', scancel='')
    (folder / 'bin').mkdir()
    for name, answer in answers.items():
        (folder / 'bin' / name).write_text(STUB.format(folder=folder, name=name, answer=answer))
        (folder / 'bin' / name).chmod(0o755)
    (folder / 'queue').touch()
    return folder / 'bin'
