"""Muon: momentum whose step, for the kernels of a network, has all its singular values brought near one."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn

# Of a quintic that pulls singular values in (0, 1] to about one in five rounds (Jordan et al. 2024).
QUINTIC, ROUNDS = (3.4445, -4.7750, 2.0315), 5


class Muon(torch.optim.Optimizer):
    """Nesterov momentum for all parameters of a network; for its kernels, seen as matrices, orthogonalised.

    A kernel (O, I, k, k) is the matrix (O, I k^2); one of a single input channel (depthwise) mixes none, and is a
    matrix of one row for each filter. A step then goes equally far in every direction of the matrix, not far in the
    few that dominate a gradient, and as far in a tie's small factors as in its large ones: with plain momentum, the
    spatial kernels of blueprints and the like stayed behind.
    ``torch.optim.Muon`` takes matrices alone, and leaves the other parameters to a second optimizer.
    Jordan et al. 2024, "Muon: an optimizer for hidden layers in neural networks".

    Args:
        network: its last linear layer and vectors get plain momentum.
        lr: of plain momentum; a schedule changes it for all.
        momentum: of both.
        weight_decay: of the last linear layer, in the gradient; vectors have none.
        kernel_lr: step of kernels as a share of ``lr``: the size of a singular value of the step.
        kernel_decay: of kernels, decoupled, as a share of their step.
    """

    def __init__(
        self,
        network: nn.Module,
        lr: float,
        momentum: float = 0.9,
        weight_decay: float = 0.0,
        kernel_lr: float = 0.5,
        kernel_decay: float = 0.025,
    ) -> None:
        kernels = list(_kernels(network))
        taken = {id(p) for p in kernels}
        others = [p for p in network.parameters() if p.requires_grad and id(p) not in taken]
        groups = [
            {
                "params": kernels,
                "lr": lr * kernel_lr,
                "share": kernel_lr,  # of the rate that the training loop sets
                "weight_decay": kernel_decay,
                "orthogonal": True,
            },
            {"params": [p for p in others if p.ndim > 1], "weight_decay": weight_decay},
            {"params": [p for p in others if p.ndim <= 1], "weight_decay": 0.0},
        ]
        defaults = {"lr": lr, "momentum": momentum, "orthogonal": False}
        super().__init__([g for g in groups if g["params"]], defaults)

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """One step; parameters without a gradient stay."""
        for group in self.param_groups:
            rate, decay, orthogonal = group["lr"], group["weight_decay"], group["orthogonal"]
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                if orthogonal:
                    ahead = self._momentum(parameter, parameter.grad, group["momentum"])
                    parameter.mul_(1 - rate * decay)
                    parameter.sub_(rate * orthogonalised(_matrix(ahead)).view(parameter.shape))
                else:
                    gradient = parameter.grad.add(parameter, alpha=decay)
                    parameter.sub_(rate * self._momentum(parameter, gradient, group["momentum"]))

    def _momentum(self, parameter: Tensor, gradient: Tensor, momentum: float) -> Tensor:
        """The gradient with Nesterov momentum, whose memory takes it up."""
        memory = self.state[parameter].setdefault("momentum", torch.zeros_like(gradient))
        memory.mul_(momentum).add_(gradient)
        return gradient.add(memory, alpha=momentum)


def orthogonalised(matrix: Tensor) -> Tensor:
    """The matrix (O, I) with its singular values brought to about 1, or sqrt(O / I) where it is tall.

    Newton-Schulz iteration: values end between about 0.7 and 1.2, which does no harm. Every round multiplies the matrix
    X by a polynomial of X X^T from the left, and these commute, so rounds work on the small square X X^T alone: two
    fifths of the multiplications for a 3x3 kernel with as many inputs as outputs, though half as many again for a 1x1.
    One row, or each of a batch (B, 1, I), has one singular value, its norm, and is divided by it.
    """
    rows, columns = matrix.shape[-2:]
    if min(rows, columns) == 1:
        norm = matrix.norm(dim=(-2, -1), keepdim=True) + 1e-7
        return matrix / norm * math.sqrt(max(1.0, rows / columns))
    tall = rows > columns
    x = (matrix.mT if tall else matrix).float()
    x = x / (x.norm() + 1e-7)
    (a, b, c), gram, factor = QUINTIC, x @ x.T, torch.eye(len(x), device=x.device)
    for _ in range(ROUNDS):
        step = torch.addmm(gram, gram, gram, beta=b, alpha=c)
        step.diagonal().add_(a)
        factor, gram = step @ factor, step @ gram @ step
    size = math.sqrt(max(1.0, rows / columns))
    x = factor @ x
    return (x.T if tall else x).to(matrix.dtype) * size


def _matrix(kernel: Tensor) -> Tensor:
    """A kernel as the matrix that it is, or where it has one input channel as (O, 1, k^2), one matrix a filter."""
    return kernel.flatten(2) if kernel.ndim == 4 and kernel.shape[1] == 1 else kernel.flatten(1)


def _kernels(network: nn.Module) -> Iterator[nn.Parameter]:
    linear = [module.weight for module in network.modules() if isinstance(module, nn.Linear)]
    head = linear[-1] if linear else None
    for parameter in network.parameters():
        if parameter.requires_grad and parameter is not head and parameter.ndim > 1:
            yield parameter
