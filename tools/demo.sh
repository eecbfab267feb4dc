#!/usr/bin/env bash
# The whole way on phantom patients, on CPU: DICOM -> PNG -> pretraining -> double cross-validation with fusion -> report.
# Results in demo/.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
demo=demo
quiet() { "$@" > "$demo/log.txt" 2>&1 || { tail -n 20 "$demo/log.txt" >&2; exit 1; }; }
rm -rf $demo
mkdir -p $demo
spacing_mm=0.234375

echo '1/6 phantom patients as DICOM: 60 to pretrain on, 320 with labels and a clinical table'
quiet python tools/make_phantom.py --out-dir $demo/archive --patients 60 --seed 1 --id-prefix S --workers 2
quiet python tools/make_phantom.py --out-dir $demo/dicom --patients 320 --seed 0 --missing-frac 0.1 --workers 2
echo '2/6 8-bit PNG and meta files; patches; 2 x 2 folds by patient'
quiet python tools/preprocess.py $demo/archive/dicom --out-dir $demo/unlabelled --spacing-mm $spacing_mm --workers 2
quiet python tools/preprocess.py $demo/dicom/images.csv --labels $demo/dicom/labels.csv --out-dir $demo/phantom \
    --spacing-mm $spacing_mm --workers 2
quiet python tools/extract_patches.py $demo/unlabelled/meta.json --out-dir $demo/patches --size 128 --stride 64 --max-per-image 10
quiet python tools/split.py $demo/phantom/meta.json --out-dir $demo/folds --outer 2 --inner 2 --stratify N --labelled-only
echo "3/6 pretraining (2 minutes; curves in $demo/pretraining/curves.png)"
quiet python tools/train.py configs/demo/barlowtwins_64px_patches.py --work-dir $demo/pretraining
echo "4/6 four models, their ensemble, fusion with the clinical variables, report (some minutes)"
python tools/cross_validate.py configs/demo/full_breast_224x128_barlowtwins_transformer.py --folds $demo/folds \
    --work-dir $demo/cross_validation --devices 2 --pretrain-list $demo/patches/list.txt --bootstrap 2000 \
    --with-fusion configs/clinical/phantom.yaml --clinical $demo/dicom/clinical.csv
echo "5/6 what the images reached, and what they hold"
python tools/demo_table.py --cross-validation $demo/cross_validation --truth $demo/dicom/truth.json
echo '6/6 a bundle of the four models, and its answer for one patient'
quiet python tools/make_bundle.py --cv $demo/cross_validation --preprocess $demo/phantom/preprocess.json --out $demo/bundle
# row TABLE COLUMN VALUE: the first row with that value, as name=value words
row() { python -c 'import csv, sys; print(*(f"{k}={v}" for k, v in next(r for r in csv.DictReader(open(sys.argv[1])) if r[sys.argv[2]] == sys.argv[3]).items() if v))' "$@"; }
labels=$(row $demo/dicom/labels.csv N 1)
patient=${labels#patient_id=} patient=${patient%% *} side=${labels#*laterality=}
values=$(row $demo/dicom/clinical.csv patient_id $patient)
# the first with a positive node; all that is known of her, and the side of the tumor
python tools/predict.py --bundle $demo/bundle $demo/dicom/dicom/${patient}_*.dcm --tumor-side ${side%% *} \
    --clinical ${values#* } --out-dir $demo/answer
echo "The truth about her: $labels"
echo "As a web page: python tools/serve.py --bundle $demo/bundle"
