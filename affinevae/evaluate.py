"""Measure a trained affine VAE, or a plain one, on test images in unknown orientation.

    python -m affinevae.evaluate runs/my-digits --data mnist

Writes ``metrics.json`` (every number with its n), ``map.safetensors`` (a plane of test codes for the page) and the
model card into the model's folder.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import safetensors.torch
import torch
import tyro
from sklearn.manifold import TSNE
from torch import Tensor

from affinevae import metrics
from affinevae.affine import GROUPS, enlarge, turn
from affinevae.affine3d import iou, turn_exactly
from affinevae.card import model_card
from affinevae.data import load
from affinevae.explore import MAP
from affinevae.groups import get_group
from affinevae.model import KEPT, AffineVAE, Code, Effort, bernoulli_nll, gaussian_log_prob
from affinevae.pose import PoseGroup, compose
from affinevae.turned import Turner, turn_all
from training.command import command
from training.datasets import ImageData, ImageSplit
from training.left_out import only_finite, too_few
from training.loop import require
from training.measure import commit, machine, macs, parameters
from training.progress import say
from training.runs import claimed, read_metrics
from weights.checkpoint import write

BATCH = 500
TEST_SEED = 1_000_001  # poses of validation and test images: the same for every model that is compared
VALIDATION_SEED = 1_000_002
MAP_POINTS = 2000
MAP_FEWEST = 4  # neighbours that t-SNE can lay out


@dataclass(frozen=True)
class Evaluate:
    """Measure a model folder on a data set's test split.

    Args:
        model: folder, shipped name or Hub repository.
        data: data set: name, file or folder, as for training.
        turns: pose group that the test images are turned by; "none" leaves them as they are.
        test: how many test images, at most.
        reference: how many training images the 5-NN and the linear probe learn from, at most.
        seed: of noise, clustering and splits.
        terms: terms of use of the data, for the card; known for data sets by name.
        output: folder for the results; the model's own if left out.
    """

    model: Annotated[str, tyro.conf.Positional]
    data: str
    turns: str = "rotation"
    test: int = 10_000
    reference: int = 20_000
    seed: int = 0
    terms: str | None = None
    output: Path | None = None


def turned(
    split: ImageSplit, size: int, group: str, seed: int, limit: int
) -> tuple[Tensor, Tensor, Tensor | None]:
    """The first images of a split, each turned once: floats (N, C, S, S), poses (N, P), labels (N,) or None."""
    images = split.images[:limit]
    turns = get_group(group, images.ndim - 2)
    poses = turns.sample(len(images), torch.Generator().manual_seed(seed))
    return turn_all(images, poses, turns, size), poses, None if split.labels is None else split.labels[:limit]


def encode_all(model: AffineVAE, images: Tensor, effort: Effort = "fast") -> Code:
    """Codes of many images, in batches."""
    codes = [model.encode(part, effort) for part in images.split(BATCH)]
    return Code(*(torch.cat(field) for field in zip(*codes, strict=True)))


def validation_nats(model: AffineVAE, images: Tensor) -> dict[str, float]:
    """-ELBO with and without the pose's price; cheap enough for every epoch."""
    code = encode_all(model, images)
    return {"nats": float((code.nll + code.pose_nats).mean()), "pose_nats": float(code.pose_nats.mean())}


@torch.no_grad()
def importance_bound(model: AffineVAE, image: Tensor, samples: int = 50, seed: int = 0) -> Tensor:
    """IWAE bound on -log p(x), ``(B,)`` nats (Burda et al. 2016, arXiv:1509.00519), with so many samples in all.

    ``-log 1/N sum_n p(x|z_n,a_n) p(z_n) p(a_n) / q(z_n|x,a_n) q(a_n|x)``: pose and code are drawn together, the pose
    from the posterior over the four likeliest found. A plain VAE draws as many, so the bounds compare.
    """
    table = model.search(image)
    cells = table.top(min(KEPT, table.cost.shape[1]))  # (B, K, Q)
    poses = [model.group.from_cells(c) for c in cells.unbind(1)]
    log_q = torch.log_softmax(-table.lookup(cells), 1)  # an empty slot has none
    log_ratio = model.group.log_prior(cells) - log_q
    moments = [torch.stack(m, 1) for m in zip(*(model.posterior(image, p) for p in poses), strict=True)]
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.multinomial(log_q.exp(), samples, replacement=True, generator=generator)
    row, weights = torch.arange(len(image)), []
    for a in drawn.unbind(1):
        mean, log_var = (m[row, a] for m in moments)
        z = mean + torch.randn(mean.shape, generator=generator) * (0.5 * log_var).exp()
        prior = gaussian_log_prob(z, torch.zeros_like(z), torch.zeros_like(z))
        likelihood = -bernoulli_nll(model.logits(z, model.group.from_cells(cells[row, a])), image)
        weights.append(likelihood + prior - gaussian_log_prob(z, mean, log_var) + log_ratio[row, a])
    return torch.tensor(float(samples)).log() - torch.stack(weights).logsumexp(0)


def reconstruction(model: AffineVAE, images: Tensor, code: Code) -> dict[str, float]:
    """Squared error summed over cells, and SSIM (images) or IoU (shapes), of decoded mean codes."""
    error, similarity = [], []
    for x, z, pose in zip(images.split(BATCH), code.z.split(BATCH), code.pose.split(BATCH), strict=True):
        y = model.decode(z, pose)
        error.append((x - y).square().flatten(1).sum(1))
        similarity.append(iou(x, y) if model.config.dims == 3 else _ssim(x, y))
    name = "iou" if model.config.dims == 3 else "ssim"
    return {"squared_error": float(torch.cat(error).mean()), name: float(torch.cat(similarity).mean())}


def _ssim(x: Tensor, y: Tensor) -> Tensor:
    from torchmetrics.functional.image import structural_similarity_index_measure  # takes seconds

    return torch.as_tensor(structural_similarity_index_measure(y, x, data_range=1.0, reduction="none"))


def orientation(model: AffineVAE, split: ImageSplit, code: Code, poses: Tensor, seed: int) -> dict[str, Any]:
    """How pose and code follow when the same images are turned again by a known angle.

    ``poses`` (N, P) are those that the images were turned by, (N, 0) where they were left as they are: then nobody
    knows the true angle, and only whether the pose follows is measured.
    """
    n, size = len(code.z), model.config.size[0]
    known = poses.shape[1] > 0
    before = poses[:, 0] if known else torch.zeros(n)
    extra = torch.rand(n, generator=torch.Generator().manual_seed(seed)) * 2 * torch.pi
    again = turn_all(split.images[:n], (before + extra)[:, None], get_group("rotation"), size)
    second = encode_all(model, again)
    result: dict[str, Any] = {"z_invariance": metrics.invariance_ratio(code.z, second.z)}
    if not model.group.dim:
        return result
    follow = metrics.wrap(second.pose[:, 0] - code.pose[:, 0] - extra)
    result["self_consistency"] = metrics.angle_summary(follow)
    if known:
        result["one_zero_for_all"] = metrics.pose_errors(code.pose[:, 0], before)
    if known and split.labels is not None:
        result["zero_per_class"] = metrics.pose_errors(code.pose[:, 0], before, split.labels[:n])
    return result


def orientation3d(
    model: AffineVAE, split: ImageSplit, turns: PoseGroup, code: Code, poses: Tensor, seed: int
) -> dict[str, Any]:
    """:func:`orientation` of shapes, up to each shape's own symmetry.

    They are turned again by another pose of ``turns``; of the rotations that the model infers where it is "none".
    """
    n, size = len(code.z), model.config.size[0]
    more = turns if turns.dim else _rotations_of(model)
    again = more.sample(n, torch.Generator().manual_seed(seed))
    first, extra = turns.matrix(poses), more.matrix(again)
    turner = Turner(split.images[:n], size)
    back = compose(turns.inverse(poses), more.inverse(again))
    parts = zip(torch.arange(n).split(BATCH), back.split(BATCH), strict=True)
    second = encode_all(model, torch.cat([turner(i, m) for i, m in parts]))
    result: dict[str, Any] = {"z_invariance": metrics.invariance_ratio(code.z, second.z)}
    if not model.group.dim:
        return result
    upright = turn_all(split.images[:n], torch.zeros(n, 0), get_group("none", 3), size)
    copies = torch.stack([turn_exactly(upright, torch.full((n,), k)) for k in range(24)], 1)
    same = metrics.symmetries(upright, copies)
    found = [model.pose_matrix(c.pose)[..., :3] for c in (code, second)]
    true = first[..., :3]
    follow = metrics.follow_errors(found[1], found[0], extra[..., :3], true, same)
    result["self_consistency"] = metrics.angle_summary(follow)
    if not turns.dim:
        return result
    result["one_zero_for_all"] = metrics.angle_summary(metrics.zero_errors(found[0], true, same))
    if split.labels is not None:
        label = split.labels[:n]
        per = [
            metrics.zero_errors(found[0][c], true[c], same[c]) for c in (label == k for k in label.unique())
        ]
        result["zero_per_class"] = metrics.angle_summary(torch.cat(per))
    return result


def _rotations_of(model: AffineVAE) -> PoseGroup:
    """The rotations of a model's pose group, without shifts and scale; any rotation for a plain VAE."""
    name = model.config.group.partition("+")[0]
    return get_group("rotation" if name == "none" else name, 3)


def robustness3d(model: AffineVAE, split: ImageSplit, n: int) -> dict[str, dict[str, float]]:
    """-ELBO and IoU of the same shapes upright, turned by rotations of the cube, and turned anyhow."""
    found = {}
    for name in ("none", "cube", "rotation"):
        images, *_ = turned(split, model.config.size[0], name, TEST_SEED, n)
        code = encode_all(model, images)
        nats = float((code.nll + code.pose_nats).mean())
        found["upright" if name == "none" else name] = {"nats": nats, **reconstruction(model, images, code)}
    return found


def robustness(model: AffineVAE, split: ImageSplit, n: int = 1000, step: int = 15) -> list[dict[str, float]]:
    """-ELBO (price included) of the same upright images turned by 0, 15, ..., 345 degrees."""
    large = enlarge(split.images[:n].float() / 255, model.config.size[0])
    curve = []
    for degrees in range(0, 360, step):
        angle = torch.full((len(large), 1), degrees).deg2rad()
        curve.append(
            {"degrees": degrees, **validation_nats(model, turn(large, GROUPS["rotation"].inverse(angle)))}
        )
    return curve


def timing(model: AffineVAE, images: Tensor, effort: Effort = "fast") -> dict[str, float]:
    """Processor milliseconds and evaluated poses an image, for the pose search and for encoding alone.

    One thread; batches of 256 images or 32 shapes.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    batch, cost = images[: 256 if model.config.dims == 2 else 32], {}
    for name, run in (
        ("search", lambda: model.search(batch, effort)),
        ("encode", lambda: model.search(batch, "none")),
    ):
        times = []
        for _ in range(6):
            start = time.process_time()
            table = run()
            times.append(time.process_time() - start)
        cost[f"{name}_cpu_ms"] = sorted(times)[2] * 1000 / len(batch)
        cost[f"{name}_poses"] = float(table.cost.isfinite().sum()) / len(batch)
    torch.set_num_threads(threads)
    return cost


def left_out(model: AffineVAE, data: ImageData, options: Evaluate) -> dict[str, str]:
    """What these data, or this model, do not let us measure: name in ``metrics.json`` -> the reason.

    Known before a training begins, and the same at its end.
    """
    dims, things = model.config.dims, "pictures" if model.config.dims == 2 else "shapes"
    n, labels = min(options.test, len(data.test)), data.test.labels
    found: dict[str, str] = {}

    def note(reason: str, *names: str) -> None:
        for name in names:
            found.setdefault(name, reason)

    if not model.group.dim:
        note("a plain VAE infers no orientation", "self_consistency", "one_zero_for_all", "zero_per_class")
    if not get_group(options.turns, dims).dim:
        unknown = f"the {things} were left as they are (turns: none), so nobody knows how they are turned"
        note(unknown, "one_zero_for_all", "zero_per_class", "angle_leakage", "angle_leakage_in_class")
    if n < 2:
        note(too_few(n, 2, f"test {things}"), "nats_std_error", "z_invariance")
    if n < metrics.LEAKAGE_FEWEST:
        note(too_few(n, metrics.LEAKAGE_FEWEST, f"test {things}"), "angle_leakage")
    if n < MAP_FEWEST:
        note(too_few(n, MAP_FEWEST, f"test {things}"), "map")
    if labels is None or data.train.labels is None:
        note(f"the {things} have no labels", "zero_per_class", "angle_leakage_in_class", *REPRESENTATION)
    else:
        seen = int(data.train.labels[: options.reference].unique().numel())
        if len(data.classes) < 2:
            note("there is one class only", *REPRESENTATION)
        if n < len(data.classes):
            note(f"{n} test {things} are fewer than {len(data.classes)} classes", "kmeans_accuracy")
        if seen < 2:
            note(f"the training {things} are all of one class", "probe_accuracy")
        if labels[:n].bincount().max() < metrics.LEAKAGE_FEWEST:
            fewest = metrics.LEAKAGE_FEWEST
            note(f"no class has {fewest} test {things}", "angle_leakage_in_class")
    if dims == 3:
        found.pop("angle_leakage_in_class", None)  # of pictures only
    return found


REPRESENTATION = ("kmeans_accuracy", "knn_accuracy", "probe_accuracy")


def evaluate(model: AffineVAE, data: ImageData, options: Evaluate) -> dict[str, Any]:
    """Every number on the model card, as ``metrics.json`` holds them, and what is left out with the reason."""
    size, dims = model.config.size[0], model.config.dims
    missing = left_out(model, data, options)
    images, poses, label = turned(data.test, size, options.turns, TEST_SEED, options.test)
    turns, few = get_group(options.turns, dims), 1000 if dims == 2 else 200
    say(f"encoding {len(images):,} test images")
    code = encode_all(model, images)
    say(f"bound of {min(few, len(images)):,} of them by importance sampling")
    bound = torch.cat([importance_bound(model, x) for x in images[:few].split(BATCH)])
    result: dict[str, Any] = {
        "n": len(images),
        "nats": float((code.nll + code.pose_nats).mean()),
        "nats_without_pose": float(code.nll.mean()),
        "pose_nats": float(code.pose_nats.mean()),
        "nats_std_error": _std_error(code.nll + code.pose_nats),
        "iwae50": {"n": len(bound), "nats": float(bound.mean())},
        **reconstruction(model, images, code),
        **timing(model, images),
        "parameters": parameters(model),
        "macs_forward": macs(
            model, images[:1], model.group.identity(1), torch.zeros(1, model.config.latent_dim)
        ),
    }
    say("turning them again")
    seed = options.seed + 7
    if dims == 2:
        result |= orientation(model, data.test, code, poses, seed)
        result["robustness"] = {"n": min(1000, len(images)), "curve": robustness(model, data.test)}
    else:
        result |= orientation3d(model, data.test, turns, code, poses, seed)
        result["robustness"] = {"n": len(images), **robustness3d(model, data.test, len(images))}
    result |= _of_codes(model, data, options, code, poses, missing)
    return only_finite({k: v for k, v in result.items() if k not in missing}, missing)


def _std_error(values: Tensor) -> float:
    """Standard error of a mean; 0 of one value."""
    return float(values.std(correction=min(1, len(values) - 1)) / len(values) ** 0.5)


def _of_codes(
    model: AffineVAE,
    data: ImageData,
    options: Evaluate,
    code: Code,
    poses: Tensor,
    missing: Mapping[str, str],
) -> dict[str, Any]:
    """How much of class and of orientation can be read from codes, as far as it can be measured."""
    size, turns, n = model.config.size[0], get_group(options.turns, model.config.dims), len(code.z)
    label = None if data.test.labels is None else data.test.labels[:n]
    measures: dict[str, Callable[[], float]] = {}
    if model.config.dims == 2:
        measures["angle_leakage"] = lambda: metrics.angle_leakage(code.z, poses[:, 0])
    else:
        measures["angle_leakage"] = lambda: metrics.rotation_leakage(code.z, turns.matrix(poses)[..., :3])
    result: dict[str, Any] = {}
    if label is not None:
        seen, _, known = turned(data.train, size, options.turns, options.seed, options.reference)
        assert known is not None
        say(f"encoding {len(seen):,} training images to learn from their codes")
        train_z, classes = encode_all(model, seen).z, len(data.classes)
        measures |= {
            "kmeans_accuracy": lambda: metrics.kmeans_accuracy(code.z, label, options.seed, classes),
            "knn_accuracy": lambda: metrics.knn_accuracy(code.z, label, train_z, known),
            "probe_accuracy": lambda: metrics.linear_probe_accuracy(code.z, label, train_z, known),
        }
        if model.config.dims == 2:
            measures["angle_leakage_in_class"] = lambda: metrics.class_angle_leakage(
                code.z, poses[:, 0], label
            )
        result["reference"] = len(seen)
    return {name: measure() for name, measure in measures.items() if name not in missing} | result


def code_map(code: Code, label: Tensor | None, seed: int = 0) -> dict[str, Tensor]:
    """A plane of codes for the page: ``xy`` (n, 2) in [-1, 1] by t-SNE, ``z`` (n, L), ``label`` (n,).

    At least ``MAP_FEWEST`` codes, not all alike.
    """
    z = code.z[:MAP_POINTS]
    start = "pca" if z.shape[1] > 1 else "random"
    perplexity = min(30, max(2, len(z) // 4))
    plane = TSNE(2, init=start, random_state=seed, perplexity=perplexity).fit_transform(z.numpy())
    xy = torch.from_numpy(plane).float()
    xy = (xy - xy.mean(0)) / (xy - xy.mean(0)).abs().max()
    kept = torch.zeros(len(z), dtype=torch.long) if label is None else label[: len(z)]
    return {"xy": xy.contiguous(), "z": z.half().contiguous(), "label": kept.clone()}


def run(options: Evaluate) -> dict[str, Any]:
    """Evaluate a folder and write the results beside its weights; returns the metrics."""
    for name in ("test", "reference"):
        require(f"--{name}", getattr(options, name), getattr(options, name) >= 1, "at least 1")
    config = AffineVAE.from_pretrained(options.model).config
    with claimed(options.output or Path(options.model)):
        return measure(load(options.data, config.channels, config.size[0], config.learned), options)


def measure(data: ImageData, options: Evaluate) -> dict[str, Any]:
    """:func:`run` on data that are loaded, in a folder that is claimed."""
    model, folder = AffineVAE.from_pretrained(options.model), options.output or Path(options.model)
    if data.test.images.ndim - 2 != model.config.dims:
        kinds = {2: "pictures", 3: "shapes"}
        raise ValueError(
            f"{data.name} holds {kinds[data.test.images.ndim - 2]}, the model is of {kinds[model.config.dims]}"
        )
    test = evaluate(model, data, options)
    result = {
        "data": data.name,
        "terms": options.terms or data.terms,
        "turns": options.turns,
        "test": test,
        "training": read_metrics(folder).get("training"),
        "seed": options.seed,
        "machine": machine(),
        "commit": commit(),
    }
    images, _, label = turned(data.test, model.config.size[0], options.turns, TEST_SEED, MAP_POINTS)
    code = encode_all(model, images)
    if "map" not in test["left_out"] and (code.z == code.z[0]).all():
        test["left_out"]["map"] = "all codes are alike"
    if "map" in test["left_out"]:
        (folder / MAP).unlink(missing_ok=True)
    else:
        write(folder, {MAP: safetensors.torch.save(code_map(code, label))})
    model.save_pretrained(
        folder, half=True, metrics=result, card=model_card(folder.name, model.config, result)
    )
    return result


if __name__ == "__main__":
    command(Evaluate, run)
