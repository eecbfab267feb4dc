"""Packing: labels exactly, missing tasks left out, identity kept."""

from typing import Any

import numpy as np
import pytest
import torch
from mmpretrain.registry import TRANSFORMS
from mmpretrain.structures import MultiTaskDataSample

from dataset.transforms.packing import MammoPackMultiTaskInputs
from mammo.engine.scoring.writer import prediction_record
from mammo.errors import UserError
from models.registry import MODELS


def results(**labels: float) -> dict[str, Any]:
    image = np.arange(2 * 4 * 3, dtype=np.uint8).reshape(2, 4, 3)
    return dict(
        img=image, img_path='/x/a.png', img_name='a.png', patient_id='p1', ori_shape=(2, 4), gt_label=labels
    )


def pack(**labels: float) -> MultiTaskDataSample:
    return MammoPackMultiTaskInputs()(results(**labels))['data_samples']


@pytest.mark.parametrize('value', [0.765, 0.0, 1.0, -3.5, 12345.0])
def test_labels_are_float32_and_not_truncated(value: float) -> None:
    label = pack(NumPos=value).NumPos.gt_label
    assert label.dtype == torch.float32
    assert label.shape == (1,)
    assert label.item() == pytest.approx(value)


def test_absent_labels_leave_the_task_out() -> None:
    assert set(pack(N=1.0).tasks) == {'N'}
    assert set(pack().tasks) == set()


def test_names_with_blanks_are_kept() -> None:
    assert pack(**{'Tumor size': 0.2}).get('Tumor size').gt_label.item() == pytest.approx(0.2)


def test_image_is_channel_first_and_exact() -> None:
    inputs = MammoPackMultiTaskInputs()(results())['inputs']
    assert torch.equal(inputs, torch.from_numpy(results()['img']).permute(2, 0, 1))
    assert inputs.is_contiguous()


def test_identity_is_kept_where_it_is_known() -> None:
    sample = pack()
    assert (sample.img_name, sample.patient_id, sample.ori_shape) == ('a.png', 'p1', (2, 4))
    assert 'view' not in sample


def test_what_subgroups_are_made_of_reaches_the_prediction_record() -> None:
    fields = dict(age=61, density='c', manufacturer='GE', site='north', detection='screening', cohort='A')
    sample = MammoPackMultiTaskInputs()(results() | fields)['data_samples']
    record = prediction_record(sample.to_dict())
    assert {key: record[key] for key in fields} == fields
    assert 'tumor_side' not in record


def test_what_a_table_of_images_tells_besides_reaches_the_prediction_record() -> None:
    told = dict(age=61.0, density='c', site=2.0, weight=70.0)
    sample = MammoPackMultiTaskInputs()(results() | dict(clinic_vars=told, site=1.0))['data_samples']
    record = prediction_record(sample.to_dict())
    assert {key: record.get(key) for key in told} == dict(age=61.0, density='c', site=1.0, weight=None)


@pytest.mark.parametrize('clinical', [[61.0, 1.0], [], None])
def test_clinical_values_without_names_as_in_published_meta_files_are_packed(clinical: list | None) -> None:
    handler = dict(type='PackInputs', algorithm_keys=['clinic_vars'])
    transform = MammoPackMultiTaskInputs(task_handlers=dict(N=handler))
    sample = transform(results(N=1.0) | dict(clinic_vars=clinical, cohort='A'))['data_samples']
    assert sample.N.clinic_vars == clinical
    assert sample.cohort == 'A'


def test_published_arguments_work() -> None:
    pack_inputs = TRANSFORMS.build(
        dict(
            type='MammoPackMultiTaskInputs',
            multi_task_fields=['gt_label'],
            task_handlers=dict(N=dict(type='PackInputs'), NumPos=dict(type='PackInputs')),
        )
    )
    sample = pack_inputs(results(N=1.0, NumPos=0.765, LVI=0.0))['data_samples']
    assert {t: sample.get(t).gt_label.item() for t in ('N', 'LVI')} == dict(N=1, LVI=0)
    assert sample.NumPos.gt_label.item() == pytest.approx(0.765)


def test_a_handler_packs_fields_of_the_image_into_its_task() -> None:
    handler = dict(type='PackInputs', meta_keys=['patient_id'])
    pack_inputs = MammoPackMultiTaskInputs(task_handlers=dict(N=handler))
    sample = pack_inputs(results(N=1.0, LVI=0.0))['data_samples']
    assert sample.N.patient_id == 'p1'
    assert sample.N.gt_label.item() == 1
    assert 'patient_id' not in sample.LVI


def test_other_multi_task_fields_are_refused() -> None:
    with pytest.raises(
        UserError, match=r"multi_task_fields is \('gt_label', 'mask'\), expected \('gt_label',\)"
    ):
        MammoPackMultiTaskInputs(multi_task_fields=('gt_label', 'mask'))


@pytest.mark.parametrize('labelled', [True, False])
def test_a_task_may_have_the_name_of_what_is_known_of_an_image(labelled: bool) -> None:
    """Such as age, learned and carried to subgroups: its record then is the task's."""
    head = MODELS.build(dict(type='MultiTaskHead', tasks=[dict(name='age', kind='regression')]))
    item = results(**(dict(age=0.61) if labelled else {})) | dict(age=61.0)
    sample = MammoPackMultiTaskInputs().transform(item)['data_samples']
    feats = (torch.tensor([[0.5]]),)
    loss = head.loss(feats, [sample])['age_loss']
    assert loss.item() == pytest.approx(0.11**2 if labelled else 0.0)
    (predicted,) = head.predict(feats, [sample])
    record = prediction_record(predicted.to_dict())
    assert 'age' not in record
    assert record['tasks']['age']['pred_score'] == 0.5
    assert record['tasks']['age']['gt_label'] == (pytest.approx(0.61) if labelled else None)
