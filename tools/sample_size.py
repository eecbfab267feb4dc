# PYTHON_ARGCOMPLETE_OK
"""How many patients a prediction model needs: to be developed, or to be validated.

event rate, ROC AUC, ... -> patients by criterion (Riley et al. 2019, 2020, 2021)
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from mammo.command import command, tool_parser


@command()
def main() -> None:
    """Parse, compute, print one line per criterion."""
    parser = tool_parser(__doc__, 'python tools/sample_size.py --event-rate 0.3 --auc 0.75 --parameters 10')
    add = parser.add_argument
    add('--event-rate', type=float, required=True, help='share of patients with the event, e.g. 0.3')
    add('--auc', type=float, required=True, help='expected ROC AUC')
    add('--parameters', type=int, help='to develop: number of candidate parameters; without it: to validate')
    add('--r2', type=float, help='to develop: expected Cox-Snell R2, instead of that of the AUC')
    add('--shrinkage', type=float, default=0.9, help='to develop: that coefficients need at most')
    add(
        '--lp', type=float, nargs=2, metavar=('MEAN', 'SD'), help='to validate: logit of the risks, if normal'
    )
    add('--oe-width', type=float, default=0.2, help='to validate: 95 %% interval of observed / expected')
    add('--slope-width', type=float, default=0.2, help='to validate: of the calibration slope')
    add('--auc-width', type=float, default=0.1, help='to validate: of the ROC AUC')
    args = parser.parse_args()

    from mammo.evaluation.clinical_use import sample_size

    if args.parameters:
        r2 = args.r2 if args.r2 is not None else sample_size.r2_of_auc(args.event_rate, args.auc)
        result = sample_size.development(args.parameters, args.event_rate, r2, args.shrinkage)
    else:
        predictors = sample_size.normal(*args.lp) if args.lp else None
        widths = (args.oe_width, args.slope_width, args.auc_width)
        result = sample_size.validation(args.event_rate, args.auc, predictors, *widths)
    for row in result['criteria']:
        print(f'{row["n"]:>8} patients  {row["criterion"]}')
    print(f'{result["n"]:>8} patients with {result["n_events"]} events are needed')


if __name__ == '__main__':
    main()
