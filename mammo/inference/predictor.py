"""A bundle, ready to answer: one exam in, one answer out.

BUNDLE; DICOM or PNG files of one patient, clinical values -> Prediction
"""

import os
import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from scipy.special import expit

from mammo.evaluation.calibration import recalibrate
from mammo.inference.architecture import member_file
from mammo.inference.bundle import Bundle, BundleError, open_bundle
from mammo.inference.exam import (
    Exam,
    ExamError,
    ExamImage,
    Images,
    contradicting_ages,
    read_exam,
)  # fmt: skip
from mammo.inference.fusion import Fusion, Values
from mammo.inference.network import Network, Pass, probs_of
from mammo.inference.prediction import Prediction, Score, score_of
from mammo.inference.views import SIDES
from mammo.patients import of_members, speaking_items
from mammo.preprocess.settings import Settings

IMAGES = 'mammograms'  # name of the model that sees images only, as in tools/cross_validate.py
FUSED = 'fused'


class Predictor:
    """All members of a bundle on one device. Several threads may call ``predict``.

    Example:
        >>> predictor = Predictor.load(bundle)  # the folder of tools/make_bundle.py
        >>> answer = predictor.predict(exam, dict(age=54, er='positive'))  # paths of DICOM or PNG files
        >>> list(answer.tasks)
        ['N', 'LVI', 'size']
        >>> answer.main.low <= answer.main.value <= answer.main.high  # mean, lowest, highest member
        True
        >>> answer.main.decision['positive'] == (answer.main.value >= answer.main.decision['threshold'])
        True
        >>> answer.missing
        ['histology']
        >>> sorted(answer.overlays())  # PNG bytes by side and view
        ['L_CC', 'L_MLO', 'R_CC', 'R_MLO']
    """

    def __init__(self, bundle: Bundle, device: torch.device) -> None:
        model, preprocessing = bundle.json('model.json'), bundle.json('preprocessing.json')
        self.bundle_id, self.card = bundle.id, bundle.read('MODEL_CARD.md').decode()
        self.settings = settings_of(preprocessing['preprocess'])
        self.preprocessed = preprocessing['preprocess'] is not None  # how the PNG of training were made
        self.decisions = bundle.json('decision.json')
        self.members: list[str] = model['members']
        self.network = Network(model['model'], preprocessing['steps'], device)
        shared = bundle.tensors('backbone.safetensors') if 'backbone.safetensors' in bundle.files else {}
        for i in range(len(self.members)):
            own = bundle.tensors(member_file(i))
            self.network.add(own if i else shared | own, member_file(i))
        self.tasks, self.label = self.network.tasks, model['label']
        self.fusion: Fusion | None = None
        if 'clinical.json' in bundle.files:
            weights = [bundle.arrays(f'fusion/{member_file(i)}') for i in range(len(self.members))]
            self.fusion = Fusion(bundle.json('clinical.json'), weights)
        self._lock = threading.Lock()

    @classmethod
    def load(cls, bundle: str | os.PathLike, device: str = 'auto') -> Self:
        """Check every hash, then build; nothing in a bundle is executed.

        Args:
            bundle: folder of tools/make_bundle.py.
            device: ``auto`` is the GPU if there is one.

        Raises:
            BundleError: the bundle is damaged, edited or of another format version.
            ValueError: ``device`` is not there.
        """
        cuda = torch.cuda.is_available()
        if device.startswith('cuda') and not cuda:
            raise ValueError(f'device is {device!r}, but torch finds no GPU; use auto or cpu')
        where = torch.device(('cuda' if cuda else 'cpu') if device == 'auto' else device)
        try:
            return cls(open_bundle(bundle), where)
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
            progress: called with the number of images that the backbones have seen, and of all.

        Raises:
            ExamError: what was given cannot be used; ``reason`` is a code, the message is for the user.
        """
        values = self._clinical(clinical or {})
        if tumor_side not in (None, *SIDES):
            raise ExamError('BAD_SIDE', f'tumor side is {tumor_side!r}, expected L, R or nothing')
        exam = read_exam(
            images, self.settings, cropped_png=not self.preprocessed if cropped_png is None else cropped_png
        )
        used = used_images(exam.images, tumor_side)
        if not any(used):
            raise ExamError('NO_TUMOR_SIDE', f'no image shows the {SIDES[str(tumor_side)]} breast')
        with self._lock:
            passes = self.network([image.pixels for image in exam.images], progress)
        return self._answer(exam, passes, used, values, side_known=tumor_side is not None)

    def _clinical(self, values: Values) -> Any:
        """Frame of one row; None without any known value."""
        if self.fusion is None:
            if values:
                raise ExamError(
                    'CLINICAL_NAME', 'this bundle takes no clinical values: it has no fused model'
                )
            return None
        frame = self.fusion.check(values)
        return None if frame.isna().all(axis=None) else frame

    def _answer(
        self, exam: Exam, passes: list[Pass], used: list[bool], clinical: Any, *, side_known: bool
    ) -> Prediction:
        logits = np.stack([p.logits for p in passes])  # (images, members, tasks)
        scores = probs_of(logits, self.tasks.values()).astype(np.float64)
        tasks = self._by_task(scores[used])
        tasks[self.label] = self._decided(tasks[self.label], IMAGES)
        fused, missing, warnings = None, [], list(exam.warnings)
        if self.fusion and clinical is not None:
            features = logits[used].mean(axis=0)  # FEATURE_POOLING of mammo.patients
            fused_probs = expit(self.fusion.logits(clinical, features, side_known=side_known))
            fused = self._decided(score_of('binary', fused_probs), FUSED)
        if self.fusion:
            names = [v.name for v in self.fusion.schema.variables]
            missing = names if clinical is None else [n for n in names if clinical[n].isna().all()]
            warnings += ['no clinical value: answered from the images alone'] if clinical is None else []
            warnings += contradicting_ages(exam, _age(clinical))
        images = [
            dict(file=i.name, view=i.view, laterality=i.laterality, found_in=i.found_in, used=u,
                 pred_score=dict(zip(self.tasks, s.mean(axis=0).tolist(), strict=True)))
            for i, u, s in zip(exam.images, used, scores, strict=True)
        ]  # fmt: skip
        shown = list(zip(exam.images, passes, strict=True))
        return Prediction(self.bundle_id, self.label, tasks, fused, images, missing, warnings, shown)

    def _by_task(self, scores: np.ndarray) -> dict[str, Score]:
        """(images, members, tasks) -> SPEC 8: mean over members, then max over images, mean of a value."""
        kinds = enumerate(self.tasks.items())
        return {name: score_of(kind, of_members(scores[..., i], kind)) for i, (name, kind) in kinds}

    def _decided(self, score: Score, model: str) -> Score:
        """With what the bundle knows of the model: recalibration, and the decision at its threshold."""
        known: Mapping[str, Any] = self.decisions.get(model) or {}
        if known.get('recalibration'):
            prob = recalibrate(known['recalibration'], np.array([score.value]))[0]
            score = replace(score, recalibrated=float(prob))
        if known.get('threshold') is None:
            return score
        about = {key: value for key, value in known.items() if key != 'recalibration'}
        return replace(score, decision=dict(positive=score.value >= known['threshold'], **about))


def _age(clinical: Any) -> float | None:
    """The clinical age in years, if there is a variable of that name and it is known."""
    if clinical is None or 'age' not in clinical or clinical['age'].isna().all():
        return None
    return float(clinical['age'].iloc[0])


def used_images(images: list[ExamImage], tumor_side: str | None) -> list[bool]:
    """Which images of one exam decide; see mammo.patients."""
    about = [
        dict(patient_id='', laterality=i.laterality, tumor_side=tumor_side, exam_order=i.exam_order)
        for i in images
    ]
    return speaking_items(about).tolist()


def settings_of(preprocess: dict[str, Any] | None) -> Settings:
    """Settings in preprocess.json of the training images -> the same for the images of an exam."""
    names = ('spacing_mm', 'voi', 'for_processing', 'flip_to')
    return Settings(Path('.'), **{name: preprocess[name] for name in names if preprocess})
