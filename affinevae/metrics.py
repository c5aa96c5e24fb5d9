"""What is measured on codes and poses. Pure functions; a perfect code scores the ideal, a random one chance.

Definitions follow the clustering and disentanglement literature: k-means accuracy with the best one-to-one map of
clusters to classes (Kuhn 1955), k-NN regression R^2 for leakage, circular errors after one free offset.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from sklearn.cluster import KMeans
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from sklearn.preprocessing import StandardScaler
from torch import Tensor

from affinevae.affine3d import cube_rotations, iou


def kmeans_accuracy(z: Tensor, label: Tensor, seed: int = 0, classes: int | None = None) -> float:
    """Accuracy of k-means clusters, one for each class, after the best one-to-one naming; ``z`` (N, L).

    ``classes``, up to the largest label if left out, are at most N.
    """
    classes = int(label.max()) + 1 if classes is None else classes
    cluster = KMeans(classes, n_init=10, random_state=seed).fit_predict(z.numpy())
    counts = np.zeros((classes, classes), dtype=np.int64)
    np.add.at(counts, (cluster, label.numpy()), 1)
    rows, columns = linear_sum_assignment(-counts)
    return float(counts[rows, columns].sum() / len(z))


def knn_accuracy(z: Tensor, label: Tensor, train_z: Tensor, train_label: Tensor, k: int = 5) -> float:
    """Accuracy of the majority among the k nearest training codes."""
    knn = KNeighborsClassifier(min(k, len(train_z))).fit(train_z.numpy(), train_label.numpy())
    return float(knn.score(z.numpy(), label.numpy()))


def linear_probe(z: Tensor, label: Tensor) -> Callable[[Tensor, Tensor], float]:
    """Logistic regression on standardised codes, as a function from other codes and labels to its accuracy."""
    scaler = StandardScaler().fit(z.numpy())
    probe = LogisticRegression(max_iter=500).fit(scaler.transform(z.numpy()), label.numpy())
    return lambda other, truth: float(probe.score(scaler.transform(other.numpy()), truth.numpy()))


def linear_probe_accuracy(z: Tensor, label: Tensor, train_z: Tensor, train_label: Tensor) -> float:
    """Test accuracy of a :func:`linear_probe`."""
    return linear_probe(train_z, train_label)(z, label)


LEAKAGE_FEWEST = 4  # codes: one half to fit, and two in the other for an R^2


def angle_leakage(z: Tensor, angle: Tensor, k: int = 10, harmonics: tuple[int, ...] = (1, 2)) -> float:
    """R^2 with which k-NN regression reads the angle from the code; 0 or less means that nothing leaks.

    The mean over cos and sin of each harmonic (the second sees angles modulo 180 degrees), fitted on one half and
    scored on the other. A code independent of the angle scores about -1/k.
    """
    target = torch.cat([f(m * angle)[:, None] for m in harmonics for f in (torch.cos, torch.sin)], 1).numpy()
    half = len(z) // 2
    knn = KNeighborsRegressor(min(k, half)).fit(z[:half].numpy(), target[:half])
    return float(knn.score(z[half:].numpy(), target[half:]))


def rotation_leakage(z: Tensor, matrices: Tensor, k: int = 10) -> float:
    """:func:`angle_leakage` of rotations of space ``(N, 3, 3)``: R^2 of their nine entries."""
    half, target = len(z) // 2, matrices.flatten(1).numpy()
    knn = KNeighborsRegressor(min(k, half)).fit(z[:half].numpy(), target[:half])
    return float(knn.score(z[half:].numpy(), target[half:]))


def class_angle_leakage(z: Tensor, angle: Tensor, label: Tensor) -> float:
    """Mean of :func:`angle_leakage` inside each class of enough codes, where a global probe cannot hide it."""
    large = (label.bincount() >= LEAKAGE_FEWEST).nonzero()[:, 0]
    inside = [angle_leakage(z[label == c], angle[label == c]) for c in large]
    return sum(inside) / len(inside)


def invariance_ratio(z: Tensor, z_turned: Tensor) -> float:
    """Mean distance between codes of an image and of its turned copy, over that between different images."""
    between = (z - z.roll(1, 0)).norm(dim=1).mean()
    return float((z - z_turned).norm(dim=1).mean() / between)


def wrap(angle: Tensor) -> Tensor:
    """Angles in [-pi, pi]."""
    return torch.atan2(angle.sin(), angle.cos())


def circular_offset(error: Tensor) -> Tensor:
    """The angle that a set of angular errors has in common: the mode region's mean, robust to flipped outliers."""
    candidates = torch.linspace(-math.pi, math.pi, 73)[:-1]
    best = candidates[wrap(error[:, None] - candidates).abs().median(0).values.argmin()]
    near = wrap(error - best)
    return best + near[near.abs() < math.pi / 6].mean().nan_to_num()


def pose_errors(found: Tensor, true: Tensor, label: Tensor | None = None) -> dict[str, float]:
    """Angle errors in degrees once each class (or, without labels, everything) may choose its own zero.

    Returns the median, the share within 15 degrees, and that share modulo 180 degrees.
    """
    error = wrap(found - true)
    if label is None:
        error = wrap(error - circular_offset(error))
    else:
        error = torch.cat([wrap(e - circular_offset(e)) for e in (error[label == c] for c in label.unique())])
    return angle_summary(error)


def angle_summary(error: Tensor) -> dict[str, float]:
    """Median in degrees, share within 15 degrees, and the same modulo 180 degrees, of angular errors (N,)."""
    degrees = wrap(error).abs().rad2deg()
    flipped = torch.minimum(degrees, 180 - degrees)
    return {
        "median_degrees": float(degrees.median()),
        "within_15": float((degrees <= 15).float().mean()),
        "within_15_mod_180": float((flipped <= 15).float().mean()),
    }


# Voxel shapes ------------------------------------------------------------------------------------------------------


def symmetries(shapes: Tensor, copies: Tensor, level: float = 0.85) -> Tensor:
    """Which turned copies ``(N, K, ...)`` look like the shapes ``(N, ...)``: IoU of at least ``level``, ``(N, K)``."""
    return torch.stack([iou(shapes, copy) >= level for copy in copies.unbind(1)], 1)


def rotation_angle(matrices: Tensor) -> Tensor:
    """Angle of rotations of the plane or of space, ``(..., d, d) -> (...)`` radians, not negative."""
    trace = matrices.diagonal(dim1=-2, dim2=-1).sum(-1)
    cosine = trace / 2 if matrices.shape[-1] == 2 else (trace - 1) / 2
    return cosine.clamp(-1, 1).acos()


def follow_errors(second: Tensor, first: Tensor, extra: Tensor, true: Tensor, same: Tensor) -> Tensor:
    """How far the pose did not follow when shapes were turned again, up to each shape's own symmetry: ``(N,)`` radians.

    Args:
        second, first: rotations found after and before, ``(N, 3, 3)``.
        extra: the turn in between, ``(N, 3, 3)``.
        true: how the shape was turned before, ``(N, 3, 3)``.
        same: which of the 24 ``cube_rotations`` leave the upright shape as it is, ``(N, 24)``.
    """
    moved = extra.transpose(1, 2) @ second @ first.transpose(1, 2)
    allowed = true[:, None] @ cube_rotations() @ true[:, None].transpose(2, 3)  # (N, 24, 3, 3)
    angle = rotation_angle(moved[:, None].transpose(2, 3) @ allowed)
    return torch.where(same, angle, torch.inf).amin(1)


def zero_errors(found: Tensor, true: Tensor, same: Tensor, candidates: int = 64) -> Tensor:
    """Errors of found rotations once all may choose one common zero, up to each shape's symmetry: ``(N,)`` radians.

    The zero is one shape's own offset, of the first ``candidates``: the one with the least error when no shape may
    count for more than 30 degrees, so that outliers do not choose.
    """
    relative = true.transpose(1, 2) @ found  # symmetry times the common zero
    turned = cube_rotations() @ relative[:candidates, None]  # (Z, 24, 3, 3)
    cosine = (torch.einsum("nij,zgij->zng", relative, turned) - 1) / 2
    error = torch.where(same, cosine.clamp(-1, 1).acos(), torch.inf).amin(2)  # (Z, N)
    return error[error.clamp(max=math.pi / 6).mean(1).argmin()]
