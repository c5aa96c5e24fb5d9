"""Shapes of known volume and topology survive the way to a grid and back."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
import torch
import trimesh
from scipy import ndimage
from trimesh.creation import box, cylinder, icosphere, torus
from trimesh.transformations import random_rotation_matrix, rotation_matrix

from affinevae.voxels import FILL, MeshError, enclosing_sphere, load_mesh, read_shape, to_mesh, voxelize


def placed(*boxes: tuple[tuple[float, ...], tuple[float, ...]]) -> trimesh.Trimesh:
    """Boxes, each from its lowest to its highest corner, as one mesh."""
    return trimesh.util.concatenate([box(bounds=bounds) for bounds in boxes])


def ring() -> trimesh.Trimesh:
    """A box with a square hole along z, as four overlapping beams."""
    a, b, c = 0.3, 0.7, 0.5
    return placed(
        ((0, 0, 0), (1, a, c)), ((0, b, 0), (1, 1, c)), ((0, 0, 0), (a, 1, c)), ((b, 0, 0), (1, 1, c))
    )


def volume_of(grid: torch.Tensor) -> float:
    return float(grid.sum()) * (2 / grid.shape[0]) ** 3


def normalised_volume(mesh: trimesh.Trimesh, volume: float | None = None) -> float:
    _, radius = enclosing_sphere(np.asarray(mesh.vertices))
    return (mesh.volume if volume is None else volume) * (FILL / radius) ** 3


def rotated(mesh: trimesh.Trimesh, seed: int) -> trimesh.Trimesh:
    turned = mesh.copy()
    turned.apply_transform(random_rotation_matrix(np.random.default_rng(seed).random(3)))
    return turned


def closed(mesh: trimesh.Trimesh) -> bool:
    """Every edge is walked as often forth as back."""
    edges = np.concatenate([mesh.faces[:, [0, 1]], mesh.faces[:, [1, 2]], mesh.faces[:, [2, 0]]])
    balance = np.zeros((len(mesh.vertices),) * 2, np.int8)
    np.add.at(balance, tuple(edges.T), 1)
    return bool((balance == balance.T).all())


def turns(seeds: int = 5) -> list[int]:
    return list(range(seeds))


SOLIDS = {
    "sphere": (icosphere(4), None, 2),
    "box": (box((1.0, 0.7, 0.4)), None, 2),
    "torus": (torus(1.0, 0.35), None, 0),
    "box with a hole": (ring(), 0.5 * (1 - 0.4**2), 0),
}


@pytest.mark.parametrize("name", SOLIDS)
@pytest.mark.parametrize("seed", turns(3))
@pytest.mark.parametrize("style", ["surface", "blocks"])
def test_volume_and_genus_survive(name: str, seed: int, style: str) -> None:
    mesh, volume, euler = SOLIDS[name]
    expected = normalised_volume(mesh, volume)
    grid = voxelize(rotated(mesh, seed))
    assert grid.dtype == torch.bool
    assert volume_of(grid) == pytest.approx(expected, rel=0.06)
    back = to_mesh(grid, style=style)  # type: ignore[arg-type]
    assert closed(back)
    assert back.volume == pytest.approx(expected, rel=0.06)
    assert abs(back.bounds).max() <= 1
    if style == "surface":  # blocks are pinched where two cells share only an edge
        assert back.is_watertight
        assert back.euler_number == euler


def test_a_second_trip_keeps_the_shape() -> None:
    grid = voxelize(torus(1.0, 0.35))
    again = voxelize(to_mesh(grid))
    assert (grid & again).sum() / (grid | again).sum() > 0.9


@pytest.mark.parametrize("size", [16, 24, 32, 48])
def test_other_sizes(size: int) -> None:
    grid = voxelize(icosphere(4), size)
    assert grid.shape == (size, size, size)
    assert volume_of(grid) == pytest.approx(4 / 3 * np.pi * FILL**3, rel=0.06)


def test_an_l_lands_where_it_belongs() -> None:
    """A long foot along +x, a wall up along +z, a knob on the foot's end towards +y."""
    mesh = placed(((0, 0, 0), (2, 0.4, 0.4)), ((0, 0, 0), (0.4, 0.4, 2)), ((1.6, 0, 0), (2, 1, 0.4)))
    cells = np.argwhere(voxelize(mesh).numpy())
    top = cells[cells[:, 2] > 22]
    end = cells[cells[:, 0] > 22]
    knob = cells[cells[:, 1] > cells[:, 1].max() - 4]
    assert len(top) > 20
    assert top[:, 0].max() < 16
    assert len(end) > 20
    assert end[:, 2].max() < 16
    assert knob[:, 0].min() > 16
    assert knob[:, 2].max() < 16


@pytest.mark.parametrize("kind", ["glb", "obj", "stl", "off", "ply"])
def test_files_are_z_up(kind: str, tmp_path: Path) -> None:
    mesh = placed(((0, 0, 0), (1, 0.5, 0.2)), ((0, 0, 0), (0.2, 0.2, 2)))
    written = mesh.copy()
    if kind == "glb":  # y up, seen from +z
        written.vertices = np.stack([mesh.vertices[:, 0], mesh.vertices[:, 2], -mesh.vertices[:, 1]], 1)
    written.export(tmp_path / f"tower.{kind}")
    read = load_mesh(tmp_path / f"tower.{kind}")
    assert np.allclose(read.bounds, mesh.bounds, atol=1e-6)
    assert torch.equal(voxelize(read), voxelize(mesh))
    grid = read_shape(tmp_path / f"tower.{kind}", 24)
    assert (grid.shape, grid.dtype) == ((1, 1, 24, 24, 24), torch.float32)


def test_parts_of_a_scene_are_placed(tmp_path: Path) -> None:
    scene = trimesh.Scene()
    scene.add_geometry(box((1, 1, 1)))
    scene.add_geometry(icosphere(3, 0.5), transform=trimesh.transformations.translation_matrix((0, 3, 0)))
    scene.export(tmp_path / "two.glb")
    assert load_mesh(tmp_path / "two.glb").extents == pytest.approx((1, 1, 4), abs=1e-5)


@pytest.mark.parametrize("thickness", [0.002, 0.01, 0.02, 0.03, 0.04, 0.06])
@pytest.mark.parametrize("seed", turns())
def test_thin_plates_and_rods_survive(thickness: float, seed: int) -> None:
    for mesh in (box((1, 0.8, thickness)), cylinder(thickness / 2, 1)):
        grid = voxelize(rotated(mesh, seed)).numpy()
        assert ndimage.label(grid, np.ones((3, 3, 3)))[1] == 1
        extents = np.linalg.norm(np.ptp(np.argwhere(grid), axis=0))
        assert extents > 24  # of 30: from end to end
    area = 0.8 * (FILL / enclosing_sphere(np.asarray(box((1, 0.8, thickness)).vertices))[1]) ** 2
    plate = voxelize(rotated(box((1, 0.8, thickness)), seed))
    assert volume_of(plate) / area < 2.5 * 2 / 32  # no thicker than two to three cells


def test_a_plate_has_no_holes() -> None:
    for seed in turns():
        surface = to_mesh(voxelize(rotated(box((1, 0.8, 0.03)), seed)))
        assert surface.euler_number == 2


def test_a_table_stands_on_four_legs() -> None:
    corners = [(x, y) for x in (0, 0.95) for y in (0, 0.95)]
    legs = [((x, y, 0), (x + 0.02, y + 0.02, 0.7)) for x, y in corners]
    grid = voxelize(placed(((0, 0, 0.7), (1, 1, 0.73)), *legs)).numpy()
    layer = grid[:, :, 16]
    assert ndimage.label(layer)[1] == 4
    assert layer.sum() <= 4 * 4
    assert ndimage.label(grid, np.ones((3, 3, 3)))[1] == 1


def test_soups_give_the_same_as_clean_meshes() -> None:
    clean = voxelize(torus(1.0, 0.35))
    mesh = torus(1.0, 0.35)
    rng = np.random.default_rng(0)
    flipped = np.where(rng.random(len(mesh.faces))[:, None] < 0.5, mesh.faces[:, ::-1], mesh.faces)
    soup = trimesh.Trimesh(mesh.vertices[flipped].reshape(-1, 3), np.arange(flipped.size).reshape(-1, 3))
    for other in (
        trimesh.Trimesh(mesh.vertices, mesh.faces[:, ::-1], process=False),
        trimesh.Trimesh(mesh.vertices, flipped, process=False),
        soup,
        trimesh.util.concatenate([mesh, mesh]),
    ):
        assert torch.equal(voxelize(other), clean)


def test_cracks_are_closed_but_missing_sides_are_not() -> None:
    """A flood from outside passes no crack narrower than a cell, and does pass where a lid is missing."""
    mesh = box((1, 1, 1))
    full = float(voxelize(mesh).sum())
    apart = trimesh.Trimesh(mesh.triangles.reshape(-1, 3), np.arange(36).reshape(-1, 3), process=False)
    normals = np.repeat(mesh.face_normals, 3, axis=0)
    apart.vertices = apart.vertices + 0.004 * normals
    assert float(voxelize(apart).sum()) == pytest.approx(full, rel=0.1)
    lidless = trimesh.Trimesh(mesh.vertices, mesh.faces[mesh.face_normals[:, 2] < 0.5], process=False)
    grid = voxelize(lidless)
    assert 0.1 * full < float(grid.sum()) < 0.6 * full
    assert not grid[16, 16, 16:].any()
    assert grid[16, 16, :16].any()


@pytest.mark.parametrize("scale", [1e-30, 1e-3, 1.0, 1e3, 1e200])
def test_scale_and_place_do_not_matter(scale: float) -> None:
    mesh = ring()
    moved = trimesh.Trimesh((mesh.vertices + (3, -7, 11)) * scale, mesh.faces, process=False)
    # A sample exactly between two cells may fall to either side.
    assert (voxelize(moved) ^ voxelize(mesh)).sum() < 0.06 * voxelize(mesh).sum()


@pytest.mark.parametrize("seed", turns())
def test_the_enclosing_sphere_turns_along(seed: int) -> None:
    points = np.asarray(placed(((0, 0, 0), (2, 0.4, 0.4)), ((0, 0, 0), (0.4, 0.4, 2))).vertices)
    turn = random_rotation_matrix(np.random.default_rng(seed).random(3))[:3, :3]
    centre, radius = enclosing_sphere(points)
    turned_centre, turned_radius = enclosing_sphere(points @ turn.T)
    assert turned_radius == pytest.approx(radius, rel=1e-9)
    assert turned_centre == pytest.approx(turn @ centre, abs=1e-8)


@pytest.mark.parametrize(("points", "centre", "radius"), [
    ([[1, 2, 3]], (1, 2, 3), 0),
    ([[0, 0, 0], [2, 0, 0], [2, 0, 0]], (1, 0, 0), 1),
    ([[0, 0, 0], [1, 0, 0], [5, 0, 0], [10, 0, 0]], (5, 0, 0), 5),
    ([[1, 1, 7], [-1, 1, 7], [1, -1, 7], [-1, -1, 7]], (0, 0, 7), 2**0.5),
    ([[0, 0, 0], [10, 0, 0], [5, 0.1, 0]], (5, 0, 0), 5),
    ([[x, y, z] for x in (0, 2) for y in (0, 2) for z in (0, 2)], (1, 1, 1), 3**0.5),
])  # fmt: skip
def test_known_enclosing_spheres(points: list[list[float]], centre: tuple[float, ...], radius: float) -> None:
    found_centre, found_radius = enclosing_sphere(np.array(points, float))
    assert found_centre == pytest.approx(centre, abs=1e-9)
    assert found_radius == pytest.approx(radius, abs=1e-9)


def test_the_enclosing_sphere_is_the_smallest() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        points = rng.normal(size=(rng.integers(2, 200), 3)) * rng.random(3)
        centre, radius = enclosing_sphere(points)
        assert np.linalg.norm(points - centre, axis=1).max() <= radius * (1 + 1e-9)
        for step in rng.normal(size=(20, 3)) * 1e-3:
            assert np.linalg.norm(points - centre - step, axis=1).max() > radius - 1e-9


def test_blocks_have_every_outer_square_once() -> None:
    grid = torch.rand(9, 9, 9, generator=torch.Generator().manual_seed(0)) > 0.6
    padded = np.pad(grid.numpy(), 1).astype(int)
    exposed = sum(np.abs(np.diff(padded, axis=axis)).sum() for axis in range(3))
    mesh = to_mesh(grid, style="blocks")
    assert len(mesh.faces) == 2 * exposed
    assert mesh.volume == pytest.approx(volume_of(grid))
    assert len(np.unique(mesh.vertices, axis=0)) == len(mesh.vertices)
    outward = mesh.triangles_center + 1e-3 * mesh.face_normals
    cells = np.floor((outward + 1) * 9 / 2).astype(int) + 1
    assert not padded[tuple(cells.T)].any()


@pytest.mark.parametrize("style", ["surface", "blocks"])
def test_one_cell_is_where_it_belongs(style: str) -> None:
    grid = torch.zeros(1, 1, 8, 8, 8)
    grid[0, 0, 7, 0, 3] = 1
    mesh = to_mesh(grid, style=style)  # type: ignore[arg-type]
    assert mesh.bounds.mean(0) == pytest.approx([7.5 / 4 - 1, 0.5 / 4 - 1, 3.5 / 4 - 1])
    assert mesh.volume > 0


def test_the_surface_lies_at_the_level() -> None:
    axis = (torch.arange(32) + 0.5) * 2 / 32 - 1
    x, y, z = torch.meshgrid(axis, axis, axis, indexing="ij")
    grid = (1 - (x**2 + y**2 + z**2).sqrt()).clamp(0, 1)
    for level in (0.3, 0.5, 0.7):
        radii = np.linalg.norm(to_mesh(grid, level).vertices, axis=1)
        assert radii == pytest.approx(np.full(len(radii), 1 - level), abs=0.01)


@pytest.mark.parametrize("style", ["surface", "blocks"])
@pytest.mark.parametrize(("grid", "level"), [
    (torch.zeros(8, 8, 8), 0.5), (torch.full((8, 8, 8), 0.4), 0.5), (torch.full((8, 8, 8), np.nan), 0.5),
    (torch.ones(8, 8, 8), 0.0), (torch.ones(8, 8, 8), 1.5), (torch.ones(8, 8), 0.5), (torch.ones(2, 1, 8, 8, 8), 0.5),
], ids=range(7))  # fmt: skip
def test_nothing_to_show_is_refused(grid: torch.Tensor, level: float, style: str) -> None:
    with pytest.raises(MeshError, match=r"\.$"):
        to_mesh(grid, level, style)  # type: ignore[arg-type]


def test_cells_at_the_level_count() -> None:
    grid = torch.zeros(8, 8, 8)
    grid[2:5, 2:5, 2:5] = 1.0
    for style in ("surface", "blocks"):
        assert to_mesh(grid, 1.0, style).volume > 0  # type: ignore[arg-type]
    full = to_mesh(torch.ones(8, 8, 8), 0.5, "blocks")
    assert full.volume == pytest.approx(8)


TRIANGLE = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0]], float)


@pytest.mark.parametrize(("vertices", "faces", "problem"), [
    (TRIANGLE, np.zeros((0, 3), int), "no faces"),
    (TRIANGLE * 0 + 5, [[0, 1, 2]], "the same"),
    (TRIANGLE * np.nan, [[0, 1, 2]], "finite"),
    (np.where(TRIANGLE > 0, np.inf, 0), [[0, 1, 2]], "finite"),
    (TRIANGLE + 1e12, [[0, 1, 2]], "too far"),
    (TRIANGLE, [[0, 1, 3]], "do not exist"),
    (TRIANGLE, [[0, 1, -1]], "do not exist"),
    (np.random.default_rng(0).random((60_000, 3)), np.arange(60_000).reshape(-1, 3), "too much surface"),
], ids=range(8))  # fmt: skip
def test_bad_meshes_are_refused(vertices: np.ndarray, faces: np.ndarray, problem: str) -> None:
    with pytest.raises(MeshError, match=problem) as caught:
        voxelize(trimesh.Trimesh(vertices, faces, process=False))
    assert str(caught.value).endswith(".")


def test_points_that_no_face_uses_do_not_count() -> None:
    mesh = box((1, 1, 1))
    stray = np.vstack([mesh.vertices, [[50, 0, 0], [np.nan, 0, 0]]])
    assert torch.equal(voxelize(trimesh.Trimesh(stray, mesh.faces, process=False)), voxelize(mesh))


def test_flat_and_straight_meshes_are_plates_and_rods() -> None:
    plate = voxelize(trimesh.Trimesh(TRIANGLE, [[0, 1, 2]], process=False))
    assert 50 < plate.sum() < 1000
    line = TRIANGLE * (1, 0, 0) + [[0, 0, 0], [0, 0, 0], [2, 0, 0]]
    rod = voxelize(trimesh.Trimesh(line, [[0, 1, 2]], process=False))
    assert 25 < rod.sum() < 200


POINTS = b"".join(struct.pack("<fff", *point) for point in np.eye(3))
BAD_FILES = {
    "points.ply": (
        b"ply\nformat binary_little_endian 1.0\nelement vertex 3\nproperty float x\nproperty float y\n"
        b"property float z\nend_header\n" + POINTS,
        "no faces",
    ),
    "points.obj": (b"v 0 0 0\nv 1 0 0\nv 0 1 0\n", "no faces"),
    "points.off": (b"OFF\n3 0 0\n0 0 0\n1 0 0\n0 1 0\n", "no faces|damaged"),
    "cut.off": (b"OFF\n3 2 0\n0 0 0\n1 0 0\n0 1 0\n3 0 1 2\n", "damaged"),
    "corners.off": (b"OFF\n3 1 0\n0 0 0\n1 0 0\n0 1 0\n9 0 1 2\n", "damaged"),
    "text.stl": (b"hello", "not such a file"),
    "empty.glb": (b"", "empty"),
    "cut.glb": (b"glTF", "damaged"),
    "shape.gltf": (b"{}", "GLTF"),
    "shape": (b"", "unnamed"),
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_bad_files_are_refused(name: str, tmp_path: Path) -> None:
    data, problem = BAD_FILES[name]
    (tmp_path / name).write_bytes(data)
    with pytest.raises(MeshError, match=problem):
        read_shape(tmp_path / name)


@pytest.mark.parametrize("text", [
    "OFF\n4 2 0\n0 0 0\n1 0 0\n0 1 0\n1 1 0\n3 0 1 2\n3 1 3 2\n",
    "OFF4 2 0\n0 0 0\n1 0 0\n0 1 0\n1 1 0\n3 0 1 2\n3 1 3 2",  # as in ModelNet
    "# made by hand\nOFF\n\n4 1 0\n0 0 0\n1 0 0 # right\n1 1 0\n0 1 0\n4 0 1 2 3 255 0 0\n",
    "COFF\r\n4 2 5\r\n0 0 0 9 9 9 9\r\n1 0 0 9 9 9 9\r\n0 1 0 9 9 9 9\r\n1 1 0 9 9 9 9\r\n3 0 1 2\r\n3 1 3 2\r\n",
])  # fmt: skip
def test_off_as_found_in_the_wild(text: str, tmp_path: Path) -> None:
    (tmp_path / "square.off").write_text(text, newline="")
    mesh = load_mesh(tmp_path / "square.off")
    assert len(mesh.faces) == 2
    assert mesh.area == pytest.approx(1)


def test_quarter_turns_are_exact_for_shapes_off_the_cell_borders() -> None:
    """A turned mesh fills the turned cells; samples on a border between two cells may fall to either."""
    mesh = trimesh.util.concatenate([icosphere(3), icosphere(3, 0.5).apply_translation((1.1, 0.3, 0.2))])
    turned = mesh.copy()
    turned.apply_transform(rotation_matrix(np.pi / 2, (0, 0, 1)))
    expected = torch.rot90(voxelize(mesh), 1, (0, 1))
    assert (voxelize(turned) ^ expected).sum() < 0.02 * expected.sum()
