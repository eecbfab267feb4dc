"""A bundle, ready to answer: one exam in, one answer out.

BUNDLE; DICOM or PNG files of one patient, clinical values -> Prediction
"""

import os
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Self

import numpy as np
import torch
from scipy.special import expit

from mammo.errors import UserError
from mammo.evaluation.cells import Cell
from mammo.inference.bundle.architecture import member_file
from mammo.inference.bundle.decisions import FUSED, IMAGES, Decisions
from mammo.inference.bundle.folder import Bundle, BundleError, open_bundle
from mammo.inference.bundle.fusion import Fusion, Values
from mammo.inference.bundle.network import Network, Pass, probs_of
from mammo.inference.exam.images import Exam, contradicting_ages
from mammo.inference.exam.reading import exam_settings, read_exam
from mammo.inference.exam.request import Inputs, notes
from mammo.inference.exam.samples import one_each, together, used_images
from mammo.inference.exam.views import SIDES, Images
from mammo.inference.prediction import Prediction, Score, score_of
from mammo.inference.refusals import ExamError, Refusal
from mammo.patients import of_members


class Predictor:
    """All members of a bundle on one device. Several threads may call ``predict``.

    Example:
        >>> predictor = Predictor.load(bundle)  # the folder of tools/make_bundle.py
        >>> answer = predictor.predict(exam, dict(age=54, er='positive'))  # paths of DICOM or PNG files
        >>> list(answer.tasks)
        ['N', 'LVI', 'size']
        >>> answer.main.low <= answer.main.value <= answer.main.high  # mean, lowest, highest member
        True
        >>> answer.main.decision['positive'] == (answer.main.lead >= answer.main.decision['threshold'])
        True
        >>> answer.missing
        ['histology']
        >>> sorted(answer.overlays())  # PNG bytes by side and view
        ['L_CC', 'L_MLO', 'R_CC', 'R_MLO']
    """

    def __init__(self, bundle: Bundle, device: torch.device) -> None:
        model, preprocessing = bundle.json('model.json'), bundle.json('preprocessing.json')
        self.bundle_id, self.card = bundle.id, bundle.read('MODEL_CARD.md').decode()
        self.settings = exam_settings(preprocessing['preprocess'])
        self.preprocessed = preprocessing['preprocess'] is not None  # how the PNG of training were made
        self.decisions = Decisions(bundle.json('decision.json'))
        self.members: list[str] = model['members']
        self.network = Network(model['model'], preprocessing['steps'], device)
        shared = bundle.tensors('backbone.safetensors') if 'backbone.safetensors' in bundle.files else {}
        for i in range(len(self.members)):
            weights = bundle.tensors(member_file(i))
            self.network.add(weights if i else shared | weights, member_file(i))
        self.tasks, self.label = self.network.tasks, model['label']
        declared = model['model'].get('tasks') or ()
        self.units = {task['name']: {k: task[k] for k in ('unit', 'scale') if k in task} for task in declared}
        self.fusion: Fusion | None = None
        if 'clinical.json' in bundle.files:
            fitted = [bundle.arrays(f'fusion/{member_file(i)}') for i in range(len(self.members))]
            self.fusion = Fusion(bundle.json('clinical.json'), fitted)
        self._lock = threading.Lock()

    @classmethod
    def load(cls, bundle: str | os.PathLike, device: str = 'auto') -> Self:
        """Check every hash, then build; nothing in a bundle is executed.

        Args:
            bundle: folder of tools/make_bundle.py.
            device: ``auto`` is the GPU if there is one.

        Raises:
            BundleError: the bundle is damaged, edited or of another format version.
            UserError: ``device`` is not there.
        """
        usual = 'cuda' if torch.cuda.is_available() else 'cpu'
        if device.startswith('cuda') and usual == 'cpu':
            raise UserError(f'device is {device!r}, but torch finds no GPU; use auto or cpu')
        try:
            return cls(open_bundle(bundle), torch.device(usual if device == 'auto' else device))
        except (KeyError, TypeError, AttributeError, IndexError) as error:  # consistent, but of another make
            raise BundleError(f'{bundle}: is whole, but not of this release: {error!r}') from None

    @property
    def schema(self) -> list[dict[str, Any]]:
        """Clinical variables: name, label, column, kind, unit, range, levels; [] without a fused model."""
        return self.fusion.describe() if self.fusion else []

    def predict(
        self,
        images: Images,
        clinical: Values | None = None,
        *,
        tumor_side: str | None = None,
        cropped_png: bool | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> Prediction:
        """Score one exam of one patient.

        Args:
            images: paths, or a mapping such as ``{'L_CC': path}`` where headers do not tell side and view.
            clinical: values by name of ``schema``; None, '' and 'unknown' are unknown.
            tumor_side: L or R: only images of that breast decide. None: unknown, all do.
            cropped_png: PNG files are images of tools/preprocess.py and are used as they are. Default:
                only if the bundle does not know how its training images were made.
            progress: called with the number of images, or of several views, that the backbones have seen,
                and of all.

        Raises:
            ExamError: what was given cannot be used; ``reason`` is a code, the message is for the user.
        """
        if tumor_side not in (None, *SIDES):
            raise ExamError(Refusal.BAD_SIDE, f'tumor side is {tumor_side!r}, expected L, R or nothing')
        cropped = not self.preprocessed if cropped_png is None else cropped_png
        inputs = self._inputs(clinical or {}, tumor_side)._replace(cropped_png=cropped)
        exam = read_exam(images, self.settings, cropped_png=cropped)
        used = used_images(exam.images, tumor_side)
        if not any(used):
            raise ExamError(Refusal.NO_TUMOR_SIDE, f'no image shows the {SIDES[str(tumor_side)]} breast')
        samples = together(exam.images, self.network.n_views)
        with self._lock:
            passes = self.network([image.pixels for image in exam.images], progress, samples)
        return self._answer(exam, passes, used, one_each(samples, used), inputs)

    def _inputs(self, values: Values, tumor_side: str | None) -> Inputs:
        if self.fusion is None:
            if values:
                raise ExamError(
                    Refusal.CLINICAL_NAME, 'this bundle takes no clinical values: it has no fused model'
                )
            return Inputs({}, None, tumor_side)
        frame = self.fusion.check(values)
        named = self.fusion.named(values)
        clinical = {str(name): named[str(name)] for name in frame if frame[name].notna().all()}
        return Inputs(clinical, frame if clinical else None, tumor_side)

    def _answer(
        self, exam: Exam, passes: list[Pass], used: list[bool], counted: list[bool], inputs: Inputs
    ) -> Prediction:
        logits = np.stack([p.logits for p in passes])  # (images, members, tasks)
        scores = probs_of(logits, self.tasks.values()).astype(np.float64)
        tasks, label = self._by_task(scores[counted]), self.label
        cell = self.decisions.cell(IMAGES, side_known=inputs.tumor_side is not None)
        tasks[label] = self._decided(tasks[label], cell)
        fused, fused_cell = self._fused(logits[counted], inputs)
        is_better = FUSED not in self.decisions.content or (fused_cell or {}).get('better')
        model, cell = (FUSED, fused_cell) if fused and is_better else (IMAGES, cell)
        missing = [v['name'] for v in self.schema if v['name'] not in inputs.clinical]
        warnings = exam.warnings + contradicting_ages(exam, inputs.age)
        warnings += notes(inputs, len(self.schema), model, cell, self.decisions.site)
        return Prediction(
            self.bundle_id, label, model, tasks, fused, self._images(exam, used, scores), missing, warnings,
            inputs.record(exam), list(zip(exam.images, passes, strict=True)),
        )  # fmt: skip

    def _fused(self, logits: np.ndarray, inputs: Inputs) -> tuple[Score | None, Cell | None]:
        """(images, members, tasks) -> with the clinical values, and what is known of such an input."""
        if self.fusion is None or inputs.values is None:
            return None, None
        features, side_known = logits.mean(axis=0), inputs.tumor_side is not None  # FEATURE_POOLING
        probs = expit(self.fusion.logits(inputs.values, features, side_known=side_known))
        known = inputs.values.notna().iloc[0].tolist()
        cell = self.decisions.cell(FUSED, side_known=side_known, known=known)
        return self._decided(score_of('binary', probs), cell), cell

    def _images(self, exam: Exam, used: list[bool], scores: np.ndarray) -> list[dict[str, Any]]:
        """What is said of each image; its scores are the mean over members."""
        return [
            dict(file=i.name, view=i.view, laterality=i.laterality, found_in=i.found_in, used=u,
                 pred_score=dict(zip(self.tasks, s.mean(axis=0).tolist(), strict=True)))
            for i, u, s in zip(exam.images, used, scores, strict=True)
        ]  # fmt: skip

    def _by_task(self, scores: np.ndarray) -> dict[str, Score]:
        """(images, members, tasks) -> SPEC 8: mean over members, then max over images, mean of a value."""
        return {
            name: replace(score_of(kind, of_members(scores[..., i], kind)), **self.units.get(name, {}))
            for i, (name, kind) in enumerate(self.tasks.items())
        }

    def _decided(self, score: Score, cell: Cell | None) -> Score:
        """With what the bundle knows of such an answer: calibration, and the decision at its threshold."""
        score = replace(score, recalibrated=self.decisions.prob(cell, score.value))
        stated = self.decisions.stated(cell)
        decision = stated and dict(positive=score.lead >= stated['threshold'], **stated)
        return replace(score, decision=decision)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != '_lock'}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _lock=threading.Lock())
