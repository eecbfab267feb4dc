"""Weights of elsewhere under our names: the network here computes what theirs does (timm as oracle)."""

import re

import pytest
import torch
from mmpretrain.registry import MODELS
from torch import Tensor, nn

from models.backbones.weight_rules import renamed

timm = pytest.importorskip('timm')


def both(name: str, config: dict, source: str, **kwargs) -> tuple[nn.Module, nn.Module, set[str]]:
    """A network of timm with random weights, ours with the same, and what was not filled."""
    torch.manual_seed(0)
    theirs = timm.create_model(name, **kwargs).eval()
    for parameter in theirs.parameters():
        nn.init.normal_(parameter, std=0.05)
    ours = MODELS.build(config)
    ours.eval()
    weights = renamed({f'module.backbone.{k}': v for k, v in theirs.state_dict().items()}, source,
                      ours.state_dict())  # fmt: skip
    fresh = ours.load_state_dict(weights, strict=False).missing_keys
    return theirs, ours, {key for key in fresh if 'relative_position_index' not in key}


@pytest.fixture(scope='module')
def image() -> Tensor:
    return torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))


def close(actual: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(actual, expected, atol=1e-3 * float(expected.abs().max()), rtol=1e-3)


@torch.no_grad()
def test_convnext_of_timm(image: Tensor) -> None:
    config = dict(type='ConvNeXt', arch='tiny', out_indices=(3,), gap_before_final_norm=False)
    theirs, ours, fresh = both('convnext_tiny', config, 'timm-convnext')
    assert not fresh
    maps = theirs.forward_features(image)
    close(ours(image)[-1], theirs.head.norm(maps))


@torch.no_grad()
def test_swin_of_timm(image: Tensor) -> None:
    config = dict(type='SwinTransformer', arch='tiny', img_size=224)
    theirs, ours, fresh = both('swin_tiny_patch4_window7_224', config, 'timm-swin')
    assert not fresh
    large = nn.functional.interpolate(image, 224)
    close(ours(large)[-1], theirs.forward_features(large).permute(0, 3, 1, 2))


@torch.no_grad()
def test_plain_vit_with_names_of_dinov2(image: Tensor) -> None:
    config = dict(type='VisionTransformer', arch='dinov2-small', img_size=56, patch_size=14,
                  layer_scale_init_value=1e-5, out_type='featmap')  # fmt: skip
    theirs, ours, fresh = both('vit_small_patch14_dinov2', config, 'dino-vit', img_size=56)
    assert not fresh
    small = image[..., :56, :56]
    tokens = theirs.forward_features(small)[:, 1:]
    close(ours(small)[-1], tokens.transpose(1, 2).reshape(2, 384, 4, 4))


@torch.no_grad()
def test_efficientnet_with_names_of_mammo_clip(image: Tensor) -> None:
    """efficientnet_pytorch itself is not needed: its names are made from timm's, block by block."""
    theirs = timm.create_model('tf_efficientnet_b5').eval()
    ours = MODELS.build(dict(type='EfficientNet', arch='b5', out_indices=(6,)))
    ours.eval()
    state = as_efficientnet_pytorch(theirs.state_dict())
    weights = renamed({f'image_encoder.{k}': v for k, v in state.items()}, 'efficientnet', ours.state_dict())
    assert not ours.load_state_dict(weights, strict=False).missing_keys
    maps = theirs.forward_features(image)
    close(ours(image)[-1], maps)


def as_efficientnet_pytorch(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """timm's names -> those of efficientnet_pytorch, which numbers blocks through."""
    places = list(dict.fromkeys(m[0] for m in (re.match(r'blocks\.\d+\.\d+', k) for k in state) if m))
    plain = {'conv_stem': '_conv_stem', 'bn1': '_bn0', 'conv_head': '_conv_head', 'bn2': '_bn1'}
    first = {'conv_dw': '_depthwise_conv', 'bn1': '_bn1', 'conv_pw': '_project_conv', 'bn2': '_bn2'}
    other = {'conv_pw': '_expand_conv', 'bn1': '_bn0', 'conv_dw': '_depthwise_conv', 'bn2': '_bn1',
             'conv_pwl': '_project_conv', 'bn3': '_bn2'}  # fmt: skip
    squeeze = {'se.conv_reduce': '_se_reduce', 'se.conv_expand': '_se_expand'}
    result = {}
    for key, value in state.items():
        place = re.match(r'blocks\.\d+\.\d+', key)
        part, _, leaf = key.removeprefix(f'{place[0]}.' if place else '').rpartition('.')
        if place:
            names = (first if place[0].startswith('blocks.0.') else other) | squeeze
            result[f'_blocks.{places.index(place[0])}.{names[part]}.{leaf}'] = value
        elif part in plain:
            result[f'{plain[part]}.{leaf}'] = value
    return result


@torch.no_grad()
@pytest.mark.parametrize(
    ('name', 'place', 'more'),
    [
        ('regnety_002', 4, {}),
        ('convnext_atto', 3, {}),  # its stages lie in lists, whose names timm joins by _
        ('swin_tiny_patch4_window7_224', 3, dict(img_size=64, window_size=2)),  # channels last
        ('vit_tiny_patch16_224', 11, dict(img_size=64)),  # tokens, inside another module
    ],
)
def test_any_network_of_timm(image: Tensor, name: str, place: int, more: dict) -> None:
    config = dict(
        type='mammo.TIMMBackbone', model_name=name, features_only=True, out_indices=(place,), **more
    )
    theirs, ours, fresh = both(name, config, 'timm', **more)
    assert not fresh
    maps = ours(image)[-1]
    assert maps.shape[1] == theirs.num_features
    expected = theirs.forward_intermediates(image, indices=[place], intermediates_only=True)[-1]
    close(maps, expected)


def test_resnet_of_torchvision_fills_stem_and_first_stage_of_ours() -> None:
    from torchvision.models import resnet50

    ours = MODELS.build(dict(type='ResNetWs', depth=50, expansion=2)).state_dict()
    weights = renamed(resnet50().state_dict(), 'torchvision-resnet', ours)
    filled = {key for key in ours if key in weights and weights[key].shape == ours[key].shape}
    assert filled == {key for key in ours if key.startswith(('conv1', 'bn1', 'layer1'))}


@pytest.mark.parametrize('order', [('teacher', 'student'), ('student', 'teacher')])
def test_of_a_student_and_its_teacher_the_teacher_is_taken(order: tuple[str, str]) -> None:
    values = dict(student=torch.zeros(2), teacher=torch.ones(2))
    state = {f'{whose}.backbone.cls_token': values[whose] for whose in order}
    assert renamed(state, 'dino-vit', ['cls_token'])['cls_token'].tolist() == [1, 1]
    assert renamed({'student.cls_token': torch.zeros(2)}, 'dino-vit', [])['cls_token'].tolist() == [0, 0]
