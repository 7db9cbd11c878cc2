"""Figures: drawn where they are told to, returning what they drew, and drawing what the numbers say."""

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from matplotlib.figure import Figure

from vae_helpers import VAE, History, figures


@pytest.fixture
def ax():
    return Figure().subplots()


@pytest.fixture(autouse=True)
def nothing_global_changes():
    before = dict(mpl.rcParams)
    yield
    assert dict(mpl.rcParams) == before
    assert plt.get_fignums() == []


def test_tile_keeps_the_order_and_the_gaps():
    images = torch.arange(6.0)[:, None].expand(6, 784) / 10
    picture = figures.tile(images, columns=4)
    assert picture.shape == (28 + 2 + 28, 4 * 28 + 3 * 2)
    assert picture[0, [0, 30, 60, 90]].tolist() == pytest.approx([0.0, 0.1, 0.2, 0.3])
    assert picture[57, [0, 30]].tolist() == pytest.approx([0.4, 0.5])
    assert (picture[28:30] == 1).all()  # the gap
    assert (picture[30:, 60:] == 1).all()  # the places without an image
    assert figures.tile(images.reshape(6, 1, 28, 28), columns=4).equal(picture)
    with pytest.raises(ValueError, match="no images"):
        figures.tile(images[:0], columns=4)


def test_images_are_drawn_from_black_to_white_whatever_they_hold(ax):
    picture = figures.draw_images(
        ax, torch.full((4, 784), 0.5), columns=2, title="t", row_labels=["a", "b"]
    )
    assert picture in ax.get_images()
    assert picture.get_clim() == (0, 1)
    assert picture.get_array().shape == (58, 58)
    assert [label.get_text() for label in ax.get_yticklabels()] == ["a", "b"]
    assert ax.get_yticks().tolist() == [13.5, 43.5]  # the middle of each row
    assert figures.draw_images(ax, torch.zeros(12, 784)).get_array().shape == (
        58,
        298,
    )  # ten in a row
    assert ax.get_title() == "t"


def test_history_has_a_line_for_what_was_measured(ax):
    history = History(epochs=3)
    assert figures.draw_history(ax, history) == []
    history.train = {"loss": [3.0, 2.0], "kl": [0.5, 0.6]}
    lines = figures.draw_history(ax, history)
    assert [line.get_label() for line in lines] == ["training images"]
    history.test = {"loss": [3.5, 2.5], "kl": [0.7, 0.8]}
    lines = figures.draw_history(ax, history, term="kl")
    assert [line.get_xydata().tolist() for line in lines] == [
        [[1, 0.5], [2, 0.6]],
        [[1, 0.7], [2, 0.8]],
    ]
    assert ax.get_ylabel() == "kl (nats per image)"


def test_codes_have_a_mark_and_a_colour_for_each_class(ax):
    codes = torch.tensor([[0.0, 1.0], [2.0, 3.0], [4.0, 5.0]])
    drawn = figures.draw_codes(ax, codes, torch.tensor([7, 1, 7]))
    assert [scatter.get_label() for scatter in drawn] == ["1", "7"]
    assert drawn[1].get_offsets().tolist() == [[0, 1], [4, 5]]
    assert not np.allclose(drawn[0].get_facecolor(), drawn[1].get_facecolor())
    named = figures.draw_codes(ax, codes, torch.tensor([1, 0, 0]), names=["Trouser", "Shirt"])
    assert [scatter.get_label() for scatter in named] == ["Trouser", "Shirt"]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("z[0]", "z[1]")
    with pytest.raises(ValueError, match=r"\(N, 2\), not \(3, 3\)"):
        figures.draw_codes(ax, torch.zeros(3, 3), torch.zeros(3))


def test_ten_classes_have_the_ten_colours_in_their_order(ax):
    drawn = figures.draw_codes(ax, torch.zeros(10, 2), torch.arange(10))
    shown = [mpl.colors.to_hex(scatter.get_facecolor()[0]) for scatter in drawn]
    assert shown == [mpl.colors.to_hex(colour) for colour in figures.CLASS_COLOURS]


def test_groups_stand_in_rows_from_the_top(ax):
    groups = {"one": [1.0, 2.0], "two": [3.0]}
    rows = figures.draw_groups(ax, groups, ["red", "blue"], reference=1.5)
    assert [row.get_offsets().tolist() for row in rows] == [[[1, 0], [2, 0]], [[3, 1]]]
    assert [label.get_text() for label in ax.get_yticklabels()] == ["one", "two"]
    assert ax.get_ylim()[0] > ax.get_ylim()[1]
    assert list(ax.lines[0].get_xdata()) == [1.5, 1.5]
    other = mpl.figure.Figure().subplots()
    assert len(figures.draw_groups(other, groups, ["red"])) == 2
    assert not other.lines
    with pytest.raises(ValueError, match="at least one group"):
        figures.draw_groups(ax, {}, ["red"])


def test_ten_colours_that_differ():
    assert len({mpl.colors.to_hex(colour) for colour in figures.CLASS_COLOURS}) == 10


def test_posteriors_are_ellipses_of_their_standard_deviations(ax):
    mu, logvar = torch.tensor([[1.0, 2.0]]), torch.tensor([[0.0, 2.0]])
    (ellipse,) = figures.draw_posteriors(ax, mu, logvar, radius=2, edgecolor="red")
    assert ellipse.center == (1, 2)
    assert (ellipse.width, ellipse.height) == pytest.approx((4, 4 * np.e))
    assert ellipse in ax.patches
    assert ellipse.get_edgecolor() == mpl.colors.to_rgba("red")


def test_the_prior_is_circles_about_the_origin(ax):
    circles = figures.draw_prior(ax)
    assert [(c.center, c.width, c.height) for c in circles] == [
        ((0, 0), 2 * r, 2 * r) for r in (1, 2, 3)
    ]


class Compass(VAE):
    """A decoder whose whole picture tells one latent: 0 at −2, 1 at 2."""

    def __init__(self, latent):
        super().__init__(latent_dim=2, hidden_dim=2)
        self.latent = latent

    def decode(self, z):
        return (z[:, self.latent, None] / 4 + 0.5).expand(-1, 784)


def test_the_manifold_has_its_first_latent_to_the_right_and_its_second_upwards(ax):
    for latent, steps in ((0, "right"), (1, "up")):
        picture = figures.draw_manifold(ax, Compass(latent), side=3, limit=2)
        cells = picture.get_array()[14::28, 14::28]
        right, up = (cells[1, 2] - cells[1, 0], cells[0, 1] - cells[2, 1])
        assert {"right": right, "up": up}[steps] == pytest.approx(1)
        assert {"right": up, "up": right}[steps] == pytest.approx(0)
        assert picture.get_extent() == [-3, 3, -3, 3]  # the outer pictures stand at −2 and 2
        assert picture.origin == "upper"


def test_the_density_is_that_of_torch_distributions(ax):
    ax.set_xlim(-3, 5)
    (line,) = figures.draw_gaussian(ax, 1.5, 0.5, color="black")
    x, y = line.get_data()
    assert (x[0], x[-1]) == (-3, 5)
    density = torch.distributions.Normal(1.5, 0.5).log_prob(torch.tensor(x)).exp()
    np.testing.assert_allclose(y, density.numpy(), rtol=1e-6)


def test_the_architecture_names_every_part(ax):
    boxes = figures.draw_architecture(ax, pixels=784, hidden=400, latents=2)
    said = " ".join(text.get_text() for text in ax.texts)
    for name in ("fc1", "fc_mu", "fc_logvar", "fc_dec", "mu", "logvar", "recon_x", "ε ~ N(0, I)"):
        assert name in said
    assert said.count("(B, 784)") == 2
    assert said.count("(B, 400)") == 2
    assert said.count("(B, 2)") == 4
    assert len(boxes) == 8


def test_in_the_architecture_nothing_overlaps_and_every_arrow_goes_from_box_to_box(ax):
    boxes = [
        patch.get_path().get_extents()
        for patch in figures.draw_architecture(ax, pixels=784, hidden=400, latents=2)
    ]
    for number, one in enumerate(boxes):
        assert not any(one.overlaps(other) for other in boxes[:number])
    (x0, x1), (y0, y1) = ax.get_xlim(), ax.get_ylim()
    assert all(x0 < b.x0 < b.x1 < x1 and y0 < b.y0 < b.y1 < y1 for b in boxes)
    texts = {text.get_text(): text.get_position() for text in ax.texts}
    assert all(x0 < x < x1 and y0 < y < y1 for x, y in texts.values())
    assert texts["mu"][0] == texts["logvar"][0] > texts["fc_mu"][0] > texts["h"][0]
    assert texts["mu"][1] == pytest.approx(0.28 - texts["logvar"][1])  # one above, one below
    arrows = [text for text in ax.texts if isinstance(text, mpl.text.Annotation)]
    assert len(arrows) == 8
    # from h to mu and to logvar, and on to z: mirror images of each other
    upper, lower = (
        sorted((*a.xy, *a.xyann) for a in arrows if side * (a.xy[1] + a.xyann[1]) > 0.5)
        for side in (1, -1)
    )
    assert [(x1, -y1, x0, -y0) for x1, y1, x0, y0 in upper] == sorted(
        part for part in lower if part[0] != part[2]
    )
    headings = [texts[name] for name in texts if "\n" in name and "(B" not in name]
    assert [x for x, _ in headings] == sorted(x for x, _ in headings)
    encoder, reparameterization, decoder = (x for x, _ in headings)
    assert texts["h"][0] == encoder
    assert texts["z"][0] == reparameterization
    assert texts["h′"][0] < decoder < texts["recon_x"][0] - 0.5
    for arrow in arrows:
        for x, y in (arrow.xy, arrow.xyann):
            near = [b for b in boxes if b.x0 - 0.1 < x < b.x1 + 0.1 and b.y0 - 0.1 < y < b.y1 + 0.1]
            assert len(near) == 1


def test_a_region_has_the_colour_of_its_codes_and_empty_land_none(ax):
    torch.manual_seed(0)
    left, right = torch.randn(300, 2) * 0.3 - 3, torch.randn(300, 2) * 0.3 + 3
    shown = figures.draw_regions(
        ax, torch.cat([left, right]), torch.arange(2).repeat_interleave(300)
    )
    picture, (x0, x1, y0, y1) = shown.get_array(), shown.get_extent()

    def at(x, y):
        column, row = (x - x0) / (x1 - x0), (y - y0) / (y1 - y0)
        return picture[round(row * 119), round(column * 119)]

    for place, colour in ((-3, 0), (3, 1)):
        rgba = mpl.colors.to_rgba(figures.CLASS_COLOURS[colour])
        np.testing.assert_allclose(at(place, place)[:3], rgba[:3], atol=1e-6)
        assert at(place, place)[3] == pytest.approx(0.6)
    assert at(-3, 3)[3] == at(3, -3)[3] == at(0, 0)[3] == 0


def test_a_hole_begins_at_its_radius(ax):
    ax.set(xlim=(-2, 2), ylim=(-2, 2))
    shown = figures.draw_holes(ax, torch.zeros(1, 2), 1.0)
    (boundary,) = shown.get_paths()
    edges = np.concatenate([part for part in boundary.to_polygons() if np.abs(part).max() < 1.9])
    np.testing.assert_allclose(np.linalg.norm(edges, axis=1), 1.0, atol=0.01)
    assert boundary.get_extents().bounds == pytest.approx((-2, -2, 4, 4))


def test_a_gradient_reaches_mu_and_sigma_only_where_z_is_computed(ax):
    drawn = figures.draw_gradient_paths(ax, reparameterized=False)
    ax.clear()
    computed = figures.draw_gradient_paths(ax, reparameterized=True)
    places = {text.get_text(): text.get_position() for text in ax.texts}
    assert len(drawn) == 2
    reached = [arrow._posA_posB[1] for arrow in computed]
    assert places["μ"] in reached
    assert places["σ"] in reached
    assert places["ε"] not in reached
    assert not {places["μ"], places["σ"]} & {arrow._posA_posB[1] for arrow in drawn}


def test_the_style_loads_and_is_opaque():
    with plt.style.context("vae_helpers.course"):
        assert mpl.colors.to_hex(mpl.rcParams["figure.facecolor"]) == "#ffffff"
        assert mpl.rcParams["font.size"] >= 12
