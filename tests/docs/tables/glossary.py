"""The glossary is in order, and has every abbreviation that README and pages use."""

import re

from facts import pages, plain, rows, text

PAGE = 'docs/glossary.md'
GENERATED = {'docs/cli.md', 'docs/changelog.md', 'docs/differences.md'}
ABBREVIATION = re.compile(r'(?<![\w-])[A-Z]{2,}\d*(?![\w-])')
# of everyday computing, and names of journals, sets and packages
NO_TERMS = re.compile(
    'AVX|BMC|BMJ|CBIS|CPU|CSV|DINO|ECML|GPU|HTTP|IEEE|JPEG|JSON|LMDB|MAE|MB|MONOCHROME[12]'
    '|NAME|NFC|PKDD|PNG|README|SHA|SIGTERM|SIGUSR1|SOP|SVG|TLS|TSV|UTF|VALUE|YAML'
)


def words() -> list[str]:
    """First cells, without the head of the table."""
    return [row[0] for row in rows(PAGE)[2:]]


def in_order() -> str:
    """Words rise, whatever their case."""
    odd = [b for a, b in zip(words(), words()[1:], strict=False) if a.lower() > b.lower()]
    assert not odd, f'out of order: {odd}'
    return '# Glossary'


def all_abbreviations() -> str:
    """Those of running text, outside of code, quotes and links."""
    found = set()
    for page in set(pages()) - GENERATED:
        running = re.sub(r'^```.*?^```', '', text(page), flags=re.M | re.S)
        found |= set(ABBREVIATION.findall(re.sub(r'`[^`]*`|"[^"]*"|\]\([^)]*\)', '', running)))
    found = {word for word in found if not NO_TERMS.fullmatch(word)}
    missing = found - set(re.findall(r'\w+', plain(' '.join(words()))))
    assert not missing, f'not explained: {sorted(missing)}'
    return '# Glossary'


TABLE = {PAGE: [('{}', in_order), ('{}', all_abbreviations)]}
