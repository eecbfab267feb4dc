#!/usr/bin/env bash
# mmpretrain's own tests of multi-task data, heads, metrics, transforms and pretraining, with our package imported:
# its classes must behave as without it.
#
# Run: bash tests/peers/mmpretrain.sh MMPRETRAIN [options of pytest]
# MMPRETRAIN is a source tree of the installed release with its tests, as the project publishes it (its archives
# for installation hold none).
set -eu
source=$(cd "${1:?usage: bash tests/peers/mmpretrain.sh MMPRETRAIN [options of pytest]}" && pwd)
shift
root=$(cd "$(dirname "$0")/../.." && pwd)
if [ ! -d "$source/tests/test_models" ]; then
    echo "$source: no tests/test_models; give a source tree of mmpretrain with its tests" >&2
    exit 2
fi
cd "$source"
tests=()
for path in test_structures test_datasets/test_datasets.py test_datasets/test_transforms test_evaluation \
    test_models/test_heads.py test_models/test_tta.py test_models/test_losses.py test_models/test_selfsup \
    test_engine/test_hooks/test_swav_hook.py test_engine/test_hooks/test_visualization_hook.py test_visualization; do
    if [ -e "tests/$path" ]; then tests+=("tests/$path"); else echo "not in this release: tests/$path" >&2; fi
done
# -p imports ours before any test; the installed mmpretrain is the one under test
PYTHONPATH="$root" exec "${PYTHON:-$root/.venv/bin/python}" -m pytest -p models -p dataset -p mammo.engine \
    -c /dev/null --rootdir "$source" --import-mode importlib -p no:cacheprovider "${tests[@]}" "$@"
