"""Do README and docs say what is so? Every statement of tests/docs/tables/ is computed and looked for.

tables of page -> (sentence with {} for what is computed, how to compute it) -> what is not there

Run: python tests/docs/statements.py [PAGE ...]
"""

import runpy
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parents[1])]

from facts import plain, text


class Statement(NamedTuple):
    """One sentence of a page, or a part of it."""

    page: str
    sentence: str
    compute: Callable[[], Any]

    def expected(self) -> str:
        """The sentence with what is computed in its places."""
        computed = self.compute()
        return plain(self.sentence.format(*(computed if isinstance(computed, tuple) else (computed,))))

    def problem(self) -> str:
        """What is wrong with it, or ''."""
        try:
            expected = self.expected()
        except (LookupError, AssertionError) as error:
            return f'{self.page}: {self.sentence!r}: {error}'
        return '' if expected in plain(text(self.page)) else f'{self.page} does not say: {expected}'


def statements() -> Iterator[Statement]:
    """All of them, table by table."""
    for path in sorted((HERE / 'tables').glob('*.py')):
        for page, entries in runpy.run_path(str(path))['TABLE'].items():
            yield from (Statement(page, *entry) for entry in entries)


def main() -> int:
    """Print what is not there."""
    asked = sys.argv[1:]
    problems = [one.problem() for one in statements() if not asked or one.page in asked]
    wrong = list(filter(None, problems))
    print('\n'.join([*wrong, f'{len(problems) - len(wrong)} of {len(problems)} statements are true']))
    return int(bool(wrong))


if __name__ == '__main__':
    sys.exit(main())
