"""How many of the faults that make mutate put in were noticed by a test, by module.

mutants/**/*.meta of mutmut -> a Markdown table: module, faults tried, noticed, not tried yet
Command: make mutate, or python tests/torture/mutation_score.py [FOLDER]
"""

import json
import sys
from pathlib import Path

SURVIVED = (0, 33)  # exit codes of mutmut's tests: all passed; no test reaches the fault


def score(meta: Path) -> tuple[int, int, int]:
    """Faults tried, noticed, not tried yet, of one module."""
    codes = list(json.loads(meta.read_text())['exit_code_by_key'].values())
    tried = [code for code in codes if code is not None]
    return len(tried), sum(code not in SURVIVED for code in tried), len(codes) - len(tried)


def main() -> None:
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else 'mutants')
    print('| module | faults tried | noticed | not tried |\n|---|---:|---:|---:|')
    for meta in sorted(folder.rglob('*.meta')):
        tried, noticed, left = score(meta)
        share = f'{noticed} ({noticed / tried:.0%})' if tried else '0'
        if tried + left:
            print(f'| `{meta.relative_to(folder).with_suffix("")}` | {tried} | {share} | {left} |')


if __name__ == '__main__':
    main()
