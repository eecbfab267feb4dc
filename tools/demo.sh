#!/usr/bin/env bash
# The whole way on phantom patients, on CPU: DICOM -> PNG -> training -> test -> table. Results in demo/.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
config=configs/demo/full_breast_224x128_transformer.py
demo=demo
quiet() { "$@" > "$demo/log.txt" 2>&1 || { tail -n 20 "$demo/log.txt" >&2; exit 1; }; }
mkdir -p $demo

echo '1/4 phantom patients as DICOM, with clinical table and labels'
quiet python tools/make_phantom.py --out-dir $demo/dicom --patients 240 --seed 0 --missing-frac 0.1
echo '2/4 8-bit PNG and meta files'
quiet python tools/phantom_to_png.py --src $demo/dicom --out-dir $demo/phantom
echo '3/4 multi-task training (some minutes; losses in demo/work_dir)'
rm -rf $demo/work_dir
quiet python tools/train.py $config --work-dir $demo/work_dir
best=$(ls $demo/work_dir/best_N_loss_epoch_*.pth)
echo "4/4 validation and test of $best"
for split in val test; do
    quiet python tools/test.py $config "$best" --work-dir $demo/work_dir --out $demo/predictions/$split.json \
        --cfg-options test_dataloader.dataset.ann_file=$split.json
done
python tools/demo_table.py --predictions $demo/predictions --truth $demo/dicom/truth.json
