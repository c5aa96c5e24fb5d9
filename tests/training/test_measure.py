"""Counting is checked against formulas on paper; of times only the bookkeeping is."""

import subprocess

import pytest
import torch
from torch import nn

from training.measure import commit, compare, interval, latency, machine, macs, parameters


def test_parameters_count_shared_weights_once():
    linear = nn.Linear(5, 5)
    assert parameters(linear) == 5 * 5 + 5
    assert parameters(nn.Sequential(linear, nn.ReLU(), linear)) == 5 * 5 + 5


@pytest.mark.parametrize(
    ("module", "shape", "expected"),
    [
        (nn.Linear(7, 11), (3, 7), 3 * 7 * 11),
        (nn.Linear(7, 11, bias=False), (7,), 7 * 11),
        (nn.Conv2d(3, 8, 5, stride=2, padding=2), (2, 3, 16, 16), 2 * 8 * 8 * 8 * 3 * 25),
        (nn.Conv2d(6, 6, 3, padding=1, groups=6), (1, 6, 10, 10), 6 * 10 * 10 * 9),
        (nn.ConvTranspose2d(4, 2, 4, stride=2, padding=1), (1, 4, 8, 8), 4 * 2 * 16 * 8 * 8),
        (nn.Conv3d(1, 4, 3, padding=1), (1, 1, 6, 6, 6), 4 * 27 * 6**3),
    ],
)
def test_macs_equal_the_formula(module, shape, expected):
    assert macs(module, torch.randn(shape)) == expected


def test_macs_see_into_attention():
    width, tokens = 8, 5
    layer = nn.TransformerEncoderLayer(width, 2, dim_feedforward=16, batch_first=True)
    projections = tokens * (4 * width * width + 2 * width * 16)
    assert macs(layer, torch.randn(1, tokens, width)) == projections + 2 * tokens * tokens * width
    assert torch.backends.mha.get_fastpath_enabled()


def test_macs_leave_the_module_as_it_was():
    network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Dropout())
    network[1].eval()
    before = network[1].running_mean.clone()
    macs(network, torch.randn(4, 1, 8, 8))
    assert [m.training for m in network] == [True, False, True]
    assert torch.equal(network[1].running_mean, before)


def test_latency_runs_in_inference_mode_and_restores_threads():
    before = torch.get_num_threads()
    seen = []

    def work():
        seen.append((torch.is_inference_mode_enabled(), torch.get_num_threads()))

    result = latency(work, warmup=2, repeats=5, threads=2)
    assert seen == [(True, 2)] * 7
    assert (result.repeats, result.threads) == (5, 2)
    assert 0 <= result.min_ms <= result.median_ms <= result.p90_ms
    assert torch.get_num_threads() == before


def test_threads_are_restored_after_an_error():
    before = torch.get_num_threads()
    with pytest.raises(ZeroDivisionError):
        latency(lambda: 1 / 0, threads=before + 1)
    assert torch.get_num_threads() == before


def test_compare_takes_turns():
    calls = []
    functions = {name: lambda name=name: calls.append(name) for name in "ab"}
    result = compare(functions, rounds=2, repeats=2, warmup=0)
    assert "".join(calls) == "aabbbbaa"
    assert list(result) == ["a", "b"]
    assert result["a"].repeats == result["b"].repeats == 4


@pytest.mark.parametrize("wrong", ["rounds", "repeats", "threads"])
def test_compare_refuses_to_measure_nothing(wrong):
    with pytest.raises(ValueError, match="at least 1"):
        compare({"a": int}, **{wrong: 0})


def test_machine_names_no_host():
    import platform

    info = machine()
    assert set(info) == {"cpu", "cores", "threads", "torch", "python", "system"}
    assert info["cpu"]
    assert platform.node() not in (str(value) for value in info.values())


def test_commit_says_what_is_tracked_and_modified(tmp_path):
    def git(*words):
        identity = ("-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false")
        return subprocess.run(["git", "-C", tmp_path, *identity, *words], check=True, capture_output=True)

    file = tmp_path / "code.py"
    file.write_text("a = 1\n")
    assert commit(file) is None
    git("init")
    assert commit(file) is None
    git("add", "code.py")
    git("commit", "-m", "first")
    short = git("rev-parse", "--short", "HEAD").stdout.decode().strip()
    assert commit(file) == short
    file.write_text("a = 2\n")
    assert commit(file) == f"{short}+dirty"


def test_commit_without_git(monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert commit() is None


def test_an_interval_of_a_share_is_that_of_wilson():
    assert interval(8, 10) == pytest.approx((0.4902, 0.9433), abs=1e-4)  # Newcombe 1998, method 3
    assert interval(0, 20)[0] == pytest.approx(0)
    assert interval(20, 20)[1] == pytest.approx(1)
    with pytest.raises(ValueError, match="hits"):
        interval(3, 2)
