"""The folded backbone: the stock network's maps, and never those of weights that have changed."""

import copy

import pytest
import torch
from mmpretrain.models.backbones import ResNet, ResNeXt
from mmpretrain.registry import MODELS
from torch import nn

from models.backbones.folding import FoldedNetwork, FusedConv, fold, is_constant
from models.backbones.resnet_ws import ResNetWs

SMALL = dict(stem_channels=8, base_channels=8)
NETWORKS = {
    'width-scaled': lambda: ResNetWs(50, expansion=2, frozen_stages=4, **SMALL),
    'stock 50': lambda: ResNet(50, **SMALL),
    'stock 18': lambda: ResNet(18),
    'deep stem, all stages': lambda: ResNet(
        50, deep_stem=True, avg_down=True, out_indices=(0, 1, 2, 3), **SMALL
    ),
    'groups': lambda: ResNeXt(50, groups=4, width_per_group=2, base_channels=8, stem_channels=8),
    'group norm': lambda: ResNet(50, norm_cfg=dict(type='GN', num_groups=2), **SMALL),
    'memory-saving': lambda: ResNetWs(50, expansion=2, with_cp=True, **SMALL),
    'dilated': lambda: ResNet(50, strides=(1, 2, 2, 1), dilations=(1, 1, 1, 2), **SMALL),
}
TASKS = [dict(name='N', kind='binary'), dict(name='NumPos', kind='regression')]
NECK = dict(type='TransformerNeck', in_dims=128, head_dim=4, map_size=(4, 2), pooling_size=4)


@torch.no_grad()
def with_statistics(network: nn.Module) -> nn.Module:
    """Batch norms as after training: no statistic is 0 or 1."""
    generator = torch.Generator().manual_seed(0)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1, generator=generator)
            module.running_var.uniform_(0.5, 2, generator=generator)
            module.weight.uniform_(0.5, 1.5, generator=generator)
            module.bias.normal_(0, 0.1, generator=generator)
    return network


def backbone(name: str = 'width-scaled') -> nn.Module:
    torch.manual_seed(0)
    network = with_statistics(NETWORKS[name]())
    network.eval()
    return network


def classifier(**backbone: object) -> nn.Module:
    torch.manual_seed(0)
    config = dict(type='ResNetWs', depth=50, expansion=2, **{**SMALL, **backbone})
    model = MODELS.build(dict(type='ImageTabClassifier', backbone=config, neck=NECK, tasks=TASKS))
    return with_statistics(model)


def images(n: int = 2) -> torch.Tensor:
    return torch.rand(n, 3, 128, 64, generator=torch.Generator().manual_seed(1)) * 2 - 1


@pytest.mark.parametrize('name', NETWORKS)
def test_folded_network_gives_the_maps_of_the_stock_one(name: str) -> None:
    network = backbone(name)
    with torch.no_grad():
        expected, found = network(images()), FoldedNetwork()(network, images())
    assert len(found) == len(expected)
    for of_stock, of_folded in zip(expected, found, strict=True):
        torch.testing.assert_close(of_folded, of_stock, atol=1e-5, rtol=0)
        assert of_stock.abs().max() > 0.1  # the bound says something


@pytest.mark.parametrize('name', ['width-scaled', 'stock 50', 'deep stem, all stages'])
def test_no_batch_norm_relu_or_sum_is_left(name: str) -> None:
    folded = fold(backbone(name))
    assert [node.target for node in folded.graph.nodes if node.op == 'call_function'] == []
    left = {type(module) for module in folded.modules() if not list(module.children())}
    assert left <= {FusedConv, nn.MaxPool2d, nn.AvgPool2d}


def test_where_nothing_fuses_the_result_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    network = backbone()
    with torch.no_grad():
        fused = fold(network)(images())[0]
        monkeypatch.setattr('models.backbones.fused_conv._fuses_on_cpu', lambda _: False)
        plain = fold(network)(images())[0]
    torch.testing.assert_close(plain, fused, atol=1e-5, rtol=0)


def test_equal_channels_are_read_once_with_the_same_result(monkeypatch: pytest.MonkeyPatch) -> None:
    network, grey = backbone(), images()[:, :1]
    read = []
    forward = FusedConv._in_one_pass
    monkeypatch.setattr(
        FusedConv, '_in_one_pass', lambda self, x, *a: read.append(x.shape[1]) or forward(self, x, *a)
    )
    with torch.no_grad():
        three = FoldedNetwork()(network, grey.repeat(1, 3, 1, 1))[0]
        first_of_three = read[0]
        read.clear()
        one = FoldedNetwork()(network, grey.expand(-1, 3, -1, -1))[0]
    torch.testing.assert_close(one, three, atol=1e-5, rtol=0)
    assert (first_of_three, read[0]) == (3, 1)


def test_autocast_gives_maps_of_its_type_near_those_in_float32() -> None:
    network, folded = backbone(), FoldedNetwork()
    with torch.no_grad():
        exact = folded(network, images())[0]
        with torch.autocast('cpu', torch.bfloat16):
            rough, stock = folded(network, images())[0], network(images())[0]
        again = folded(network, images())[0]
    assert rough.dtype == stock.dtype == torch.bfloat16
    assert (rough - exact).abs().max() <= 2 * (stock - exact).abs().max()
    assert torch.equal(again, exact)


@pytest.mark.parametrize('change', ['load', 'in place', 'new tensor', 'statistics'])
def test_changed_weights_are_folded_anew(change: str) -> None:
    network, folded = backbone(), FoldedNetwork()
    with torch.no_grad():
        before = folded(network, images())[0]
        if change == 'load':
            state = {key: value * 1.5 for key, value in network.state_dict().items()}
            network.load_state_dict(state)
        elif change == 'in place':
            network.conv1.weight.mul_(1.5)
        elif change == 'new tensor':
            network.conv1.weight.data = network.conv1.weight.data * 1.5
        else:
            network.bn1.running_var.mul_(1.5)
        after = folded(network, images())[0]
        torch.testing.assert_close(after, network(images())[0], atol=1e-5, rtol=0)
    assert not torch.allclose(before, after, atol=1e-3)


def test_unchanged_weights_are_folded_once() -> None:
    network, folded = backbone(), FoldedNetwork()
    with torch.no_grad():
        copies = [folded(network, images()) and folded._copies[torch.float32] for _ in range(2)]
    assert copies[0] is copies[1]


def test_a_network_that_learns_is_not_folded() -> None:
    network = NETWORKS['stock 50']()
    network.eval()
    assert not is_constant(network, images())  # weights take gradients
    with torch.no_grad():
        assert is_constant(network, images())
        network.train()
        assert not is_constant(network, images())  # batch norms take statistics
    frozen = backbone().train()
    assert is_constant(frozen, images())
    assert not is_constant(frozen, images().requires_grad_())  # attribution to pixels
    with torch.no_grad():
        other = nn.Sequential(nn.Conv2d(3, 3, 1), nn.GELU())
        assert not is_constant(other, images())  # a layer that has no folded form


def test_training_of_a_frozen_backbone_gives_the_neck_the_gradients_of_the_stock_path() -> None:
    model = classifier(frozen_stages=4).train()
    for module in model.neck.modules():
        module.eval()  # no dropout
    gradients = []
    for maps in (model.maps, model.backbone):
        model.zero_grad()
        model.neck(maps(images()))[0].square().sum().backward()
        gradients.append([p.grad.clone() for p in model.neck.parameters() if p.grad is not None])
    assert len(gradients[0]) == len(gradients[1]) > 5
    for ours, stock in zip(*gradients, strict=True):
        torch.testing.assert_close(ours, stock, atol=1e-4, rtol=1e-4)
    assert all(p.grad is None for p in model.backbone.parameters())


def test_training_of_the_whole_network_reaches_the_first_convolution() -> None:
    model = classifier().train()
    model.extract_feat(images())[0].square().sum().backward()
    assert model.backbone.conv1.weight.grad.abs().sum() > 0


def test_folding_adds_nothing_to_the_state_dict() -> None:
    model = classifier().eval()
    before = set(model.state_dict())
    with torch.no_grad():
        model.extract_feat(images())
    assert model.folded._copies
    assert set(model.state_dict()) == before


def test_a_copy_of_a_model_follows_its_own_weights() -> None:
    model = classifier().eval()
    with torch.no_grad():
        model.extract_feat(images())
        twin = copy.deepcopy(model)
        twin.backbone.conv1.weight.mul_(2)
        torch.testing.assert_close(twin.maps(images())[0], twin.backbone(images())[0], atol=1e-5, rtol=0)


def test_weights_set_behind_torchs_back_count_from_the_next_validation() -> None:
    model = classifier().eval()  # as mmengine's averaging hook sets them before each validation
    with torch.no_grad():
        model.maps(images())
        model.backbone.conv1.weight.data.mul_(2)
        model.eval()
        torch.testing.assert_close(model.maps(images())[0], model.backbone(images())[0], atol=1e-5, rtol=0)


def test_maps_as_inputs_give_what_images_give() -> None:
    model = classifier().eval()
    with torch.no_grad():
        expected = model.extract_feat(images())[0]
        (maps,) = model.extract_feat(images(), stage='backbone')
        model.from_maps = True
        assert torch.equal(model.extract_feat(maps.clone())[0], expected)


def test_an_unknown_stage_is_named() -> None:
    with pytest.raises(ValueError, match=r"stage is 'head', expected one of"):
        classifier().extract_feat(images(), stage='head')


def test_an_exported_model_has_the_plain_network() -> None:
    model = classifier().eval()
    with torch.no_grad():
        program = torch.export.export(model, (images(),), strict=False)
        exported, expected = program.module()(images()), model(images())
    torch.testing.assert_close(exported, expected, atol=1e-5, rtol=0)  # (B, tasks)


@pytest.mark.slow
def test_compiled_backbone_gives_the_same_maps() -> None:
    network = with_statistics(ResNet(18, num_stages=1, strides=(1,), dilations=(1,), out_indices=(0,)))
    network.eval()
    with torch.no_grad():
        compiled = FoldedNetwork(compiled=True)(network, images())[0]
        torch.testing.assert_close(compiled, network(images())[0], atol=1e-5, rtol=0)
