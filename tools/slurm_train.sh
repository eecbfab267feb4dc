#!/usr/bin/env bash
# Train on a SLURM cluster, one task per GPU (GPUS=0: CPU tasks, TASKS of them):
#   [GPUS=8 GPUS_PER_NODE=8 CPUS_PER_TASK=5 SRUN_ARGS=...] bash tools/slurm_train.sh PARTITION JOB_NAME CONFIG WORK_DIR [options of tools/train.py]
# Preempted, or within 120 s of the time limit, the run saves its state and ends with code 75. It is then started again
# with --resume: as a batch job by scontrol requeue, otherwise by another srun.
set -euo pipefail
root=$(dirname "${BASH_SOURCE[0]}")/..
partition=${1:-} job_name=${2:-} config=${3:-} work_dir=${4:?usage: slurm_train.sh PARTITION JOB_NAME CONFIG WORK_DIR [options]}
# shellcheck source=tools/slurm_request.sh
source "$root/tools/slurm_request.sh"
stopped=75
resume=()
[ "${SLURM_RESTART_COUNT:-0}" = 0 ] || resume=(--resume)
trap : TERM USR1  # a signal to the whole job is for the training; this script waits for its end
while true; do
    code=0
    # shellcheck disable=SC2086  # SRUN_ARGS holds several words
    PYTHONPATH="$root${PYTHONPATH:+:$PYTHONPATH}" srun "${request[@]}" --signal=TERM@120 ${SRUN_ARGS:-} \
        python -u "$root/tools/train.py" "$config" --work-dir "$work_dir" --launcher slurm "${@:5}" "${resume[@]}" || code=$?
    [ "$code" = "$stopped" ] || exit "$code"
    resume=(--resume)
    if [ -n "${SLURM_JOB_ID:-}" ]; then
        scontrol requeue "$SLURM_JOB_ID"
        exit "$stopped"
    fi
done
