"""What the components of the tab "Your own" are given: questions, the models that are there, and a card of one."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from huggingface_hub import ModelCard

from demo.classify import tab as classify
from demo.models.facts import Facts, read_facts, section
from demo.models.kinds import KINDS, Kind
from demo.models.outside import as_arguments, called, kind_in, label
from demo.models.registry import Models
from demo.shapes2d import tab as shapes2d
from demo.shapes3d import tab as shapes3d
from demo.text import tab as classify_text
from demo.types import Values
from demo.yourown.commands import KINDS as ASKED
from demo.yourown.commands import Pace, in_time, pace
from weights import WeightsError, available, locate
from weights.catalog import local
from weights.checkpoint import CARD, METRICS, WEIGHTS, parameter_count, read_config

LABELS = {**shapes2d.LABELS, **shapes3d.LABELS, **classify.LABELS, **classify_text.LABELS}
SHOWN = 12  # classes
MAX_CARD = 200_000  # characters of a README that are read


# ---- train one ----


def form() -> list[Values]:
    """The kinds and their questions, for the page to draw."""
    return [
        {
            "kind": name,
            "title": kind.title,
            "fields": [field._asdict() | {"number": bool(field.high)} for field in kind.fields],
        }
        for name, kind in ASKED.items()
    ]


def paces() -> list[Pace]:
    """What the models that are here took to train, where their files say it."""
    told = []
    for name in local():
        with suppress(WeightsError):  # damaged: it tells no time
            library, config = read_config(locate(name, local_files_only=True)[0])
            told.append(pace(name, library, config, read_facts(name, METRICS)))
    return [each for each in told if each is not None]


# ---- open one ----


def entries(models: Models, at_home: bool) -> list[Values]:
    """The models that a tab can show; to who sits at this machine also those that they opened."""
    names: dict[Kind, list[str]] = {kind: models.listed(kind) for kind in KINDS}
    for guest in models.guests() if at_home else ():
        names[guest.kind].append(guest.name)
    return [
        {"name": name, "label": LABELS.get(name, label(name)), "kind": KINDS[kind].title}
        for kind, listed in names.items()
        for name in listed
    ]


def card(models: Models, name: object) -> Values:
    """What there is to know of a model without loading it.

    Raises:
        WeightsError: there is none of that name, or it is damaged.
    """
    guest = models.opened(name)
    if guest is None and name not in available():
        raise WeightsError(f"There is no model called {str(name)[:60]!r} here.")
    folder = guest.folder if guest else locate(str(name), local_files_only=True)[0]
    with called(str(name), folder):
        kind, facts = known(folder)
    if guest and models.policy.at_home:
        facts["Folder"] = str(folder)
    about = KINDS[kind]
    program = f"{about.public}.from_pretrained({as_arguments(str(name))})"
    return {
        "name": str(name),
        "title": LABELS.get(str(name), label(str(name))),
        "facts": [fact for fact in facts.items() if fact[1]],
        "tab": about.tab,
        "go": f"Open in “{about.title}”",
        "python": f"from {about.library} import {about.public}\n\nmodel = {program}",
    }


def known(folder: Path) -> tuple[Kind, dict[str, str]]:
    """What a folder's files say of its model; an empty text where they do not."""
    kind, config = kind_in(folder), read_config(folder)[1]
    metrics, front = read_facts(folder, METRICS), front_matter(folder)
    return kind, {
        "Kind": described(kind, config),
        "Classes": _classes(config.get("classes")),
        # A text classifier's weights hold its tokenizer too, a byte a number.
        "Parameters": f"{parameter_count(folder) - (config['tokenizer'] if kind == 'text' else 0):,}",
        "On disk": f"{(folder / WEIGHTS).stat().st_size / 1e6:,.1f} MB of weights",
        "Measured": measurements(kind, metrics) or "not yet: its library's evaluate does that",
        "Trained": training(metrics),
        "Licence": str(front.get("license", ""))[:60] or "none stated",
        "Terms of the data": _terms(metrics, front),
    }


def described(kind: Kind, config: Facts) -> str:
    """What a model is, in words."""
    if kind == "text":
        return f"text classifier: {config['layers']} layers, texts of up to {config['longest']} tokens"
    if kind == "classifier":
        size, grey = config["size"], "grey" if config["channels"] == 1 else "colour"
        return f"image classifier: {config['network']}, {size} x {size} pixels, {grey}"
    size = " x ".join(map(str, config["size"]))
    cells = "voxels" if kind == "shape" else "pixels"
    return f"affine VAE: {size} {cells}, {config['latent_dim']} numbers for the shape, pose group {config['group']}"


def _classes(classes: object) -> str:
    names = [str(name)[:60] for name in classes] if isinstance(classes, list | tuple) else []
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def measurements(kind: Kind, metrics: Facts) -> str:
    """The numbers that count most for a kind, with n; empty where nobody measured."""
    test = section(metrics, "test")
    n = _number(test.get("n"))
    of = f" of {n:,.0f} test {KINDS[kind].examples}" if n else ""
    if kind == "text":
        right = {name: _number(section(test, "plans", name).get("accuracy")) for name in ("full", "balanced")}
        said = [f"{name} {100 * share:.1f} %" for name, share in right.items() if share is not None]
        return f"right in {', '.join(said)}{of}" if said else ""
    if kind == "classifier":
        share = _number(test.get("accuracy"))
        return f"right in {100 * share:.1f} %{of}" if share is not None else ""
    nats, error = _number(test.get("nats")), _number(test.get("squared_error"))
    said = [f"{nats:.1f} nats"] if nats is not None else []
    said += [f"squared error {error:.1f}"] if error is not None else []
    return f"{', '.join(said)}, means{of}" if said else ""


def training(metrics: Facts) -> str:
    """On what a model was trained, and how long."""
    facts = section(metrics, "training")
    data, epochs, seconds = facts.get("data"), _number(facts.get("epochs")), _number(facts.get("cpu_seconds"))
    said = [f"on {str(data)[:60]}"] if isinstance(data, str) else []
    said += [f"{epochs:g} epochs"] if epochs else []
    said += [f"{in_time(seconds)} of processor time"] if seconds else []
    return ", ".join(said)


def _terms(metrics: Facts, front: Facts) -> str:
    if isinstance(terms := metrics.get("terms"), str):
        return terms[:300]
    datasets = front.get("datasets")
    named = ", ".join(map(str, datasets))[:300] if isinstance(datasets, list) else ""
    return f"those of {named}" if named else "none stated"


def front_matter(folder: Path) -> Facts:
    """What stands between the dashes of a model's card; empty where there is none that can be read."""
    try:
        with (folder / CARD).open(encoding="utf-8") as file:
            return ModelCard(file.read(MAX_CARD), ignore_metadata_errors=True).data.to_dict()
    except Exception:  # noqa: BLE001 - of the disk, of YAML, of the client's own checks
        return {}
