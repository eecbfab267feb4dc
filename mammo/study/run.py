"""A study is run: commands whose product is not there yet, one after another.

Study -> OUT/, and OUT/study.json, which tells which command has made what
"""

import json
import shlex
import subprocess
import sys

from mammo.errors import Exit, UserError
from mammo.records.storage.files import write_json
from mammo.study.form import Study
from mammo.study.stages import TOOLS, Step, command_line, steps
from mammo.terminal import say

RECORD = 'study.json'


def run_study(study: Study) -> int:
    """Run what is not done -> 0, or the exit code of the command that failed.

    Raises:
        UserError: a product is there that another command has made.
    """
    record = study.out / RECORD
    done: dict[str, list[str]] = json.loads(record.read_text()) if record.is_file() else {}
    todo = list(steps(study))
    for step in todo:
        _refuse_another(step, done.get(str(step.product)))
    for i, step in enumerate(todo, 1):
        if step.product.exists() and not step.goes_on:
            say(f'{i}/{len(todo)} {step.name}: is done')
            continue
        say(f'{i}/{len(todo)} {step.name}: {command_line(step)}')
        tool, *words = step.words
        code = subprocess.run([sys.executable, str(TOOLS.parent / tool), *words], check=False).returncode
        if code != Exit.DONE:
            say(f'{step.name} ended with exit code {code}; the same command goes on here')
            return code
        done[str(step.product)] = step.words
        write_json(record, done)
    return Exit.DONE


def _refuse_another(step: Step, made_by: list[str] | None) -> None:
    """A product that another command has made; tools that go on compare their settings themselves."""
    if step.product.exists() and not step.goes_on and made_by != step.words:
        how = f'by: {shlex.join(made_by)}' if made_by else 'by something else'
        raise UserError(
            f'{step.product}: made {how}\nThis study asks for: {shlex.join(step.words)}\n'
            'Move the folder away, or take another out'
        )
