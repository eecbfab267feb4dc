#!/usr/bin/env bash
# All that is to be asked of a machine with a GPU, in at most 9 minutes: does it run, does it compute what the CPU
# computes, how fast, and how long does the card wait for data.
# Command: bash benchmarks/gpu_check.sh OUT_DIR   (PYTHON=... for another interpreter than .venv's)
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
out=${1:?usage: bash benchmarks/gpu_check.sh OUT_DIR}
python=${PYTHON:-.venv/bin/python}
mkdir -p "$out"
failed=0

step() { # NAME SECONDS COMMAND ...: its output goes to OUT_DIR/NAME.txt, and its end to the screen
    local name=$1 seconds=$2 code
    shift 2
    timeout "$seconds" "$@" > "$out/$name.txt" 2>&1
    code=$?
    [ "$code" = 0 ] || failed=1
    printf '%-14s exit %s in %s s\n' "$name" "$code" "$SECONDS"
    tail -n 12 "$out/$name.txt"
    SECONDS=0
}

step machine 30 nvidia-smi --query-gpu=name,memory.total,driver_version --format=csv
step installation 60 "$python" -c 'import torch, torchvision, mmengine, mmcv, mmpretrain
print("torch", torch.__version__, "torchvision", torchvision.__version__, "cuda", torch.version.cuda)
print("mmengine", mmengine.__version__, "mmpretrain", mmpretrain.__version__)
assert torch.cuda.is_available(), "torch finds no GPU"
x = torch.randn(4096, 4096, device="cuda"); print(float((x @ x).norm()) > 0, "matrix product")'
step tests 150 "$python" -m pytest -q tests/devices
step throughput 300 "$python" benchmarks/bench_gpu.py --out "$out/gpu.json" --batches 10
exit "$failed"
