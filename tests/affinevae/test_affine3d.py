"""The rotations of the cube are a group, SO(3) is covered evenly, warps invert, shapes are normalised alike."""

from __future__ import annotations

import math

import pytest
import roma
import torch
from torch import Tensor

from affinevae import affine3d, solid
from affinevae.affine3d import GROUPS, ROTATIONS, SO3, cube_rotations, grid_spheres, turn, turn_exactly, warp
from affinevae.networks import TemplateScorer
from affinevae.pose import compose

NAMES = list(GROUPS)
MOVING = [name for name in NAMES if name != "none"]
SO = GROUPS["rotation"].rotations
assert isinstance(SO, SO3)


def poses(name: str, n: int = 16) -> Tensor:
    return GROUPS[name].sample(n, torch.Generator().manual_seed(3))


def blob(size: int = 24) -> Tensor:
    """A smooth, asymmetric shape well inside the ball."""
    axis = (torch.arange(size) + 0.5) * (2 / size) - 1
    x, y, z = torch.meshgrid(axis, axis, axis, indexing="ij")
    first = torch.exp(-((x - 0.2) ** 2 / 0.08 + y**2 / 0.05 + (z + 0.1) ** 2 / 0.15))
    second = torch.exp(-((x + 0.2) ** 2 + (y - 0.3) ** 2 + (z - 0.3) ** 2) / 0.05)
    return (first + 0.7 * second).clamp(0, 1)[None, None]


def test_the_24_rotations_form_a_group() -> None:
    rotations = cube_rotations()
    torch.testing.assert_close(torch.linalg.det(rotations), torch.ones(24))
    assert torch.equal(rotations[0], torch.eye(3))
    products = (rotations[:, None] @ rotations[None]).flatten(0, 1)
    members = {tuple(r.flatten().int().tolist()) for r in rotations}
    assert len(members) == 24
    assert {tuple(p.flatten().int().tolist()) for p in products} == members


def test_cube_rotations_permute_cells_and_undo_each_other() -> None:
    grid = torch.rand(24, 2, 8, 8, 8, generator=torch.Generator().manual_seed(0))
    index = torch.arange(24)
    there = turn_exactly(grid, index)
    assert torch.equal(there.flatten(2).sort(2).values, grid.flatten(2).sort(2).values)
    assert torch.equal(turn_exactly(there, index, inverse=True), grid)


def test_exact_turns_agree_with_the_warp() -> None:
    group, grid, index = GROUPS["cube"], blob(16).expand(24, -1, -1, -1, -1), torch.arange(24)
    pose = group.from_cells(index[:, None])
    torch.testing.assert_close(warp(grid, group.matrix(pose)), turn_exactly(grid, index), atol=1e-2, rtol=0)
    back = turn_exactly(grid, index, inverse=True)
    torch.testing.assert_close(warp(grid, group.inverse(pose)), back, atol=1e-2, rtol=0)


def test_yaw_is_counter_clockwise_seen_from_above() -> None:
    grid = torch.zeros(1, 1, 9, 9, 9)
    grid[0, 0, 8, 4, 4] = 1  # out along x
    turned = warp(grid, GROUPS["yaw"].inverse(torch.tensor([[math.pi / 2]])))
    assert turned[0, 0, 4, 8, 4] == pytest.approx(1, abs=1e-4)  # out along y


@pytest.mark.parametrize("name", NAMES)
def test_inverse_undoes_matrix_exactly(name: str) -> None:
    group, pose = GROUPS[name], poses(name).double()
    identity = torch.eye(3, 4, dtype=torch.float64).expand(len(pose), 3, 4)
    for first, second in ((group.matrix, group.inverse), (group.inverse, group.matrix)):
        both = compose(second(pose).double(), first(pose).double())
        torch.testing.assert_close(both, identity, atol=1e-6, rtol=0)


@pytest.mark.parametrize("name", MOVING)
def test_turning_there_and_back_gives_the_shape(name: str) -> None:
    group, grid, pose = GROUPS[name], blob().expand(16, -1, -1, -1, -1), poses(name)
    pose[:, group.turns :] *= 0.5
    back = warp(warp(grid, group.inverse(pose)), group.matrix(pose))
    middle = slice(8, 16)  # what a shift pushed over the border is lost
    assert (back - grid)[..., middle, middle, middle].abs().max() < 0.15


@pytest.mark.parametrize("background", [-3.0, torch.full((1, 1, 1, 1), -3.0)])
def test_background_fills_what_ball_and_frame_do_not_hold(background: Tensor | float) -> None:
    """And leaves what lies inside as it is."""
    out = warp(torch.ones(1, 1, 16, 16, 16), GROUPS["rotation"].matrix(torch.zeros(1, 3)), background)
    assert out[0, 0, 0, 0, 0] == -3
    assert out[0, 0, 8, 8, 8] == pytest.approx(1, abs=1e-5)


def test_uniform_rotations_have_uniform_angles() -> None:
    """On SO(3) the angle has density (1 - cos) / pi: mean 126.5 degrees, not the 90 of uniform angles."""
    angle = poses("rotation", 20_000).norm(dim=1).rad2deg()
    assert angle.mean() == pytest.approx(126.5, abs=1)
    assert float((angle <= 90).float().mean()) == pytest.approx(0.5 - 1 / math.pi, abs=0.01)


@pytest.mark.parametrize("name", ["rotation", "rotation+shift+scale", "cube", "yaw+shift"])
def test_cells_are_the_nearest_lattice_points(name: str) -> None:
    group, pose = GROUPS[name], poses(name, 500)
    found = group.from_cells(group.to_cells(pose))
    limit = {"cube": 1e-3, "yaw+shift": math.pi / 64 + 1e-3}.get(name, affine3d.STEP * 0.9)
    assert group.gap(found, pose).max() <= limit
    step = torch.tensor([p.step for p in group.gaussians])
    assert ((found - pose)[:, group.turns :].abs() <= step / 2 + 1e-5).all()


@pytest.mark.parametrize("name", ["cube", "yaw", "rotation"])
def test_the_prior_sums_to_one(name: str) -> None:
    group = GROUPS[name]
    cells = torch.arange(24 if name == "cube" else 64)[:, None]
    if name == "rotation":
        cube = torch.arange(24).repeat_interleave(len(SO.local))
        cells = torch.cat([cube[:, None], SO.local.repeat(24, 1)], 1)
    assert group.log_prior(cells).exp().sum() == pytest.approx(1, abs=1e-4)
    assert -group.log_prior(cells).min() <= group.max_nats + 1e-5


def test_the_prior_over_rotations_is_the_uniform_one() -> None:
    """Lattice frequencies of uniform rotations follow the prior, chart by chart and ring by ring."""
    cells = SO.to_cells(poses("rotation", 40_000))
    share = torch.bincount(cells[:, 0], minlength=24) / len(cells)
    assert (share - 1 / 24).abs().max() < 0.005
    inner = (cells[:, 1:].abs().amax(1) <= 2).float().mean()
    ring = SO.local[SO.local.abs().amax(1) <= 2]
    expected = (
        24 * SO.log_prior(torch.cat([torch.zeros(len(ring), 1, dtype=torch.long), ring], 1)).exp().sum()
    )
    # The lattice overlaps by half a step between charts, so its prior gives the middle somewhat less.
    assert 0.6 < expected / inner < 1.05


@pytest.mark.parametrize(("which", "radius"), [("covering", 30), ("coarse", 40)])
def test_coverings_leave_no_gap(which: str, radius: float) -> None:
    lattice = SO.from_cells(getattr(SO, which))
    nearest = torch.stack([SO.gap(pose[None], lattice).amin() for pose in poses("rotation", 300)])
    assert nearest.max().rad2deg() < radius


def test_bins_are_near_their_cells() -> None:
    cells = SO.to_cells(poses("rotation", 500))
    assert SO.gap(SO.from_cells(cells), SO.from_cells(SO.covering[SO.bin(cells)])).max().rad2deg() < 30
    assert torch.equal(SO.bin(SO.covering), torch.arange(len(SO.covering)))


def test_a_step_is_the_lattice_step() -> None:
    group = GROUPS["rotation"]
    cells = torch.tensor([[5, 1, -2, 0]])
    for direction in torch.eye(3):
        moved = group.move(cells, direction[None])
        gap = group.gap(group.from_cells(cells), group.from_cells(moved))
        assert gap.item() == pytest.approx(affine3d.STEP, rel=0.1)


def chair(size: int = 24) -> Tensor:
    grid = torch.zeros(size, size, size, dtype=torch.uint8)
    grid[6:16, 6:16, 10:12] = 1  # seat
    grid[6:8, 6:16, 12:20] = 1  # back
    for x in (6, 14):
        for y in (6, 14):
            grid[x : x + 2, y : y + 2, 4:10] = 1
    return grid


def test_spheres_hold_every_cell_and_hardly_more() -> None:
    grids = torch.stack(
        [chair(), chair().flip(2), torch.nn.functional.pad(chair()[6:, 6:, 4:], (0, 4, 0, 6, 0, 6))]
    )
    spheres = grid_spheres(grids)
    for grid, sphere in zip(grids, spheres, strict=True):
        cells = (grid.nonzero().float() + 0.5) * (2 / 24) - 1
        farthest = (cells - sphere[:3]).norm(dim=1).max()
        assert farthest <= sphere[3] <= farthest + 2 / 24
    torch.testing.assert_close(spheres[0, 3], spheres[1, 3], atol=0.01, rtol=0)
    torch.testing.assert_close(spheres[0, 3], spheres[2, 3], atol=0.01, rtol=0)
    with pytest.raises(ValueError, match="empty"):
        grid_spheres(torch.zeros(1, 8, 8, 8))


def test_turned_shapes_keep_their_volume_and_fill_the_frame() -> None:
    grids, group = chair()[None, None].expand(32, -1, -1, -1, -1), GROUPS["rotation"]
    turned = turn(grids, grid_spheres(grids[:1, 0]).expand(32, -1), group.inverse(poses("rotation", 32)), 32)
    assert set(turned.unique().tolist()) == {0.0, 1.0}
    volume = turned.flatten(1).sum(1)
    assert volume.std() / volume.mean() < 0.06
    cells = [(t[0].nonzero() + 0.5) * (2 / 32) - 1 for t in turned]
    reach = torch.tensor([float(c.norm(dim=1).max()) for c in cells])
    assert ((reach > 0.85) & (reach < 1)).all()


def test_meshes_and_grids_are_normalised_alike() -> None:
    assert affine3d.FILL == solid.FILL


@pytest.mark.parametrize("name", ["cube", "yaw", "rotation"])
def test_the_scorer_follows_cube_rotations_exactly(name: str) -> None:
    """Score of pose R for x is the score of C R for the shape turned by C."""
    torch.manual_seed(0)
    rotations = ROTATIONS[name]
    scorer = TemplateScorer(1, rotations)
    covering = rotations.from_cells(rotations.covering)
    matrices = rotations.matrix(covering)
    quarter = cube_rotations()[
        torch.tensor([k for k in range(24) if name != "yaw" or cube_rotations()[k, 2, 2] == 1])
    ]
    for turned in quarter[:4]:
        index = (cube_rotations() == turned).all(2).all(1).nonzero()[0]
        x = blob(16)
        with torch.no_grad():
            before, after = scorer(x)[0], scorer(turn_exactly(x, index, inverse=True))[0]
        moved = turned @ matrices
        where = torch.einsum("aij,bij->ab", moved, matrices).argmax(1)
        same = torch.einsum("aij,aij->a", moved, matrices[where]) > 3 - 1e-3
        assert same.float().mean() > 0.9
        torch.testing.assert_close(after[where][same], before[same], atol=1e-4, rtol=1e-4)


def test_gap_is_the_angle_between_rotations() -> None:
    a, b = poses("rotation", 64), poses("rotation", 128)[64:]
    relative = roma.rotvec_to_rotmat(a).transpose(1, 2) @ roma.rotvec_to_rotmat(b)
    expected = roma.rotmat_to_rotvec(relative).norm(dim=1)
    torch.testing.assert_close(SO.gap(a, b), expected, atol=2e-3, rtol=0)


def test_overlap_of_grids() -> None:
    a, b = torch.zeros(1, 1, 4, 4, 4), torch.zeros(1, 1, 4, 4, 4)
    assert affine3d.iou(a, b) == 1
    a[..., :2] = 1
    assert affine3d.iou(a, b) == 0
    b[..., 1:3] = 0.8
    assert affine3d.iou(a, b) == pytest.approx(1 / 3)
    assert affine3d.iou(a, b, level=0.9) == 0
