"""What each process computes in the tests of losses on several processes.

python selfsup_ranks.py FOLDER: two gloo processes, results in FOLDER/rank0.pt and rank1.pt
"""

import sys
from pathlib import Path

import torch
import torch.distributed as dist
from torch import nn

from models.selfsup import LatentCrossCorrelationHead, SwAVLoss

VIEWS, ROWS, WIDTH, PROTOTYPES = 4, 8, 6, 5  # ROWS of all processes


def embeddings(step):
    """(VIEWS, ROWS, WIDTH), rows of length 1."""
    rows = torch.randn(VIEWS, ROWS, WIDTH, generator=torch.Generator().manual_seed(step))
    return nn.functional.normalize(rows, dim=2)


def swav_loss(queue_length, epsilon=0.05):
    loss = SwAVLoss(WIDTH, num_crops=[2, 2], num_prototypes=PROTOTYPES, epsilon=epsilon)
    generator = torch.Generator().manual_seed(9)
    loss.prototypes.weight.data = torch.randn(PROTOTYPES, WIDTH, generator=generator)
    loss.queue = torch.zeros(2, queue_length, WIDTH) if queue_length else None
    return loss


def barlow_head():
    return LatentCrossCorrelationHead(in_channels=WIDTH, loss=dict(type='CrossCorrelationLoss'))


class Model(nn.Module):
    """A linear layer before a loss, for DistributedDataParallel."""

    def __init__(self, loss):
        super().__init__()
        self.loss = loss
        self.linear = nn.Linear(WIDTH, WIDTH, bias=False)
        self.linear.weight.data = torch.eye(WIDTH) + 0.1 * torch.ones(WIDTH, WIDTH).triu()

    def forward(self, views):
        z = self.linear(views)  # (VIEWS, n, WIDTH)
        if hasattr(self.loss, 'prototypes'):
            return self.loss(nn.functional.normalize(z, dim=2).flatten(0, 1))
        return self.loss.loss(z[0], z[1])


def run(model, share=slice(None), steps=4):
    """Losses of some steps, gradients of the last, and the queue."""
    losses = []
    for step in range(steps):
        model.zero_grad()
        loss = model(embeddings(step)[:, share])
        loss.backward()
        losses.append(loss.item())
    plain = getattr(model, 'module', model)
    grads = {name: p.grad.clone() for name, p in plain.named_parameters()}
    return dict(losses=losses, grads=grads, queue=getattr(plain.loss, 'queue', None))


def cases():
    return dict(
        barlow=Model(barlow_head()),
        swav=Model(swav_loss(0)),
        swav_queue=Model(swav_loss(2 * ROWS)),
        swav_sharp=Model(swav_loss(2 * ROWS, epsilon=1e-3)),  # prototypes that one process does not use
    )


def process(rank, folder):
    torch.set_num_threads(1)
    dist.init_process_group('gloo', init_method=f'file://{folder}/meeting', rank=rank, world_size=2)
    share = slice(rank * ROWS // 2, (rank + 1) * ROWS // 2)
    ddp = nn.parallel.DistributedDataParallel
    results = {name: run(ddp(model), share) for name, model in cases().items()}
    torch.save(results, Path(folder) / f'rank{rank}.pt')
    dist.destroy_process_group()


if __name__ == '__main__':
    torch.multiprocessing.start_processes(process, args=(sys.argv[1],), nprocs=2, start_method='fork')
