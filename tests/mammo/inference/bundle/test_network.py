"""Networks of a bundle, built from plain data."""

import torch

from mammo.inference.bundle.network import Network


def test_cells_of_a_network_of_one_channel_are_placed() -> None:
    model = dict(
        type='ImageTabClassifier',
        tasks=[dict(name='N', kind='binary')],
        image_size=[64, 64],
        backbone=dict(type='ResNetWs', depth=50, in_channels=1, stem_channels=8, base_channels=8),
        neck=dict(type='TransformerNeck', in_dims=None, pooling_size=1),
        data_preprocessor=dict(type='ClsDataPreprocessor', mean=[0.0], std=[1.0], channels=1),
    )
    network = Network(model, [dict(type='Resize', scale=[64, 64])], torch.device('cpu'))
    assert network.cells is not None
    assert network.cells.cell_px == 32
