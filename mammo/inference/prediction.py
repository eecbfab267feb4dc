"""The answer for one exam, as numbers, as JSON and as pictures.

scores of the members, images, attention -> Prediction
"""

import json
from dataclasses import asdict, dataclass, field
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mammo.evaluation.attention import in_breast, on_image, to_draw, with_color_bar
from mammo.evaluation.estimates import in_words
from mammo.inference.bundle.decisions import FUSED, IMAGES
from mammo.inference.bundle.network import Pass
from mammo.inference.exam.images import ExamImage
from mammo.records.versions import VERSIONS

NOTICE = 'For research use only. Not a medical device.'
MODEL_WORDS = {IMAGES: 'from the images alone', FUSED: 'from images and clinical values'}


@dataclass(frozen=True)
class Score:
    """Prob of a binary task or value of a regression task, and how far the members agree."""

    kind: str
    value: float  # mean over members: of the image with the highest prob, or over all images of a value
    sd: float | None  # of the members; None: there is one
    low: float  # of the members, as is high
    high: float
    members: list[float]
    recalibrated: float | None = None  # prob, by logistic recalibration on patients no model has seen
    decision: dict[str, Any] | None = None  # positive, threshold, and what is known of the threshold
    unit: str = ''  # of a regression task
    scale: float = 1.0  # of a regression task: value * scale is in that unit

    @property
    def lead(self) -> float:
        """The one number to show: the calibrated prob, or the value in its unit."""
        if self.kind == 'binary':
            return self.value if self.recalibrated is None else self.recalibrated
        return self.value * self.scale


@dataclass(frozen=True, eq=False)
class Prediction:
    """What a bundle says about one exam; ``tasks`` from the images alone, ``fused`` with clinical values."""

    bundle_id: str
    label: str  # the main task
    model: str  # which one answers: decisions.IMAGES or decisions.FUSED
    tasks: dict[str, Score]
    fused: Score | None
    images: list[dict[str, Any]]  # file, view, laterality, found_in, used, pred_score by task
    missing: list[str]  # inputs that were not given
    warnings: list[str]
    inputs: dict[str, Any]  # clinical, tumor_side, cropped_png, files with SHA-256, time: what it is for
    shown: list[tuple[ExamImage, Pass]] = field(repr=False, default_factory=list)

    @property
    def main(self) -> Score:
        """The answer to the main task: of the fused model where it is known to be the better one."""
        return self.fused if self.fused and self.model == FUSED else self.tasks[self.label]

    def to_dict(self) -> dict[str, Any]:
        """Plain data, see prediction.schema.json; no pixels, and of the headers but view and side."""
        named = dict(
            format_version=VERSIONS['prediction'], notice=NOTICE, bundle_id=self.bundle_id, label=self.label
        )
        named |= dict(model=self.model, prob=self.main.lead)
        tasks = {name: asdict(score) for name, score in self.tasks.items()}
        rest = dict(images=self.images, missing=self.missing, warnings=self.warnings, inputs=self.inputs)
        return named | dict(tasks=tasks, fused=asdict(self.fused) if self.fused else None) | rest

    def to_json(self) -> str:
        """The dict of :meth:`to_dict` as text; not-a-number is refused."""
        return json.dumps(self.to_dict(), indent=1, ensure_ascii=False, allow_nan=False) + '\n'

    def attention(self) -> dict[str, NDArray[np.float64]]:
        """Attention by image name on the image drawn at most 1024 pixels high, (H, W); see ``on_image``."""
        return {name: maps for name, (_, maps) in self._drawn().items()}

    def overlays(self) -> dict[str, bytes]:
        """The breast under the attention of the class token, as PNG, by ``L_CC``; empty without attention."""
        drawn = self._drawn().items()
        pictures = {name: with_color_bar(image, in_breast(image, maps)) for name, (image, maps) in drawn}
        return {n: cv2.imencode('.png', rgb[..., ::-1])[1].tobytes() for n, rgb in pictures.items()}

    def _drawn(self) -> dict[str, tuple[NDArray[np.uint8], NDArray[np.float64]]]:
        drawn: dict[str, tuple[NDArray[np.uint8], NDArray[np.float64]]] = {}
        for image, seen in self.shown:
            if seen.attention is None or seen.axes is None:
                continue
            small = to_draw(image.pixels)
            maps = on_image(seen.attention, *seen.axes, small.shape)
            drawn[_free(f'{image.laterality}_{image.view}', drawn)] = (small, maps)
        return drawn

    def summary(self) -> str:
        """A few readable lines."""
        lines = [f'{NOTICE} Bundle {self.bundle_id[:12]}']
        lines += [f'  {i["laterality"]} {i["view"]:4} {i["file"]}' + ('' if i['used'] else ' (not used)')
                  for i in self.images]  # fmt: skip
        lines += [f'{self.label + ", answer":20} {self.main.lead:.3f} ({MODEL_WORDS[self.model]})']
        named = {f'{self.label}, with clinical values': self.fused} | self.tasks
        lines += ['details:', *(f'  {name:18} {_line(score)}' for name, score in named.items() if score)]
        lines += [explained(self.main.decision)] if self.main.decision else []
        values = [f'{name}={value}' for name, value in self.inputs['clinical'].items()]
        inputs = [*values, f'tumor side {self.inputs["tumor_side"] or "unknown"}', self.inputs['time']]
        lines += [f'given: {", ".join(inputs)}']
        lines += [f'not given: {", ".join(self.missing)}'] if self.missing else []
        return '\n'.join(lines + [f'note: {warning}' for warning in self.warnings])


def score_of(kind: str, members: NDArray) -> Score:
    """Scores of the members (M,) -> their mean and spread.

    Example:
        >>> score = score_of('binary', np.array([0.25, 0.75]))
        >>> score.value, score.low, score.high, round(score.sd, 3)
        (0.5, 0.25, 0.75, 0.354)
    """
    members = members.astype(float)
    sd = float(members.std(ddof=1)) if len(members) > 1 else None
    low, high = float(members.min()), float(members.max())
    return Score(kind, float(members.mean()), sd, low, high, members.tolist())


def explained(decision: dict[str, Any]) -> str:
    """What the decision at the stored threshold means, in plain words."""
    above = 'at or above' if decision['positive'] else 'below'
    called = 'POSITIVE' if decision['positive'] else 'negative'
    unit = decision.get('unit', 'patient')
    whom = f'of the positive {unit}s'
    text = f'{called}: {above} the threshold {decision["threshold"]:.4g}'
    promise = decision.get('promise') or {}
    if promise.get('threshold') is not None:
        text += f', promised: with {promise["confidence"]:.0%} confidence at least '
        text += f'{promise["sensitivity"]:.0%} {whom} are found'
    else:
        text += f', chosen for a sensitivity of {decision["target_sensitivity"]:.0%}'
    text += f', on {decision["chosen_on"]}'
    with_such = 'with their inputs' if decision.get('name') else 'with such inputs'  # name: of a site
    for key, where in (('achieved', with_such), ('tested', f'on {unit}s it was not chosen on')):
        estimate = (decision.get(key) or {}).get('sensitivity') or {}
        if estimate.get('value') is not None:
            text += f'; {where} it found {in_words(estimate, ".1%", "95 % interval ")} {whom}'
    return text


def _line(score: Score) -> str:
    if score.unit:
        return f'{score.lead:.3g} {score.unit}'
    text = f'mean {score.value:.3f}'
    if score.sd is not None:
        text += f'   {len(score.members)} models: {score.low:.3f} to {score.high:.3f}, SD {score.sd:.3f}'
    return text + (f'; recalibrated {score.recalibrated:.3f}' if score.recalibrated is not None else '')


def _free(name: str, taken: dict[str, Any]) -> str:
    number = 1 + sum(key == name or key.startswith(f'{name}_') for key in taken)
    return name if number == 1 else f'{name}_{number}'
