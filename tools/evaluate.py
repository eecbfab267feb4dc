# PYTHON_ARGCOMPLETE_OK
"""Evaluate predictions by patient and write a report for reviewers.

prediction files per model -> DIR/report.json, DIR/report.html, DIR/figures/
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from mammo.command import command, tool_parser
from mammo.evaluation.report.options import FORM, Options, Reading, threshold_range
from mammo.options import at_least, confidence, fraction
from mammo.terminal import made


@command()
def main() -> None:
    """Parse, evaluate, print one line per model and where the page is."""
    example = 'python tools/evaluate.py --pred A=a.json --pred B=b1.pkl,b2.pkl --task N --out-dir report'
    parser = tool_parser(__doc__, example, loads='SciPy and Matplotlib')
    add, reading, usual = parser.add_argument, Reading(), Options()
    add('--pred', action='append', required=True, metavar=FORM, help='test predictions of a model: .json, .pkl, .csv; several of an ensemble; or a cross-validation folder')  # fmt: skip  # noqa: E501
    add('--dev', action='append', default=[], metavar=FORM, help='its development predictions, for threshold and recalibration')  # fmt: skip  # noqa: E501
    add('--task', required=True, help='task to evaluate, e.g. N')
    add('--out-dir', required=True, type=Path, help='folder of the report')
    add('--aggregate', choices=['max', 'mean'], help='over the images of a patient; usually max of a binary task, mean of a value')  # fmt: skip  # noqa: E501
    add('--patient-label', choices=['same', 'max'], default=reading.patient_label, help='of images whose labels differ: an error, or the highest')  # fmt: skip  # noqa: E501
    add('--all-sides', action='store_true', help='also images of the other side than tumor_side')
    add('--all-exams', action='store_true', help='also earlier exams')
    add('--unit', choices=['patient', 'breast'], default=reading.unit, help='whom scores and labels are of')
    add('--gallery', type=Path, help='folder of tools/attention_maps.py: show patients of the first model')
    add('--bootstrap', dest='n_bootstrap', type=at_least(100), default=usual.n_bootstrap, help='resamplings')
    add('--sensitivity', type=fraction, default=usual.sensitivity, help='to keep, for biopsies spared')
    add('--confidence', type=confidence, help='that the true sensitivity is kept, e.g. 0.95; without it, the sensitivity is that of the development patients')  # fmt: skip  # noqa: E501
    add('--threshold-range', type=threshold_range, default='0.01,0.6', help='threshold probabilities of interest, for the decision curve and its mean')  # fmt: skip  # noqa: E501
    add('--subgroup', dest='subgroups', action='append', default=[], metavar='COLUMN', help='column of the predictions, e.g. age, density, manufacturer, site, detection')  # fmt: skip  # noqa: E501
    add('--min-group', type=at_least(1), default=usual.min_group, help='smallest subgroup with estimates')
    add('--kind', choices=['auto', 'binary', 'regression'], default=usual.kind, help='of the task')
    add('--strict', action='store_true', help='refuse to compare models on different patients')
    add('--seed', type=at_least(0), default=usual.seed, help='same seed, same report')
    args = parser.parse_args()

    from mammo.evaluation.report.options import make_evaluation
    from mammo.evaluation.report.run import evaluate, summary_lines

    report = evaluate(make_evaluation(**vars(args)))
    print('\n'.join(summary_lines(report)), args.out_dir / 'report.html', sep='\n')
    made(f'{args.out_dir / "report.html"}, to be opened in a browser, and report.json')


if __name__ == '__main__':
    main()
