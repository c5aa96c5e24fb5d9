"""What a tutorial of the Hub shows, on every class: it is the push command, or one sentence that says what would do."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hub import TOKEN, FakeHub
from tiny import Tiny

import weights
from affinevae import AffineVAE
from classifiers import CompactCNN
from textclf import TextClassifier
from weights import WeightsError
from weights.__main__ import main
from weights.push import Pushed

MODELS: dict[str, Callable[[], Any]] = {
    "affinevae": lambda: AffineVAE((8, 8), latent_dim=2, width=8, features=2, blocks=1),
    "classifiers": lambda: CompactCNN("resnet20@0.25", ["a", "b"], size=8),
    "textclf": lambda: TextClassifier(
        ("a", "b"), tokenizer=4, vocabulary=10, hidden=8, layers=2, heads=2, intermediate=8, longest=8
    ),
}
CARD = "---\nlibrary_name: tinylib\nlicense: apache-2.0\n---\n\n# mine\n\nAccuracy: 0.5.\n"
REPO = "me/tiny"


@pytest.fixture(params=MODELS)
def fresh(request: pytest.FixtureRequest) -> Any:
    """A model in memory that was never saved."""
    torch.manual_seed(0)
    return MODELS[request.param]().eval()


@pytest.fixture
def token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", TOKEN)


def same(a: Any, b: Any) -> bool:
    return all(torch.equal(t, b.state_dict()[name]) for name, t in a.state_dict().items())


@pytest.mark.usefixtures("token")
def test_a_model_that_was_never_saved(fresh: Any, fake_hub: FakeHub) -> None:
    made = fresh.push_to_hub(REPO)
    repo = fake_hub.repos[REPO]
    assert repo.private
    assert len(repo.commits) == 2  # with the empty one
    assert made == made.url == f"{fake_hub.url}/{REPO}/commit/{made.commit}"
    assert set(fake_hub.files(REPO)) == {"README.md", "config.json", "model.safetensors"}
    card = fake_hub.files(REPO)["README.md"].decode()
    assert "# tiny\n" in card
    assert "not evaluated" in card
    assert "license: apache-2.0\n" in card
    back = eval(made.line, {type(fresh).__name__: type(fresh)})
    assert same(fresh, back)
    assert not back.training
    assert fresh.saved_in is None


@pytest.mark.usefixtures("token")
def test_a_saved_model_goes_with_its_card_and_what_lies_beside_it(
    fresh: Any, fake_hub: FakeHub, tmp_path: Path
) -> None:
    folder = fresh.save_pretrained(tmp_path / "m", metrics={"accuracy": 0.5}, card=CARD, half=True)
    for model in (type(fresh).from_pretrained(folder), fresh):
        model.push_to_hub(REPO)
        files = fake_hub.files(REPO)
        assert "Accuracy: 0.5." in files["README.md"].decode()
        assert json.loads(files["metrics.json"]) == {"accuracy": 0.5}
        assert files["model.safetensors"] == (folder / "model.safetensors").read_bytes()


@pytest.mark.usefixtures("token")
def test_a_model_that_was_changed_since_does_not_go_with_numbers_of_before(
    fresh: Any, fake_hub: FakeHub, tmp_path: Path
) -> None:
    fresh.save_pretrained(tmp_path / "m", metrics={"accuracy": 0.5}, card=CARD)
    with torch.no_grad():
        next(fresh.parameters()).add_(1)
    fresh.push_to_hub(REPO)
    assert set(fake_hub.files(REPO)) == {"README.md", "config.json", "model.safetensors"}
    assert "Accuracy" not in fake_hub.files(REPO)["README.md"].decode()
    assert same(fresh, type(fresh).from_pretrained(REPO))


@pytest.mark.usefixtures("token")
def test_save_and_push_in_one(fresh: Any, fake_hub: FakeHub, tmp_path: Path) -> None:
    fresh.save_pretrained(tmp_path / "m", push_to_hub=True, repo_id=REPO, card=CARD, commit_message="First")
    assert (tmp_path / "m" / "README.md").read_text() == CARD
    assert "Accuracy: 0.5." in fake_hub.files(REPO)["README.md"].decode()
    assert fake_hub.repos[REPO].messages == [("First", "")]


@pytest.mark.usefixtures("token")
def test_a_shipped_model_goes_as_it_is(fake_hub: FakeHub) -> None:
    AffineVAE.from_pretrained("vae-mnist").push_to_hub("me/vae")
    files, own = fake_hub.files("me/vae"), weights.folder("vae-mnist")
    assert set(files) == {path.name for path in own.iterdir()}
    assert files["map.safetensors"] == (own / "map.safetensors").read_bytes()


@pytest.mark.usefixtures("token")
def test_what_a_repository_had_of_the_model_before_goes(
    fake_hub: FakeHub, tmp_path: Path, model: Tiny
) -> None:
    old = model.save_pretrained(tmp_path / "old", metrics={"n": 1}, card=CARD)
    (old / "model.onnx").write_bytes(b"graph of the weights before")
    (old / "notes.md").write_text("the owner's")
    (old / "draft.md").write_text("the owner's")
    fake_hub.push(REPO, old)
    Tiny(2, scales=[]).push_to_hub(REPO, private=False, delete_patterns="draft*")
    assert set(fake_hub.files(REPO)) == {"README.md", "config.json", "model.safetensors", "notes.md"}


@pytest.mark.usefixtures("token")
def test_the_arguments_of_the_mixin(fake_hub: FakeHub, model: Tiny) -> None:
    model.push_to_hub(
        REPO, private=False, commit_message="One", commit_description="Two", token=TOKEN, config=None,
        ignore_patterns=["*.bin"], allow_patterns="*", model_card_kwargs=None, card=CARD,
    )  # fmt: skip
    assert not fake_hub.repos[REPO].private
    assert fake_hub.repos[REPO].messages == [("One", "Two")]
    model.push_to_hub(REPO, private=False, branch="v2")
    model.push_to_hub(REPO, private=False, revision="v3")
    assert {"v2", "v3"} <= fake_hub.repos[REPO].refs.keys()
    pulled = model.push_to_hub(REPO, private=False, create_pr=True)
    assert pulled == f"{fake_hub.url}/{REPO}/discussions/1"
    assert fake_hub.repos[REPO].refs["refs/pr/1"] == pulled.commit
    assert isinstance(pulled, Pushed)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"config": {"width": 3}}, "config.json holds the arguments that the model was made with"),
        ({"model_card_kwargs": {"a": 1}}, "pass its text as card"),
        ({"branch": "a", "revision": "b"}, "name one"),
        (
            {"allow_patterns": "*.json"},
            "a model on the Hub has README.md, model.safetensors: let the patterns",
        ),
        ({"ignore_patterns": ["config.json"]}, "a model on the Hub has config.json"),
        ({"safe_serialization": False}, "weights are safetensors always"),
        ({"max_shard_size": "5GB"}, "weights are one file"),
        ({"nonsense": 1}, "push_to_hub cannot use nonsense: push_to_hub takes private, token, branch"),
        ({"token": False}, "HF_TOKEN is not set and nobody is logged in"),
        ({"card": "---\na: [\n---\n"}, "front matter"),
    ],
)
@pytest.mark.usefixtures("token")
def test_what_is_refused_before_anything_is_sent(
    given: dict[str, Any], words: str, fake_hub: FakeHub, model: Tiny
) -> None:
    with pytest.raises(WeightsError, match=words) as caught:
        model.push_to_hub(REPO, **given)
    assert "\n" not in str(caught.value)
    assert fake_hub.requests == []


@pytest.mark.usefixtures("token")
@pytest.mark.parametrize("repo", ["tiny", "a/b/c", "", None, 5, "me/tiny ", "https://huggingface.co/me/tiny"])
def test_what_is_no_repository(repo: Any, fake_hub: FakeHub, model: Tiny) -> None:
    with pytest.raises(WeightsError, match="is no repository: write owner/name"):
        model.push_to_hub(repo)
    assert fake_hub.requests == []


@pytest.mark.usefixtures("token")
def test_nothing_is_published_unasked(
    fake_hub: FakeHub, model: Tiny, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    fake_hub.push(REPO, model.save_pretrained(tmp_path / "m", card=CARD))
    before = dict(fake_hub.repos[REPO].commits)
    for private in (None, True):
        with pytest.raises(WeightsError, match="me/tiny is public already"):
            model.push_to_hub(REPO, private=private)
    assert main(["push", str(tmp_path / "m"), "--repo", REPO]) == 2
    assert "is public already" in capsys.readouterr().err
    assert fake_hub.repos[REPO].commits == before
    assert main(["push", str(tmp_path / "m"), "--repo", REPO, "--public"]) == 0


@pytest.mark.usefixtures("token")
def test_a_model_that_could_not_be_loaded_again_is_not_sent(fresh: Any, fake_hub: FakeHub) -> None:
    with torch.no_grad():
        next(fresh.parameters()).fill_(float("nan"))
    with pytest.raises(WeightsError, match="NaN or infinity"):
        fresh.push_to_hub(REPO)
    assert fake_hub.requests == []


# The other methods of the mixin --------------------------------------------------------------------------------------


def test_methods_that_the_mixin_brings(fresh: Any, tmp_path: Path) -> None:
    kind = type(fresh)
    fresh._save_pretrained(tmp_path / "m")
    for back in (
        kind._from_pretrained(model_id=str(tmp_path / "m"), revision=None, cache_dir=None, force_download=False,
                              local_files_only=False, token=None, map_location="cpu", strict=True),
        kind._load_as_safetensor(MODELS[kind._library()](), str(tmp_path / "m" / "model.safetensors"), "cpu", True),
        kind.from_pretrained(pretrained_model_name_or_path=tmp_path / "m", force_download=True, proxies=None),
    ):  # fmt: skip
        assert same(fresh, back)
    with pytest.raises(WeightsError, match="is a pickle, which can run code"):
        kind._load_as_pickle(fresh, "pytorch_model.bin", "cpu", True)
    with pytest.raises(WeightsError, match="leave strict out"):
        kind._load_as_safetensor(fresh, str(tmp_path / "m" / "model.safetensors"), strict=False)


def test_the_card_is_the_folders_or_one_without_results(fresh: Any, tmp_path: Path) -> None:
    plain = fresh.generate_model_card()
    assert plain.data.library_name == type(fresh)._library()
    assert "model_hub_mixin" not in plain.data.tags
    assert "not evaluated" in plain.text
    fresh.save_pretrained(tmp_path / "m", card=CARD)
    assert "Accuracy: 0.5." in fresh.generate_model_card().text
    with pytest.raises(WeightsError, match="a card here has no template"):
        fresh.generate_model_card(paper_url="x")


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"strict": False}, "leave strict out"),
        ({"proxies": {"https": "x"}}, "set HTTPS_PROXY"),
        ({"width": 3}, "from_pretrained cannot use width: from_pretrained takes revision, token"),
        ({"torch_dtype": "auto"}, r"call \.half\(\)"),
        ({"trust_remote_code": True}, "no code of a repository ever runs"),
        ({"subfolder": "x"}, "push each to its own"),
        ({"map_location": "nonsense"}, "map_location 'nonsense' is no device here"),
        ({"map_location": "cuda:99"}, "map_location 'cuda:99' is no device here"),
        ({"revision": "v1"}, "has no revision 'v1'"),
    ],
)
def test_loading_refuses_in_a_sentence(
    given: dict[str, Any], words: str, model: Tiny, tmp_path: Path
) -> None:
    folder = model.save_pretrained(tmp_path / "m")
    with pytest.raises(WeightsError, match=words) as caught:
        Tiny.from_pretrained(folder, **given)
    assert "\n" not in str(caught.value)


def test_saving_refuses_in_a_sentence(model: Tiny, tmp_path: Path) -> None:
    for given, words in (
        ({"config": {"a": 1}}, "config.json holds the arguments"),
        ({"state_dict": {}}, "load it into the model first"),
        ({"push_to_hub": True}, "pushing takes both"),
        ({"repo_id": REPO}, "pushing takes both"),
        ({"nonsense": 1}, "save_pretrained takes half, metrics, card"),
    ):
        with pytest.raises(WeightsError, match=words):
            model.save_pretrained(tmp_path / "m", **given)  # type: ignore[arg-type]
    assert not (tmp_path / "m").exists()


def test_a_cache_of_ones_own_and_a_fresh_download(fake_hub: FakeHub, model: Tiny, tmp_path: Path) -> None:
    commit = fake_hub.push(REPO, model.save_pretrained(tmp_path / "m"))
    own = tmp_path / "own"
    loaded = Tiny.from_pretrained(REPO, revision=commit, cache_dir=own)
    assert loaded.folder is not None
    assert own in loaded.folder.parents
    with pytest.raises(WeightsError, match="is not in the cache"):
        Tiny.from_pretrained(REPO, local_files_only=True)
    fake_hub.requests.clear()
    assert same(model, Tiny.from_pretrained(REPO, revision=commit, cache_dir=own, local_files_only=True))
    assert fake_hub.requests == []
    assert same(model, Tiny.from_pretrained(REPO, revision=commit, cache_dir=own, force_download=True))
    assert any(request.startswith("GET") and "model.safetensors" in request for request in fake_hub.requests)
    with pytest.raises(WeightsError, match="leave it or force_download out"):
        Tiny.from_pretrained(REPO, local_files_only=True, force_download=True)
    shutil.rmtree(own)


def test_a_repository_with_only_a_pickle(fake_hub: FakeHub, model: Tiny, tmp_path: Path) -> None:
    folder = model.save_pretrained(tmp_path / "m")
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    fake_hub.push(REPO, folder)
    with pytest.raises(WeightsError, match="a pickle is never loaded"):
        Tiny.from_pretrained(REPO)
    assert not any("pytorch_model.bin" in request for request in fake_hub.requests)
