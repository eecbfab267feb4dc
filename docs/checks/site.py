"""Do the built pages work offline? No script, style, font or picture of theirs may be from elsewhere.

site/ of mkdocs -> what is asked of other hosts

Run: make docs, or python docs/checks/site.py after it
"""

import re
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

SITE = Path(__file__).resolve().parents[2] / 'site'
ELSEWHERE = re.compile(r'(https?:)?//')
# hosts of packages and fonts; addresses of comments and of links are free
IN_SCRIPT = re.compile(
    r'["\'`]((?:https?:)?//(?:unpkg\.com|cdn\.|cdnjs\.|esm\.|fonts\.)[^"\'`]*|(?:https?:)?//[^"\'`\s]*\.m?js)["\'`]'
)
IN_STYLE = re.compile(r'(?:url\(|@import)\s*["\']?((?:https?:)?//[^"\')\s]*)')


class Asked(HTMLParser):
    """What a browser fetches by itself when it opens a page; links that people follow are free."""

    def __init__(self, content: str) -> None:
        super().__init__()
        self.addresses: list[str] = IN_STYLE.findall(content)
        self.feed(content)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            is_fetched = name in ('src', 'srcset', 'poster', 'data') or (tag == 'link' and name == 'href')
            if is_fetched and ELSEWHERE.match(value or ''):
                self.addresses.append(f'<{tag} {name}={value}>')


def asked_of_others(site: Path) -> Iterator[str]:
    """File and address of what is not in the folder."""
    for path in sorted(site.rglob('*.html')):
        yield from (f'{path.relative_to(site)}: {name}' for name in Asked(path.read_text('utf-8')).addresses)
    for path in sorted(site.rglob('*.js')):
        yield from (
            f'{path.relative_to(site)}: {name}' for name in IN_SCRIPT.findall(path.read_text('utf-8'))
        )
    for path in sorted(site.rglob('*.css')):
        yield from (f'{path.relative_to(site)}: {name}' for name in IN_STYLE.findall(path.read_text('utf-8')))


def main() -> int:
    """Print them."""
    found = list(asked_of_others(SITE))
    sys.stderr.write(''.join(f'from elsewhere: {line}\n' for line in found))
    return int(bool(found))


if __name__ == '__main__':
    sys.exit(main())
