"""Format versions of all records, in one table. What older readers would misread gets a new version.

name of a record -> version that is written; version that was read -> what is wrong with it
"""

from importlib.metadata import PackageNotFoundError, version
from typing import Any

VERSIONS = dict(
    attention=1,
    backbone=1,
    bundle=3,  # 1 had one threshold for all inputs, which is wrong for most; 2 none by pattern
    convert_report=1,
    cross_validate=1,
    feature_cache=1,
    features=2,  # 1 lacks x_both_sides and side_known
    fusion_model=1,
    fusion_set=2,  # 1 has no features of both breasts, and no flag for the tumor's side
    health=1,  # what the web application says of itself
    journal=2,
    made_of=1,  # which networks' outputs a fusion of a cross-validation learned from
    meta=1,
    onnx=1,
    patches=1,
    phantom_truth=1,
    prediction=3,  # 2 had digests of pixels, not of files
    predictions=1,
    preprocess=2,  # its recipe is that of the journal
    report=2,
    split_report=2,
)
# older versions that are still understood
ALSO_READ: dict[str, tuple[int, ...]] = dict(
    bundle=(2,), **dict.fromkeys(('features', 'fusion_set', 'preprocess', 'report'), (1,))
)


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


def installed(*packages: str) -> dict[str, str]:
    """Versions of packages that decide about numbers; those that are not there are left out."""
    versions = {}
    for name in packages:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    return versions
