"""The model card: what the folder holds, what was measured, what the data's terms are."""

from __future__ import annotations

from typing import Any

from affinevae.model import AffineVAEConfig
from training.card import OTHER, Score, front_matter
from training.left_out import on_card

CARD = """{front}

# {name}

{what} for {size} {things}: {latents} latent numbers{pose}, {parameters:,} parameters.
Trained on {data}, {turned}. {terms}

```python
from affinevae import AffineVAE

model = AffineVAE.from_pretrained("{name}")
code = model.encode({given})  # (B, {channels}, {sides}) in [0, 1]
model.decode(code.z, code.pose)
```

## Measured

{n:,} test {given}{test_turned}; `python -m affinevae.evaluate` writes every number to `metrics.json`.

{table}{left_out}

{training}

## Limits

Reconstructions are soft, as a VAE's are at this code size. The canonical orientation is the model's own choice: it
can differ between classes, and what looks alike when turned (6 and 9) shares one.
"""

TAGS = ("affine-vae", "vae", "disentanglement", "pose")
ROWS = (
    ("-ELBO, nats an image, price of the pose included", "nats", "{:.2f}"),
    ("of which the price of the pose", "pose_nats", "{:.2f}"),
    ("IWAE bound, 50 samples, on the first of them", "iwae50.nats", "{:.2f}"),
    ("squared error, summed over pixels or voxels", "squared_error", "{:.2f}"),
    ("SSIM", "ssim", "{:.3f}"),
    ("IoU at occupancy one half", "iou", "{:.3f}"),
    ("k-means accuracy of z", "kmeans_accuracy", "{:.3f}"),
    ("5-NN accuracy of z", "knn_accuracy", "{:.3f}"),
    ("linear probe accuracy of z", "probe_accuracy", "{:.3f}"),
    ("angle leaking into z, k-NN R^2 (0: none)", "angle_leakage", "{:.3f}"),
    ("drift of z when turned, over distance between images", "z_invariance", "{:.3f}"),
    ("turned again: pose follows within 15 degrees", "self_consistency.within_15", "{:.1%}"),
    ("turned again: median error, degrees", "self_consistency.median_degrees", "{:.2f}"),
    ("pose against truth, one zero a class, within 15 degrees", "zero_per_class.within_15", "{:.1%}"),
    ("fast search, poses evaluated an image", "search_poses", "{:.1f}"),
    ("fast search, processor ms an image", "search_cpu_ms", "{:.2f}"),
)


def lookup(metrics: dict[str, Any], dotted: str) -> Any:
    """``metrics["a"]["b"]`` for "a.b"; None where there is no such number."""
    value: Any = metrics
    for key in dotted.split("."):
        value = value.get(key) if isinstance(value, dict) else None
    return value


def measured_table(test: dict[str, Any]) -> str:
    """The measured numbers as a Markdown table."""
    lines = [
        f"| {title} | {form.format(value)} |"
        for title, key, form in ROWS
        if isinstance(value := lookup(test, key), int | float)
    ]
    return "\n".join(["| | |", "|---|---|", *lines])


def model_card(name: str, config: AffineVAEConfig, result: dict[str, Any]) -> str:
    """README.md of a model folder."""
    test, training = result["test"], result.get("training") or {}
    plain, solid = config.group == "none", config.dims == 3
    turned = "left as they are" if result["turns"] == "none" else "each turned by an unknown pose"
    test_turned = "" if result["turns"] == "none" else ", each turned once by an unknown pose"
    time = "Training took {cpu_seconds:.0f} CPU seconds ({epochs} epochs), pose search included."
    task = OTHER if solid else "image-feature-extraction"
    scores = [Score(key.replace(".", "_"), title, lookup(test, key)) for title, key, _ in ROWS]
    return CARD.format(
        front=front_matter(name, "affinevae", task, TAGS, result["data"], scores, test_turned),
        name=name,
        what="A plain VAE, the comparison for the affine VAE," if plain else "An affine VAE",
        size="x".join(map(str, config.size)),
        things="voxel shapes" if solid else f"{'grey' if config.channels == 1 else 'RGB'} images",
        given="shapes" if solid else "images",
        sides=", ".join(map(str, config.size)),
        channels=config.channels,
        latents=config.latent_dim,
        pose="" if plain else f" for the shape and a pose ({config.group}) for how it is turned",
        parameters=test["parameters"],
        data=result["data"],
        turned=turned,
        terms=f"Terms of the data: {result['terms']}." if result.get("terms") else "",
        n=test["n"],
        test_turned=test_turned,
        table=measured_table(test),
        left_out=on_card(test.get("left_out", {})),
        training=time.format(**training) if training else "",
    )
