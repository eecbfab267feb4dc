#!/usr/bin/env bash
# The whole way on phantom patients, on CPU: DICOM -> PNG -> training -> test -> fusion -> report. Results in demo/.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
config=configs/demo/full_breast_224x128_transformer.py
demo=demo
quiet() { "$@" > "$demo/log.txt" 2>&1 || { tail -n 20 "$demo/log.txt" >&2; exit 1; }; }
mkdir -p $demo
rm -rf $demo/phantom $demo/work_dir $demo/fusion

echo '1/6 phantom patients as DICOM, with clinical table and labels'
quiet python tools/make_phantom.py --out-dir $demo/dicom --patients 240 --seed 0 --missing-frac 0.1
echo '2/6 8-bit PNG, meta file, and folds by patient'
quiet python tools/preprocess.py $demo/dicom/images.csv --labels $demo/dicom/labels.csv --out-dir $demo/phantom \
    --spacing-mm 0.234375
quiet python tools/split.py $demo/phantom/meta.json --out-dir $demo/phantom/folds --outer 5 --inner 4 --stratify N --labelled-only
fold=folds/0/0
echo '3/6 multi-task training (some minutes; losses in demo/work_dir)'
quiet python tools/train.py $config --work-dir $demo/work_dir --cfg-options \
    train_dataloader.dataset.ann_file=$fold/train.json val_dataloader.dataset.ann_file=$fold/val.json \
    test_dataloader.dataset.ann_file=$fold/test.json
best=$(ls $demo/work_dir/best_N_loss_epoch_*.pth)
echo "4/6 validation and test of $best"
for split in val test; do
    quiet python tools/test.py $config "$best" --work-dir $demo/work_dir --out $demo/predictions/$split.json \
        --cfg-options test_dataloader.dataset.ann_file=$fold/$split.json
done
echo '5/6 fusion with the clinical variables'
quiet python tools/extract_features.py $config "$best" --work-dir $demo/work_dir \
    --ann-file $fold/train.json $fold/val.json $fold/test.json --out $demo/fusion/features.npz
quiet python tools/build_fusion.py --clinical $demo/dicom/clinical.csv --schema configs/clinical/phantom.yaml \
    --features $demo/fusion/features.npz --splits $demo/phantom/$fold --label N --out-dir $demo/fusion/data
for mode in clinical-only clinical-mammo; do
    quiet python mlp.py --data-root $demo/fusion/data --mode $mode --model logistic --work-dir $demo/fusion/$mode
done
echo '6/6 report'
models=(mammograms="$demo/predictions/SPLIT.json" clinical="$demo/fusion/clinical-only/predictions_SPLIT.csv"
    both="$demo/fusion/clinical-mammo/predictions_SPLIT.csv")
options=()
for model in "${models[@]}"; do options+=(--pred "${model/SPLIT/test}" --dev "${model/SPLIT/val}"); done
python tools/demo_table.py --predictions $demo/predictions --truth $demo/dicom/truth.json
echo
python tools/evaluate.py "${options[@]}" --task N --out-dir $demo/report --bootstrap 2000
