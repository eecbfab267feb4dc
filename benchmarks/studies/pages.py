"""Tables of a study on its page.

estimates of reports -> text; lines -> the place between two marks of a page
"""

from pathlib import Path
from typing import Any


def interval(estimate: dict[str, Any], form: str = '.3f') -> str:
    """A value with its interval."""
    low, high = (format(estimate[end], form) for end in ('ci_low', 'ci_high'))
    return f'{estimate["value"]:{form}} ({low} to {high})'


def write_page(page: Path, marks: tuple[str, str], lines: list[str]) -> None:
    """Put lines between the marks of a page."""
    before, _, rest = page.read_text().partition(marks[0])
    after = rest.partition(marks[1])[2]
    page.write_text('\n'.join([before + marks[0], '', *lines, '', marks[1]]) + after)
