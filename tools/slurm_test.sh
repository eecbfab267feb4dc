#!/usr/bin/env bash
# Test on a SLURM cluster, one task per GPU (GPUS=0: CPU tasks, TASKS of them):
#   [GPUS=8 GPUS_PER_NODE=8 CPUS_PER_TASK=5 SRUN_ARGS=...] bash tools/slurm_test.sh PARTITION JOB_NAME CONFIG CHECKPOINT [options of tools/test.py]
set -euo pipefail
root=$(dirname "${BASH_SOURCE[0]}")/..
partition=${1:-} job_name=${2:-} config=${3:-} checkpoint=${4:?usage: slurm_test.sh PARTITION JOB_NAME CONFIG CHECKPOINT [options]}
# shellcheck source=tools/slurm_request.sh
source "$root/tools/slurm_request.sh"
# shellcheck disable=SC2086  # SRUN_ARGS holds several words
PYTHONPATH="$root${PYTHONPATH:+:$PYTHONPATH}" srun "${request[@]}" ${SRUN_ARGS:-} \
    python -u "$root/tools/test.py" "$config" "$checkpoint" --launcher slurm "${@:5}"
