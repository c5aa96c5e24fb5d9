"""The encoder is BERT, to the last digits that float32 has."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from tinytext import write_backbone

from textclf.encoder import MINILM, PACKAGE, backbone_folder, from_backbone
from textclf.tokens import Tokens, batch
from weights import WeightsError

TEXTS = ["word1 is good, word2 is bad", "awful", "lovely lovely word3 . word39"]


def agrees(folder: Path) -> float:
    """Largest difference to ``transformers`` on the tokens of a padded batch."""
    from transformers import AutoModel

    tokens = Tokens.from_folder(folder)
    ids, mask = batch(tokens.ids(TEXTS, 32), 40)
    with torch.no_grad():
        theirs = AutoModel.from_pretrained(folder).eval()(ids, attention_mask=mask).last_hidden_state
        ours = from_backbone(folder)(ids, mask)
    return float(((ours - theirs).abs() * mask[..., None]).max())


@pytest.mark.slow
def test_equals_transformers_bert(tmp_path: Path) -> None:
    assert agrees(write_backbone(tmp_path)) < 1e-5


@pytest.mark.slow
@pytest.mark.skipif(find_spec(PACKAGE) is None, reason="the backbone's package is not installed")
def test_equals_transformers_on_the_real_backbone() -> None:
    assert agrees(backbone_folder(MINILM)) < 1e-5


def test_equals_transformers_roberta(tmp_path: Path) -> None:
    """RoBERTa starts counting positions behind its padding token."""
    from transformers import RobertaConfig, RobertaModel

    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}
    config = RobertaConfig(
        vocab_size=60, max_position_embeddings=50, type_vocab_size=1, pad_token_id=1, **sizes
    )
    theirs = RobertaModel(config).eval()
    theirs.save_pretrained(tmp_path)
    ids = torch.randint(5, 60, (2, 20))
    with torch.no_grad():
        ours = from_backbone(tmp_path)(ids, torch.ones(2, 20))
        assert torch.allclose(ours, theirs(ids).last_hidden_state, atol=1e-5)


def test_bfloat16_attention_is_close(tmp_path: Path) -> None:
    encoder = from_backbone(write_backbone(tmp_path))
    ids, mask = torch.randint(5, 60, (2, 17)), torch.ones(2, 17)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        rough = encoder(ids, mask)
    assert torch.allclose(rough.float(), encoder(ids, mask), atol=0.15)


def test_other_architectures_are_refused(tmp_path: Path) -> None:
    folder = write_backbone(tmp_path)
    config = (folder / "config.json").read_text()
    (folder / "config.json").write_text(config.replace('"bert"', '"gpt2"'))
    with pytest.raises(WeightsError, match="gpt2"):
        from_backbone(folder)


def test_incomplete_weights_are_refused(tmp_path: Path) -> None:
    folder = write_backbone(tmp_path)
    (folder / "model.safetensors").write_bytes(b"\0" * 100)
    with pytest.raises(WeightsError, match="no complete BERT encoder"):
        from_backbone(folder)
