"""Pose search: propose, verify, refine. One function for training, testing and the page.

A search chooses which lattice poses of each image to evaluate; every evaluated image-pose pair is evaluated exactly
once and kept in a table. The table is then the posterior: over any set of evaluated poses ``a``,

    q(a | x) = softmax(log p(a) - loss(x, a))

gives the bound ``E_q[loss] + KL(q || p)``, whose second term is the price of having chosen the pose by looking at
the image. For K equally likely poses the price is at most ``log K``, and evaluating more poses only lowers the
bound. Symmetric shapes keep several right poses in q instead of a winner.

Refinement needs no gradients: a parabola through three losses per parameter finds the minimum of a smooth curve as
well as 20 steps of Adam do (``benchmarks/pose_search.py``). Random restarts with gradient descent is the procedure of
Bidart & Wong 2019 (arXiv:1905.05300); soft assignment over rotations goes back to Frey & Jojic 1999.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from affinevae.pose import PoseGroup

# (image index (n,), lattice cells (n, Q)) -> loss (n,) in nats
PairLoss = Callable[[Tensor, Tensor], Tensor]


class Table(NamedTuple):
    """Every evaluated pose: lattice ``cells`` (B, S, Q) and ``cost`` (B, S) = loss - log p(pose), in nats.

    Slots that an image did not need hold an infinite cost.
    """

    cells: Tensor
    cost: Tensor

    def best(self) -> Tensor:
        """The cheapest cells of each image, ``(B, Q)``."""
        return self.top(1)[:, 0]

    def top(self, k: int) -> Tensor:
        """The ``k`` cheapest cells of each image, ``(B, k, Q)``."""
        index = self.cost.topk(k, dim=1, largest=False).indices
        return self.cells.gather(1, index[..., None].expand(-1, -1, self.cells.shape[-1]))

    def log_posterior(self, temperature: float = 1.0) -> Tensor:
        """log q over the slots, ``(B, S)``; a temperature above 1 spreads it (annealed training)."""
        return torch.log_softmax(-self.cost / temperature, 1)

    def lookup(self, cells: Tensor) -> Tensor:
        """Costs of cells ``(B, M, Q)`` that are in the table, infinite elsewhere: ``(B, M)``."""
        same = (cells[:, :, None] == self.cells[:, None]).all(-1)
        return torch.where(same, self.cost[:, None], torch.inf).amin(-1)


def search(
    loss: PairLoss, group: PoseGroup, proposals: Tensor, rounds: tuple[int, ...] = (), starts: int = 1
) -> Table:
    """Evaluate the proposals, then refine the ``starts`` best of each image.

    Args:
        loss: evaluates pairs of image index and cells.
        group: whose lattice and prior.
        proposals: cells ``(B, M, Q)``; duplicates are evaluated once.
        rounds: refinement steps in cells, coarse to fine; each costs at most ``2 T + 1`` evaluations a start, for
            the T directions in which a pose can move.
        starts: how many proposals to refine.
    """
    empty = Table(proposals[:, :0], torch.empty(len(proposals), 0, device=proposals.device))
    table = evaluate(loss, group, proposals, empty)
    if not rounds:
        return table
    centers = table.top(starts)
    for step in rounds:
        table, centers = _parabola_round(loss, group, table, centers, step)
    return table


def evaluate(loss: PairLoss, group: PoseGroup, cells: Tensor, table: Table) -> Table:
    """Add cells ``(B, M, Q)`` to the table, evaluating only pairs that are not in it yet."""
    batch, count = cells.shape[:2]
    earlier = torch.ones(count, count, dtype=torch.bool, device=cells.device).tril(-1)
    repeated = ((cells[:, :, None] == cells[:, None]).all(-1) & earlier).any(-1)
    new = ~repeated & (table.lookup(cells).isinf() if table.cost.shape[1] else True)
    index = torch.arange(batch, device=cells.device)[:, None].expand(-1, count)[new]
    cost = torch.full((batch, count), torch.inf, device=cells.device)
    if len(index):
        # An exploding pair must lose, not poison the softmax.
        losses = loss(index, cells[new]).nan_to_num(nan=1e30, posinf=1e30)
        cost[new] = losses - group.log_prior(cells[new])
    return Table(torch.cat([table.cells, cells], 1), torch.cat([table.cost, cost], 1))


def neighbours(group: PoseGroup, cells: Tensor, step: int) -> Tensor:
    """Cells one step down and up in each of T directions: ``(B, M, Q) -> (B, M, 2 T, Q)``."""
    eye = torch.eye(group.tangent, device=cells.device) * step
    offset = torch.cat([-eye, eye]).expand(*cells.shape[:2], -1, -1)
    return group.move(cells[:, :, None].expand(-1, -1, 2 * group.tangent, -1), offset)


def parabola(below: Tensor, centre: Tensor, above: Tensor) -> Tensor:
    """Where a parabola through costs at -1, 0, 1 is lowest, in [-1, 1]; the lower end when it is not convex."""
    curve = below - 2 * centre + above
    slope = 0.5 * (below - above)
    vertex = torch.where(curve > 1e-6, slope / curve.clamp_min(1e-6), torch.sign(below - above))
    return vertex.nan_to_num(0.0).clamp(-1, 1)


def _parabola_round(
    loss: PairLoss, group: PoseGroup, table: Table, centers: Tensor, step: int
) -> tuple[Table, Tensor]:
    around = neighbours(group, centers, step)
    table = evaluate(loss, group, around.flatten(1, 2), table)
    offset = vertex_offset(table, centers, around)
    vertex = group.move(centers, offset * step)
    table = evaluate(loss, group, vertex, table)
    return table, _cheapest(table, torch.cat([centers[:, :, None], around, vertex[:, :, None]], 2))


def vertex_offset(table: Table, centers: Tensor, around: Tensor) -> Tensor:
    """For each direction, the parabola's minimum in steps from each centre: ``(B, M, T)``.

    The neighbours must be in the table, as after a refinement round of the same step; a neighbour beyond the
    prior's reach was clamped onto the centre, and that direction stays.
    """
    dim = around.shape[2] // 2
    side = table.lookup(around.flatten(1, 2)).view(*around.shape[:3])
    centre = table.lookup(centers)[..., None].expand(-1, -1, dim)
    offset = parabola(side[..., :dim], centre, side[..., dim:])
    clamped = (around == centers[:, :, None]).all(-1)
    return offset * ~(clamped[..., :dim] | clamped[..., dim:])


def _cheapest(table: Table, cells: Tensor) -> Tensor:
    cost = table.lookup(cells.flatten(1, 2)).view(*cells.shape[:3])
    index = cost.argmin(-1)[..., None, None].expand(-1, -1, 1, cells.shape[-1])
    return cells.gather(2, index).squeeze(2)


def local_maxima(scores: Tensor, neighbourhood: Tensor, count: int) -> Tensor:
    """The ``count`` highest local maxima of scores, ``(B, K) -> (B, count)`` indices, all different.

    ``neighbourhood`` (K, n) lists the entries near each. What has fewer maxima gets the highest other entries instead.
    """
    count = min(count, scores.shape[1])
    around = scores[:, neighbourhood].amax(2)
    span = scores.amax() - scores.amin() + 1
    return torch.where(scores >= around, scores, scores - span).topk(count, 1).indices
