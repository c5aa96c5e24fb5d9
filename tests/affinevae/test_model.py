"""The model's bound is a bound, its scorer turns with the image, its public methods refuse nonsense."""

from __future__ import annotations

import math

import pytest
import torch
from torch.distributions import Bernoulli, Normal, kl_divergence

from affinevae import AffineVAE
from affinevae.affine import GROUPS, warp
from affinevae.evaluate import importance_bound
from affinevae.model import bernoulli_nll, gaussian_kl, gaussian_log_prob
from affinevae.pose import ANGLES


def tiny(group: str = "rotation", **kwargs: object) -> AffineVAE:
    torch.manual_seed(0)
    model = AffineVAE((16, 16), latent_dim=3, width=32, features=4, group=group, **kwargs)  # type: ignore[arg-type]
    # Spread the code so that poses and images differ; an untrained decoder hardly looks at z.
    with torch.no_grad():
        model.decoder.draw[0].weight.mul_(20)
        model.encoder.trunk[-1].weight.mul_(4)
    return model.eval()


def pictures(n: int = 6) -> torch.Tensor:
    return torch.rand(n, 1, 16, 16, generator=torch.Generator().manual_seed(1)) ** 4


def test_elbo_terms_match_torch_distributions() -> None:
    logits, image = torch.randn(4, 1, 8, 8), torch.rand(4, 1, 8, 8).round()
    expected = -Bernoulli(logits=logits).log_prob(image).sum((1, 2, 3))
    torch.testing.assert_close(bernoulli_nll(logits, image), expected)
    mean, log_var = torch.randn(4, 3), torch.randn(4, 3)
    q, p = Normal(mean, (0.5 * log_var).exp()), Normal(0.0, 1.0)
    torch.testing.assert_close(gaussian_kl(mean, log_var), kl_divergence(q, p).sum(1))
    z = torch.randn(4, 3)
    torch.testing.assert_close(gaussian_log_prob(z, mean, log_var), q.log_prob(z).sum(1))


def test_rate_is_the_rate_of_the_sampled_sigma() -> None:
    """KL and sampling use the same sigma: E_q[log q(z) - log p(z)] over samples equals the closed form."""
    mean, log_var = torch.tensor([[0.5, -1.0]]), torch.tensor([[-1.0, 0.3]])
    z = mean + torch.randn(200_000, 2, generator=torch.Generator().manual_seed(0)) * (0.5 * log_var).exp()
    estimate = (
        gaussian_log_prob(z, mean, log_var) - gaussian_log_prob(z, torch.zeros(2), torch.zeros(2))
    ).mean()
    assert estimate == pytest.approx(gaussian_kl(mean, log_var).item(), abs=0.02)


@pytest.mark.parametrize("group", ["none", "rotation", "affine"])
def test_importance_bound_is_tighter_than_the_elbo(group: str) -> None:
    model, image = tiny(group), pictures(32)
    elbo = torch.stack([(c := model.encode(image, seed=s)).nll + c.pose_nats for s in range(8)]).mean()
    one, many = (importance_bound(model, image, samples=n).mean() for n in (1, 64))
    assert many <= one + 0.05
    assert many <= elbo + 0.05


def test_importance_bounds_have_as_many_samples_with_a_pose_as_without() -> None:
    image, decoded = pictures(6), {}
    for group in ("none", "rotation"):
        model, counts = tiny(group), []
        model.decoder.register_forward_hook(lambda _, given, __, c=counts: c.append(len(given[0])))
        model.search(image)
        searching = sum(counts)
        counts.clear()
        importance_bound(model, image, samples=20)
        decoded[group] = sum(counts) - searching
    assert decoded == {"none": 120, "rotation": 120}


def test_pose_is_charged_at_most_log_k() -> None:
    model = tiny()
    for effort in ("fast", "best"):
        code = model.encode(pictures(), effort)
        assert (code.pose_nats >= -1e-5).all()
        assert (code.pose_nats <= math.log(ANGLES) + 1e-5).all()
    none = model.encode(pictures(), "none")
    torch.testing.assert_close(none.pose, torch.zeros(6, 1))
    assert (tiny("none").encode(pictures()).pose_nats == 0).all()


def test_more_effort_never_costs_more() -> None:
    model = tiny()
    cost = [-torch.logsumexp(-model.search(pictures(), e).cost, 1) for e in ("none", "fast", "best")]
    assert (cost[2] <= cost[1] + 1e-4).all()
    assert (cost[2] <= cost[0] + 1e-4).all()


@pytest.mark.parametrize("cells", [1, 8, 31])
def test_scorer_turns_with_the_image(cells: int) -> None:
    model = tiny()
    axis = torch.linspace(-1, 1, 16)
    y, x = torch.meshgrid(-axis, axis, indexing="ij")
    image = torch.exp(-((x - 0.3) ** 2 + 2 * (y - 0.2) ** 2) / 0.1)[None, None]
    turned = warp(image, GROUPS["rotation"].inverse(torch.tensor([[cells * 2 * math.pi / ANGLES]])))
    assert model.scorer is not None
    a, b = model.scorer(image), model.scorer(turned)
    assert (a.roll(cells, 1) - b).abs().max() < 0.15 * (a.max() - a.min())


def test_decode_turns_what_encode_straightened() -> None:
    model, z = tiny(), torch.randn(4, 3)
    quarter = torch.full((4, 1), math.pi / 2)
    upright = model.decode(z)
    torch.testing.assert_close(model.decode(z, quarter), torch.rot90(upright, 1, (2, 3)), atol=1e-4, rtol=0)


def test_codes_do_not_depend_on_the_batch() -> None:
    model, image = tiny(), pictures(5)
    together, alone = model.encode(image), model.encode(image[2:3])
    torch.testing.assert_close(together.z[2:3], alone.z, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(together.pose[2:3], alone.pose, atol=1e-4, rtol=1e-4)


def test_symmetric_images_keep_their_alternatives() -> None:
    """A picture equal to its half turn has both poses, with about the same probability."""
    image = pictures(8)
    image = 0.5 * (image + torch.rot90(image, 2, (2, 3)))
    code = tiny().encode(image, "best")
    two = code.mode_probs[:, :2]
    assert (two[:, 1] > 0.1).float().mean() > 0.4
    torch.testing.assert_close(code.mode_probs.sum(1), torch.ones(8))


def test_from_vae_freezes_and_shares_the_vae() -> None:
    plain = tiny("none")
    wrapped = AffineVAE.from_vae(plain)
    before = [p.clone() for p in plain.parameters()]
    image = torch.rot90(pictures(), 1, (2, 3))
    code = wrapped.encode(image, "best")
    assert wrapped.scorer is None
    assert all(torch.equal(a, b) for a, b in zip(before, plain.parameters(), strict=True))
    assert all(p.grad is None for p in plain.parameters())
    # Searching cannot fit worse than not searching: identity is among the evaluated poses.
    table = wrapped.search(image, "best")
    identity = wrapped.search(image, "none")
    assert (table.cost.amin(1) <= identity.cost.amin(1) + 1e-4).all()
    assert code.pose.abs().max() > 0.01


def test_search_leaves_no_trace_in_the_model() -> None:
    model = tiny().train()
    before = {k: v.clone() for k, v in model.state_dict().items()}
    model.search(pictures().requires_grad_())
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
    assert all(p.grad is None for p in model.parameters())
    assert model.training


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda m: m.encode(torch.zeros(1, 1, 8, 8)), "shape"),
        (lambda m: m.encode(torch.zeros(0, 1, 16, 16)), "at least one"),
        (lambda m: m.encode(torch.full((1, 1, 16, 16), 2.0)), r"\[0, 1\]"),
        (lambda m: m.encode(torch.full((1, 1, 16, 16), torch.nan)), "finite"),
        (lambda m: m.encode(torch.zeros(1, 1, 16, 16), "hard"), "effort"),
        (lambda m: m.encode(torch.full((1, 1, 16, 16), 255, dtype=torch.uint8)), "divide them by 255"),
        (lambda m: m.encode(torch.zeros(1, 1, 16, 16, dtype=torch.complex64)), "not complex numbers"),
        (lambda m: m.encode(torch.zeros(1, 1, 16, 16).numpy()), "not ndarray: torch.from_numpy makes one"),
        (lambda m: m.encode([torch.zeros(1, 16, 16)]), "not list"),
        (lambda m: m.decode(torch.zeros(1, 3).numpy()), "z must be a torch tensor"),
        (lambda m: m.sample(1.5), "n must be a whole number"),
        (lambda m: m.decode(torch.full((1, 3), torch.nan)), "z must be finite"),
        (lambda m: m.decode(torch.zeros(1, 4)), "z must have shape"),
        (lambda m: m.decode(torch.zeros(2, 3), torch.zeros(1, 1)), "one pose for each"),
        (lambda m: m.decode(torch.zeros(1, 3), torch.zeros(1, 2)), "pose must have shape"),
        (lambda m: m.sample(0), "at least 1"),
        (lambda m: AffineVAE((30, 30)), "multiple of 4"),
        (lambda m: AffineVAE((16, 32)), "square"),
        (lambda m: AffineVAE(channels=2), "channels"),
        (lambda m: AffineVAE(latent_dim=0), "latent_dim"),
        (lambda m: AffineVAE(group="warp"), "unknown pose group"),
    ],
)
def test_nonsense_is_refused_with_a_sentence(call, sentence: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ValueError, match=sentence):
        call(tiny())


def test_samples_are_reproducible_and_turned() -> None:
    model = tiny()
    torch.testing.assert_close(model.sample(3, seed=5), model.sample(3, seed=5))
    pose = torch.full((3, 1), math.pi)
    turned = model.sample(3, pose, seed=5)
    torch.testing.assert_close(turned, torch.rot90(model.sample(3, seed=5), 2, (2, 3)), atol=1e-4, rtol=0)


def test_rgb_and_other_sizes(tmp_path) -> None:  # type: ignore[no-untyped-def]
    model = AffineVAE((24, 24), channels=3, latent_dim=2, group="similarity", width=16, features=4).eval()
    code = model.encode(torch.rand(2, 3, 24, 24))
    assert code.pose.shape == (2, 4)
    assert model.decode(code.z, code.pose).shape == (2, 3, 24, 24)
    model.save_pretrained(tmp_path / "m")
    again = AffineVAE.from_pretrained(tmp_path / "m")
    assert again.config == model.config
    torch.testing.assert_close(again.decode(code.z), model.decode(code.z))
