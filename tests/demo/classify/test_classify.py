"""What the tab "Classify an image" computes of an answer, and the pictures it starts from."""

from __future__ import annotations

import base64
import io
import shutil
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps
from tiny_weights import CLOTHES, DENSE_CNN, TINY_CNN

from classifiers import CompactCNN
from classifiers.anatomy import class_activation, tied_layers
from classifiers.model import PlanFacts
from classifiers.plans import full_plan, smallest_plan
from demo import pictures
from demo.classify import examples as photos
from demo.classify import photos as many
from demo.classify import scene as verdict
from demo.classify import views as views_classify
from demo.classify.scene import Answer, Verdict
from demo.classify.tab import Classify
from demo.classify.treemap import treemap
from demo.costs import ratio
from demo.models.registry import Classifier, Models
from demo.timing import ROUNDS
from demo.uploads.pictures import read_image
from demo.uploads.values import UploadError
from weights import WeightsError


@pytest.fixture
def loaded(in_weights: Path) -> Classifier:
    return Models().classifier(TINY_CNN)


def picture(url: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2])))


def said(*probabilities: float, energy: float = -5.0) -> Answer:
    return Answer(tuple("abcdefgh"[: len(probabilities)]), probabilities, energy, -3.0)


def of(*answers: Answer) -> Verdict:
    return Verdict("m", "upload", Image.new("RGB", (8, 8)), torch.zeros(1, 3, 8, 8), answers)


# ---- answers ----


def test_probabilities_sum_to_one_and_the_best_come_first(loaded: Classifier) -> None:
    seen = verdict.opening(loaded)
    for answer in seen.answers:
        top = [p for _, p in answer.top()]
        assert sum(answer.probabilities) == pytest.approx(1, abs=1e-5)
        assert len(top) == 5
        assert top == sorted(answer.probabilities, reverse=True)[:5]
        assert answer.classes[int(np.argmax(answer.probabilities))] == answer.top()[0][0]


def test_answers_are_what_the_model_predicts(loaded: Classifier) -> None:
    seen = verdict.opening(loaded)
    expected = loaded.compact.model.predict([seen.picture])[0]
    assert torch.allclose(torch.tensor(seen.answers[0].probabilities), expected, atol=1e-6)


@pytest.mark.parametrize(("energy", "inside"), [(-3.001, True), (-3.0, True), (-2.999, False)])
def test_a_picture_is_out_of_scope_above_the_threshold(energy: float, inside: bool) -> None:
    assert said(0.9, 0.1, energy=energy).in_scope is inside
    assert ("had to choose" in verdict.words(of(said(0.9, 0.1, energy=energy)))) is not inside


def test_words_say_who_agrees() -> None:
    a, b = said(0.9, 0.1), said(0.4, 0.6)
    assert verdict.words(of(a)) == "The network says a, 90 %."
    assert verdict.words(of(said(0.35, 0.3, 0.25))) == "It is not sure: perhaps a (35 %), or b (30 %)."
    assert verdict.words(of(said(0.41, 0.46), a)) == "It is not sure: perhaps b (46 %), or a (41 %)."
    shorter = replace(of(a, a), plan="fastest")
    assert verdict.words(shorter) == "A, 90 %."
    assert verdict.words(replace(of(a, b), plan="fastest")) == "A, 90 %. All of the network: b, 60 %."
    assert verdict.words(of(a, a)) == "Both say a."
    assert (
        verdict.words(of(a, b))
        == "They disagree: the compact network says a (90 %), its dense twin b (60 %)."
    )
    lost = replace(a, energy=0.0)
    assert verdict.words(of(lost, a)) == "If they had to choose, both would say a."
    assert "would say a and its dense twin b" in verdict.words(of(lost, b))
    assert verdict.words(replace(of(lost, b), plan="fastest")) == "If it had to choose: a."


def test_numbers_in_words() -> None:
    assert [verdict.percent(p) for p in (1.0, 0.994, 0.5, 0.004)] == ["> 99 %", "99 %", "50 %", "< 1 %"]
    assert ratio((100, 812)) == "8.1x fewer"
    assert ratio((30, 10), "faster", "slower") == "3.0x slower"
    assert ratio((10, 412)) == "41x fewer"
    assert ratio((100, 101)) == "the same"
    assert ratio((100,)) == ratio((0, 5)) == ""


def test_times_are_positive_and_one_a_network(loaded: Classifier) -> None:
    threads = torch.get_num_threads()
    first, second = verdict.rounds(loaded.nets(), verdict.opening(loaded).image)
    assert len(first) == len(second) >= ROUNDS
    assert min(first + second) > 0
    assert torch.get_num_threads() == threads


# ---- pictures ----


@pytest.mark.parametrize("kind", ["photos", "drawn", "worn"])
def test_examples_are_pictures_and_always_the_same(kind: photos.Kind) -> None:
    for index in range(len(photos.names(kind))):
        example = photos.example(kind, index)
        assert min(example.size) in (photos.SIDE, 192)
        assert example.mode == ("L" if kind == "worn" else "RGB")
        low, high = example.convert("L").getextrema()
        assert high - low > 60
    before = photos.example(kind, 0).tobytes()
    photos.example.cache_clear()
    assert photos.example(kind, 0).tobytes() == before


def saved(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)  # type: ignore[arg-type]
    return file.getvalue()


def modes() -> dict[str, bytes]:
    """One picture, stored in many ways."""
    rgb = photos.example("drawn", 2)
    grey = Image.fromarray(np.asarray(rgb.convert("L")).astype(np.uint16) * 257)
    exif = Image.Exif()
    exif[0x0112] = 6
    return {
        "RGB": saved(rgb),
        "palette": saved(rgb.quantize(256)),
        "CMYK": saved(rgb.convert("CMYK"), "JPEG", quality=95),
        "16 bit": saved(grey),
        "alpha": saved(rgb.convert("RGBA")),
        "grey and alpha": saved(rgb.convert("LA")),
        "turned": saved(rgb.transpose(Image.Transpose.ROTATE_90), "JPEG", quality=95, exif=exif),
        "animated": saved(rgb, "GIF", save_all=True, append_images=[ImageOps.invert(rgb)]),
        "WebP": saved(rgb, "WEBP", quality=95),
    }


@pytest.mark.parametrize("mode", modes())
def test_a_picture_looks_the_same_however_it_is_stored(loaded: Classifier, mode: str) -> None:
    model, original = loaded.compact.model, photos.example("drawn", 2)
    seen = model.prepare([read_image(modes()[mode])])
    colourless = mode in ("16 bit", "grey and alpha")
    expected = model.prepare([original.convert("L") if colourless else original])
    assert (seen - expected).abs().mean() < 0.03


def test_what_is_transparent_is_white(loaded: Classifier) -> None:
    seen = loaded.compact.model.prepare([read_image(saved(Image.new("RGBA", (40, 40), (200, 0, 0, 0))))])
    assert seen.min() == 1


@pytest.mark.parametrize("size", [(1, 1), (3, 200)])
def test_tiny_pictures_are_refused_in_one_sentence(size: tuple[int, int]) -> None:
    with pytest.raises(UploadError, match=f"only {size[0]} x {size[1]} pixels"):
        read_image(saved(Image.new("RGB", size)))


@pytest.mark.parametrize("size", [(4, 4), (4, 4000), (4000, 9), (3000, 2000)])
def test_pictures_of_any_size_are_answered_and_kept_small(loaded: Classifier, size: tuple[int, int]) -> None:
    seen = verdict.look_at(loaded, Image.new("RGB", size, "navy"))
    assert seen.image.shape == (1, 3, 32, 32)
    assert max(seen.picture.size) <= pictures.LARGEST
    shown = picture(views_classify.shown(seen.picture))
    assert max(shown.size) <= views_classify.SHOWN
    if min(size) > 9:
        assert shown.width / shown.height == pytest.approx(size[0] / size[1], rel=0.01)  # as it came


# ---- links ----


def test_a_link_comes_back_to_the_same_picture(loaded: Classifier) -> None:
    seen = verdict.from_example(loaded, 3)
    query = dict(pair.split("=") for pair in verdict.as_query(seen).split("&"))
    assert query == {"tab": "classify", "model": TINY_CNN, "start": "example-4"}
    again = verdict.from_query(query, loaded)
    assert again.answers == seen.answers
    assert "start" not in verdict.as_query(replace(seen, start="upload"))


@pytest.mark.parametrize("start", ["example-0", "example-99", "example-x", "drawing"])
def test_links_that_are_not_ours_are_refused(loaded: Classifier, start: str) -> None:
    with pytest.raises(UploadError):
        verdict.from_query({"start": start}, loaded)


def test_the_snippet_runs(loaded: Classifier, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = verdict.opening(loaded)
    seen.picture.save(tmp_path / "picture.png")
    monkeypatch.chdir(tmp_path)
    found: dict[str, object] = {}
    exec(verdict.as_python(seen), found)
    assert found["best"] == seen.answers[0].top()[0][0]
    assert found["out_of_scope"] is not seen.in_scope


def test_another_model_sees_an_upload_and_else_its_own_example(loaded: Classifier) -> None:
    clothes = Models().classifier(CLOTHES)
    upload = verdict.look_at(loaded, Image.new("RGB", (50, 40), "red"))
    assert verdict.with_model(upload, clothes).picture is upload.picture
    assert verdict.with_model(verdict.from_example(loaded, 3), clothes).start == "example-1"


# ---- the square, where they looked, and many at once ----


def test_the_square_that_is_chosen_is_what_the_networks_see(
    loaded: Classifier, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flag = Image.new("RGB", (120, 40))
    for i, colour in enumerate(("red", "lime", "blue")):
        flag.paste(colour, (40 * i, 0, 40 * i + 40, 40))
    seen = verdict.look_at(loaded, flag)
    for at, channel in ((0.0, 0), (0.5, 1), (1.0, 2)):
        moved = verdict.moved(seen, loaded, at)
        assert moved.image.mean((0, 2, 3)).tolist() == pytest.approx(torch.eye(3)[channel].tolist(), abs=0.02)
        assert moved.picture is seen.picture
    flag.save(tmp_path / "picture.png")
    monkeypatch.chdir(tmp_path)
    found: dict[str, object] = {}
    exec(verdict.as_python(moved), found)
    assert found["best"] == moved.answers[0].top()[0][0]
    query = dict(pair.split("=") for pair in verdict.as_query(replace(moved, start="example-1")).split("&"))
    assert verdict.from_query(query, loaded).at == 1.0
    with pytest.raises(UploadError, match="from 0 to 1"):
        verdict.from_query({"start": "example-1", "at": "2"}, loaded)


def test_where_a_network_looked_adds_up_to_what_it_says(loaded: Classifier) -> None:
    seen = verdict.opening(loaded)
    model = loaded.compact.model
    maps = class_activation(model, seen.image)
    assert maps is not None
    expected = model(seen.image)
    assert torch.allclose(maps.mean((2, 3)) + model.network[-1][-1].bias, expected, atol=1e-3)  # type: ignore[index]
    shown = views_classify.looked(seen, loaded)
    assert len(shown["nets"]) == 2  # type: ignore[arg-type]
    for net, answer in zip(shown["nets"], seen.answers, strict=True):  # type: ignore[arg-type]
        assert [c["name"] for c in net["classes"]] == [name for name, _ in answer.top(3)]
        assert all(max(map(max, c["heat"])) in (0, 1) for c in net["classes"])
    pooled = CompactCNN("resnet9@0.1", ("a", "b")).eval()  # its maps are pooled to one place by their maximum
    assert class_activation(pooled, torch.rand(1, 3, 32, 32)) is None


def test_many_photos_come_back_as_a_table_without_formulas(loaded: Classifier) -> None:
    said = many.classify(loaded, "balanced", photos.example("drawn", 0))
    best = said["top"][0]  # type: ignore[index, call-overload]
    assert best["name"] == verdict.opening(loaded).answers[0].top()[0][0]
    made = many.sum_up([["=1.jpg", best["name"], best["p"]], ["half.jpg", None, 0], ["b", "cat", 1]], 2.5)
    assert made["csv"].splitlines()[:3:2] == ["file,label,probability", "half.jpg,,"]  # type: ignore[union-attr]
    assert made["csv"].splitlines()[1].startswith("'=1.jpg,")  # type: ignore[union-attr]
    assert made["notes"] == ["Files that are no pictures and got no label: 1."]
    for wrong in (None, [["a"]], [[1, "b", 0]], [["a", "b", 7]], [["a", None, 0]] * (many.MOST + 1)):
        with pytest.raises(UploadError):
            many.sum_up(wrong, 1)


# ---- treemaps ----


@pytest.mark.parametrize(
    "values", [[1], [6, 6, 4, 3, 2, 2, 1], [1, 5, 0, 100, 3], [1000, *[1] * 30], [2] * 17]
)
def test_a_treemap_is_proportional_and_covers_everything_once(values: list[int]) -> None:
    width, height = 100.0, 62.0
    places = treemap(values, width, height)
    areas = [w * h for _, _, w, h in places]
    assert areas == pytest.approx([v / sum(values) * width * height for v in values])
    for x, y, w, h in places:
        assert -1e-6 <= x <= x + w <= width + 1e-6
        assert -1e-6 <= y <= y + h <= height + 1e-6
    for (a, b, c, d), (x, y, w, h) in combinations([p for p in places if p[2]], 2):
        assert min(a + c, x + w) - max(a, x) < 1e-6 or min(b + d, y + h) - max(b, y) < 1e-6


def test_a_treemap_is_squarish() -> None:
    places = treemap([6, 6, 4, 3, 2, 2, 1], 6, 4)  # the example of the paper
    assert max(max(w / h, h / w) for _, _, w, h in places) < 3


@pytest.mark.parametrize("values", [[], [0, 0], [1, -1]])
def test_no_treemap_of_nothing(values: list[int]) -> None:
    with pytest.raises(ValueError, match="treemap"):
        treemap(values)


# ---- what the components get ----


def test_counts_are_the_networks_own(loaded: Classifier) -> None:
    assert loaded.dense is not None
    for net, part in zip(loaded.nets(), views_classify.parts(loaded), strict=True):
        assert net.parameters == sum(p.numel() for p in net.model.parameters())
        assert part["total"] == sum(layer["parameters"] for layer in part["parts"]) == net.parameters
        assert net.macs == sum(layer["macs"] for layer in part["parts"])
    costs = views_classify.costs(verdict.opening(loaded), loaded, [(2.0,) * 9, (3.0,) * 9])
    rows = {row["label"]: row for row in costs["rows"]}
    assert rows["Parameters"]["values"] == [f"{net.parameters:,}" for net in loaded.nets()]
    assert rows["Parameters"]["ratio"] == ratio([net.parameters for net in loaded.nets()])
    assert rows["Time on this machine"]["ratio"] == "1.5x faster (1.5 to 1.5)"
    assert rows["Accuracy"]["values"] == ["50.0 %", "60.0 %"]
    frame = views_classify.parts(loaded)[1]["inside"]
    assert frame == pytest.approx(loaded.compact.parameters / loaded.dense.parameters)


def test_kernels_of_every_tied_layer_can_be_drawn(loaded: Classifier) -> None:
    for name in tied_layers(loaded.compact.model):
        drawn = views_classify.draw_layer(loaded, name)
        assert all(picture(drawn[part]).mode == "RGBA" for part in ("shared", "tied", "dense"))
        assert "in place of" in drawn["numbers"]
    with pytest.raises(UploadError):
        views_classify.draw_layer(loaded, "no such layer")


def test_colours_are_white_at_zero_and_symmetric_in_strength() -> None:
    low, zero, high = views_classify.colours(torch.tensor([-1.0, 0.0, 1.0]))
    assert zero.min() > 0.95
    assert low[2] > low[0]  # blue
    assert high[0] > high[2]  # orange


@pytest.mark.parametrize(
    ("found", "count"),
    [
        (None, 0),
        ({"points": "no"}, 0),
        ({"points": [{"network": "a"}, 3, {"network": "b", "parameters": 1, "macs": 2, "accuracy": 0.5}]}, 1),
    ],
)
def test_a_front_that_is_missing_or_damaged_leaves_out_what_cannot_be_drawn(
    loaded: Classifier, found: dict[str, object] | None, count: int
) -> None:
    assert len(views_classify.front(replace(loaded, front=found))["points"]) == count


# ---- models ----


def test_a_twin_is_shown_beside_its_compact_network_only(in_weights: Path) -> None:
    models = Models()
    assert DENSE_CNN not in models.classifiers()
    assert {TINY_CNN, CLOTHES} <= set(models.classifiers())
    assert models.classifier(TINY_CNN) is models.classifier(TINY_CNN)
    assert models.classifier(CLOTHES).dense is None
    with pytest.raises(WeightsError, match="no model called"):
        models.classifier("../etc")


def test_without_any_classifier_the_tab_says_how_to_get_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WEIGHTS_DIR", str(tmp_path))
    tab = Classify(Models())
    _, *values = tab.open(SimpleNamespace(query_params={}))  # type: ignore[arg-type]
    assert len(values) == tab.answers
    assert "python -m classifiers.train" in values[2]["note"]
    with pytest.raises(UploadError, match="classifiers.train"):
        tab.example(None, SimpleNamespace(_data={"index": 0}))  # type: ignore[arg-type]


def test_half_a_twin_leaves_the_compact_network_alone(in_weights: Path, tmp_path: Path) -> None:
    for name in (TINY_CNN, DENSE_CNN):
        shutil.copytree(in_weights / name, tmp_path / name)
    whole = (tmp_path / DENSE_CNN / "model.safetensors").read_bytes()
    (tmp_path / DENSE_CNN / "model.safetensors").write_bytes(whole[:200])
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WEIGHTS_DIR", str(tmp_path))
        assert Models().classifier(TINY_CNN).dense is None


def test_without_a_twin_everything_is_shown_alone(in_weights: Path) -> None:
    alone = Models().classifier(CLOTHES)
    seen = verdict.opening(alone)
    assert [net["title"] for net in views_classify.answers(seen, alone)["nets"]] == ["The network"]
    assert all(row["ratio"] == "" for row in views_classify.costs(seen, alone, [(1.0,) * 9])["rows"])
    assert views_classify.kernel_layers(alone)["drawn"]["dense"] is None
    assert views_classify.front(alone)["points"] == []


# ---- plans ----


@pytest.fixture(scope="module")
def planned(tmp_path_factory: pytest.TempPathFactory) -> Classifier:
    """Of a network whose smallest plan a search has named."""
    torch.manual_seed(0)
    root = tmp_path_factory.mktemp("planned")
    model = CompactCNN("mobilenetv2@0.25", ("a", "b", "c"), size=32).eval()
    small = smallest_plan(model.network, 32)
    facts = {"full": PlanFacts(full_plan(model.network, 32)), "fastest": PlanFacts(small, 0.8, 50)}
    norms = {"fastest": model.calibrated(small, torch.rand(16, 3, 32, 32))}
    metrics = {"test": {"n": 40, "accuracy": 0.9}}
    model.with_plans(facts, norms).save_pretrained(root / "mine", metrics=metrics)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WEIGHTS_DIR", str(root))
        return Models().classifier("mine")


def test_the_slider_switches_plans_and_says_what_each_takes(planned: Classifier) -> None:
    seen = verdict.look_at(planned, photos.example("drawn", 0))
    assert seen.plan == "full"  # nobody named a balanced one
    shorter = verdict.with_plan(seen, planned, "fastest")
    model = planned.compact.model
    for plan, answer in zip(("fastest", "full"), shorter.answers, strict=True):
        expected = model.predict(seen.image, plan)[0].tolist()
        assert list(answer.probabilities) == pytest.approx(expected, abs=1e-5)
    shown = views_classify.plans(shorter, planned)
    assert shown is not None
    assert [stop["name"] for stop in shown["stops"]] == ["full", "fastest"]  # type: ignore[union-attr, index, call-overload]
    assert "Right in 80.0 % of 50 validation photos" in str(shown["stops"])
    costs = views_classify.costs(shorter, planned, [(1.0,) * 9, (2.0,) * 9])
    assert costs["titles"] == ["This plan", "All of the network"]
    rows = {row["label"]: row for row in costs["rows"]}  # type: ignore[union-attr, index, call-overload]
    assert rows["Time on this machine"]["ratio"].startswith("2.0x faster")
    assert "fewer" in rows["Parameters"]["ratio"]
    assert planned.planned("fastest").macs < planned.compact.macs
    for plan in ("full", "fastest"):
        maps = class_activation(model, seen.image, plan)
        assert maps is not None
        head = model.planned(plan).head[-1]
        expected = model.logits(seen.image, plan)
        assert torch.allclose(maps.mean((2, 3)) + head.bias, expected, atol=1e-3)  # type: ignore[operator]
    assert many.classify(planned, "fastest", seen.picture)["top"]


def test_a_plan_is_in_the_link_and_in_the_program(
    planned: Classifier, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = verdict.with_plan(verdict.opening(planned), planned, "fastest")
    query = dict(pair.split("=") for pair in verdict.as_query(seen).split("&"))
    assert verdict.from_query(query, planned).answers == seen.answers
    assert 'plan="fastest"' in verdict.as_python(seen)
    assert verdict.as_json("mine", seen.plan, seen.answers[0])["plan"] == "fastest"
    for wrong in ("no-such", 3, None):
        with pytest.raises(UploadError, match="must be one of"):
            planned.plan(wrong)


def test_a_network_without_plans_knows_all_of_itself_only(loaded: Classifier) -> None:
    assert loaded.plan("balanced") == loaded.plan("full") == "full"
    assert views_classify.plans(verdict.opening(loaded), loaded) is None
    with pytest.raises(UploadError, match="The plan"):
        loaded.plan("fastest")
