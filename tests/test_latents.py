"""Paths between codes: their ends, their norms, their turns."""

import pytest
import torch

from vae_helpers import interpolate


def ends(seed, size=20):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(2, size, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("spherical", [True, False])
@pytest.mark.parametrize("size", [2, 20])
def test_a_path_starts_and_ends_where_it_should(size, spherical):
    a, b = ends(0, size)
    path = interpolate(a, b, 7, spherical=spherical)
    assert path.shape == (7, size)
    torch.testing.assert_close(path[[0, -1]], torch.stack([a, b]))


def test_a_straight_path_has_equal_steps():
    a, b = ends(1)
    steps = interpolate(a, b, 9).diff(dim=0)
    torch.testing.assert_close(steps, ((b - a) / 8).expand(8, -1))


@pytest.mark.parametrize("seed", range(5))
def test_a_spherical_path_turns_evenly_in_the_plane_and_its_norm_is_linear(seed):
    a, b = ends(seed)
    path = interpolate(a, b, 9, spherical=True)
    norms = path.norm(dim=1)
    torch.testing.assert_close(norms.diff(), ((b.norm() - a.norm()) / 8).expand(8))
    cosines = torch.nn.functional.cosine_similarity(path[1:], path[:-1])
    angle = torch.acos(torch.nn.functional.cosine_similarity(a, b, dim=0))
    torch.testing.assert_close(cosines.acos(), (angle / 8).expand(8))
    plane = torch.linalg.qr(torch.stack([a, b], dim=1)).Q
    torch.testing.assert_close(path @ plane @ plane.T, path)


def test_spherical_between_nearly_equal_directions():
    a, _ = ends(0)
    path = interpolate(a, 3 * a, 5, spherical=True)
    torch.testing.assert_close(path, interpolate(a, 3 * a, 5))
    near = a + 1e-5 * torch.ones_like(a)
    assert interpolate(a.float(), near.float(), 5, spherical=True).isfinite().all()


@pytest.mark.parametrize(
    ("start", "end", "steps", "words"),
    [
        (torch.ones(3), torch.ones(4), 5, "shape"),
        (torch.ones(2, 3), torch.ones(2, 3), 5, "shape"),
        (torch.ones(3), torch.full((3,), float("inf")), 5, "not finite"),
        (torch.ones(3), torch.ones(3), 1, "steps"),
        (torch.ones(3), torch.ones(3), 2.5, "steps"),
        (torch.ones(3), torch.zeros(3), 5, "one end is zero"),
        (torch.ones(3), -2 * torch.ones(3), 5, "opposite"),
    ],
)
def test_bad_input(start, end, steps, words):
    with pytest.raises(ValueError, match=words):
        interpolate(start, end, steps, spherical=True)
