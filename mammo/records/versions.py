"""Format versions of all records, in one table. What older readers would misread gets a new version.

name of a record -> version that is written; version that was read -> what is wrong with it
"""

from typing import Any

VERSIONS = dict(
    convert_report=1,
    meta=1,
    predictions=1,
)
ALSO_READ: dict[str, tuple[int, ...]] = {}  # older versions that are still understood


def version_problem(record: str, version: Any) -> str | None:
    """What is wrong with the version of a record that was read; None if it is understood.

    Example:
        >>> version_problem('meta', 9)
        'format_version is 9, this release reads 1'
    """
    readable = (*ALSO_READ.get(record, ()), VERSIONS[record])
    if not isinstance(version, bool) and version in readable:
        return None
    return f'format_version is {version!r}, this release reads {" and ".join(map(str, readable))}'
