"""Sliders: the picture is the model's, and neither the model, nor training, nor torch's random numbers notice."""

import io
import re
import threading

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from vae_helpers import (
    GAN,
    VAE,
    Autoencoder,
    ConditionalVAE,
    FigureSliders,
    LatentSliders,
    beta_slider,
    fit,
    gaussian_sliders,
    kl_divergence,
    load_pretrained,
    two_gaussian_sliders,
)
from vae_helpers.interactive import sliders as sliders_module
from vae_helpers.interactive.snapshot import Snapshot, latents_by_effect


def pixels(sliders):
    return np.asarray(Image.open(io.BytesIO(sliders.image.value)))


def first(sliders):
    return next(iter(sliders.sliders.values()))


def expected(model, z):
    with torch.no_grad():
        image = (model.decode(z[None])[0] * 255).round().to(torch.uint8).reshape(28, 28)
    return np.asarray(Image.fromarray(image.numpy()).resize((224, 224), Image.Resampling.BICUBIC))


# --- which sliders there are --------------------------------------------------------------------


class Known(VAE):
    """Latents whose effects on the picture are known: 2 the most, then 0, then 3; 1 has none."""

    def __init__(self):
        super().__init__(latent_dim=4, hidden_dim=4)
        effect = torch.zeros(784, 4)
        effect[:, 2], effect[:400, 0], effect[:100, 3] = 1.0, 1.0, 1.0
        self.effect = nn.Parameter(effect)

    def decode(self, z):
        return torch.sigmoid(z @ self.effect.T)


def test_the_most_informative_latents_come_first():
    assert list(LatentSliders(Known()).sliders) == [2, 0, 3, 1]
    assert list(LatentSliders(Known(), 2).sliders) == [2, 0]
    assert list(LatentSliders(Known(), [3, 1]).sliders) == [3, 1]


def test_twenty_latents_have_twenty_sliders():
    sliders = LatentSliders(load_pretrained("vae-mnist-20"))
    assert sorted(sliders.sliders) == list(range(20))
    assert {s.description for s in sliders.sliders.values()} == {f"z[{d}]" for d in range(20)}


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"latents": 0}, ValueError, "1 to 3 sliders, not 0"),
        ({"latents": 4}, ValueError, "1 to 3 sliders, not 4"),
        ({"latents": []}, ValueError, "at least one"),
        ({"latents": [1, 1]}, ValueError, "only once"),
        ({"latents": [3]}, ValueError, "no latent 3.*numbered 0 to 2"),
        ({"latents": [-1]}, ValueError, "no latent -1"),
        ({"latents": [True]}, TypeError, "whole number"),
        ({"latents": ["z0"]}, TypeError, "whole number, not 'z0'"),
        ({"z": torch.zeros(2)}, ValueError, r"shape \(3,\), not \(2,\)"),
        ({"z": torch.tensor([0.0, torch.nan, 0.0])}, ValueError, "not finite"),
    ],
)
def test_bad_arguments(model, arguments, error, words):
    with pytest.raises(error, match=words):
        LatentSliders(model, **arguments)


def test_things_that_are_no_model(model):
    with pytest.raises(TypeError, match="not Linear"):
        LatentSliders(nn.Linear(3, 3))
    with pytest.raises(TypeError, match="encode and decode"):
        LatentSliders(VAE)
    model.decode = lambda z: z
    with pytest.raises(ValueError, match=r"decode\(z\) must have the shape \(\d+, 784\)"):
        LatentSliders(model)
    model.encode = lambda x: torch.zeros(3)
    with pytest.raises(ValueError, match=r"encode must give codes of shape \(B, D\)"):
        LatentSliders(model)


# --- what they show -----------------------------------------------------------------------------


def test_the_picture_is_the_models(model):
    sliders = LatentSliders(model)
    assert (pixels(sliders) == expected(model, torch.zeros(3))).all()
    sliders.sliders[1].value = 2.5
    z = torch.tensor([0.0, 2.5, 0.0])
    assert torch.equal(sliders.z, z)
    assert (pixels(sliders) == expected(model, z)).all()
    assert not (pixels(sliders) == expected(model, torch.zeros(3))).all()
    assert pixels(LatentSliders(model)).shape == (224, 224)


def test_a_latent_without_a_slider_keeps_its_value(model):
    z = torch.tensor([0.3, -1.0, 2.0])
    sliders = LatentSliders(model, [0], z=z)
    assert torch.allclose(sliders.z, z)
    sliders.sliders[0].value = 1.0
    assert torch.allclose(sliders.z, torch.tensor([1.0, -1.0, 2.0]))
    assert (pixels(sliders) == expected(model, torch.tensor([1.0, -1.0, 2.0]))).all()


def test_setting_the_code_moves_the_sliders(model):
    sliders = LatentSliders(model)
    sliders.z = torch.tensor([0.5, -0.5, 1.5])
    assert [sliders.sliders[d].value for d in range(3)] == [0.5, -0.5, 1.5]
    assert (pixels(sliders) == expected(model, torch.tensor([0.5, -0.5, 1.5]))).all()
    with pytest.raises(ValueError, match="shape"):
        sliders.z = torch.zeros(4)
    assert torch.allclose(sliders.z, torch.tensor([0.5, -0.5, 1.5]))


def test_the_buttons(model):
    start = torch.tensor([0.5, 0.0, -0.5])
    sliders = LatentSliders(model, z=start)
    before = pixels(sliders)
    drawn = []
    for _ in range(200):
        sliders.random_button.click()
        drawn.append(sliders.z)
    codes = torch.stack(drawn)
    assert codes.mean().abs() < 0.2  # six standard errors of a mean of 600 draws: 0.24
    assert 0.85 < codes.std() < 1.15
    sliders.reset_button.click()
    assert torch.equal(sliders.z, start)
    assert (pixels(sliders) == before).all()


def test_an_autoencoder_has_sliders_too():
    torch.manual_seed(0)
    model = Autoencoder(latent_dim=2, hidden_dim=8)
    sliders = LatentSliders(model)
    sliders.sliders[0].value = 1.0
    assert (pixels(sliders) == expected(model, torch.tensor([1.0, 0.0]))).all()


# --- what they leave alone ----------------------------------------------------------------------


def test_torchs_random_numbers_are_left_alone(model):
    torch.manual_seed(3)
    expected_next = torch.rand(1)
    torch.manual_seed(3)
    sliders = LatentSliders(model)
    sliders.sample()
    assert torch.equal(torch.rand(1), expected_next)


class Normed(VAE):
    """A decoder that batch normalisation and dropout would change, were it not in evaluation mode."""

    def __init__(self):
        super().__init__(latent_dim=2, hidden_dim=4)
        self.norm, self.drop = nn.BatchNorm1d(784), nn.Dropout(0.5)

    def decode(self, z):
        return torch.sigmoid(self.drop(self.norm(self.fc_dec[:-1](z))))


@pytest.mark.parametrize("training", [True, False])
def test_the_models_mode_and_its_running_means_are_left_alone(training):
    torch.manual_seed(0)
    model = Normed().train(training)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    sliders = LatentSliders(model)
    first(sliders).value = 1.0
    shown, z = pixels(sliders), sliders.z
    assert model.training == model.drop.training == training
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    assert (shown == expected(model.eval(), z)).all()


def test_they_follow_the_model_as_it_is_trained(model, digits):
    sliders = LatentSliders(model)
    before = pixels(sliders)
    fit(model, digits.train_x[:256], epochs=1, lr=0.01, progress=False)
    first(sliders).value = 0.1
    first(sliders).value = 0.0
    assert (pixels(sliders) == expected(model, torch.zeros(3))).all()
    assert not (pixels(sliders) == before).all()


def test_results_that_a_learner_keeps_on_the_model_do_no_harm(model):
    model.mu, _ = model.encode(torch.rand(2, 784))  # has a gradient: deepcopy refuses it
    sliders = LatentSliders(model)
    assert (pixels(sliders) == expected(model, torch.zeros(3))).all()


def test_a_slider_that_moves_during_training_shows_one_set_of_weights():
    """All weights of this model are equal at any time; a torn copy would mix two steps of the training."""

    class Flat(VAE):
        def __init__(self):
            super().__init__(latent_dim=2, hidden_dim=2)
            self.fc_dec.requires_grad_(False)  # decode does without it
            self.parts = nn.ParameterList(nn.Parameter(torch.zeros(200_000)) for _ in range(6))

        def forward(self, x):
            recon_x, mu, logvar = super().forward(x)
            level = torch.stack([part.mean() for part in self.parts]).mean()
            return recon_x * 0 + torch.sigmoid(level), mu, logvar

        def decode(self, z):
            ends = torch.stack([part[0] for part in self.parts])
            self.spread = float(ends.detach().max() - ends.detach().min())
            return torch.sigmoid(ends.mean()).expand(len(z), 784)

    torch.manual_seed(0)
    model = Flat()
    sliders = LatentSliders(model)
    stop, spreads, seen = threading.Event(), [], set()

    def slide():
        step = 0
        while not stop.is_set():
            step += 1
            first(sliders).value = (step % 50) / 10 - 2.5
            spreads.append(sliders._snapshot.copy.spread)
            seen.add(bytes(sliders.image.value))

    thread = threading.Thread(target=slide)
    thread.start()
    try:
        fit(model, torch.ones(2_000, 784), epochs=3, batch_size=20, lr=0.01, progress=False)
    finally:
        stop.set()
        thread.join()
    assert len(seen) > 5  # the picture changed meanwhile
    assert max(spreads) == 0


def test_an_effect_below_zero_counts_as_one_above():
    """The picture changes with the second latent where it is negative, and with the first where it is positive."""

    class OneSided(VAE):
        def decode(self, z):
            part = 0.2 * z[:, :1].clamp(min=0) + 0.3 * (-z[:, 1:2]).clamp(min=0)
            return part.expand(-1, 784)

    assert latents_by_effect(Snapshot(OneSided(latent_dim=3, hidden_dim=2))) == [1, 0, 2]


# --- figures with sliders -----------------------------------------------------------------------


def test_a_figure_is_drawn_for_the_sliders_values():
    calls = []

    def draw(figure, a, b):
        figure.subplots().plot([0, a])
        calls.append((a, b))
        return f"<b>{b}</b>"

    sliders = FigureSliders(draw, a=(0.0, 2.0, 1.0), b=["x", "y"], labels={"a": "α"})
    assert calls == [(1.0, "x")]
    before = pixels(sliders)
    sliders.sliders["a"].value = 2.0
    sliders.sliders["b"].value = "y"
    assert calls == [(1.0, "x"), (2.0, "x"), (2.0, "y")]
    assert sliders.text.value == "<b>y</b>"
    assert sliders.sliders["a"].description == "α"
    assert pixels(sliders).shape == before.shape
    assert not (pixels(sliders) == before).all()
    assert plt.get_fignums() == []


@pytest.mark.parametrize("spec", [(0, 1), (0, 1, 2), (2, 1, 1), [], 5, (0, 1, 0, 0.1, 3)])
def test_a_slider_of_another_form(spec):
    with pytest.raises(ValueError, match="The slider a must be"):
        FigureSliders(lambda figure, a: None, a=spec)


def test_a_figure_without_sliders():
    with pytest.raises(ValueError, match="at least one slider"):
        FigureSliders(lambda figure: None)


def numbers(text):
    return [float(number) for number in re.findall(r"[-−]?\d+\.\d+", text)]


def test_two_gaussians_say_their_kl():
    sliders = two_gaussian_sliders()
    sliders.sliders["mu"].value, sliders.sliders["logvar"].value = -2.0, 1.0
    sigma, mean_part, spread_part = numbers(sliders.text.value)
    assert sigma == pytest.approx(np.exp(0.5), abs=0.01)
    kl = kl_divergence(torch.tensor([[-2.0]]), torch.tensor([[1.0]])).item()
    assert mean_part + spread_part == pytest.approx(kl, abs=0.02)
    assert mean_part == 2.0


def test_in_the_picture_of_one_gaussian_each_line_goes_from_its_noise_to_its_code():
    sliders, figure = gaussian_sliders(), plt.figure()
    sliders._draw(figure, mu=2.0, logvar=-1.0)
    _, lower = figure.axes
    noise, codes = (np.asarray(points.get_offsets()) for points in lower.collections)
    eps = torch.randn(40, generator=torch.Generator().manual_seed(0)).numpy()
    np.testing.assert_allclose(noise, np.stack([eps, np.ones(40)], axis=1))
    np.testing.assert_allclose(codes[:, 0], 2 + np.exp(-0.5) * eps, rtol=1e-6)
    lines = [line.get_xydata() for line in lower.lines]
    np.testing.assert_allclose(lines, np.stack([noise, codes], axis=1), rtol=1e-6)
    plt.close(figure)


def test_a_slider_has_sixty_steps_where_none_is_named():
    sliders = FigureSliders(
        lambda figure, a, b: None, a=(0.0, 3.0, 1.0), b=(0.0, 3.0, 1.0, 0.25)
    ).sliders
    assert (sliders["a"].step, sliders["b"].step) == (0.05, 0.25)


def test_one_gaussian_says_its_standard_deviation():
    sliders = gaussian_sliders()
    before = pixels(sliders)
    sliders.sliders["logvar"].value = 2.0
    assert numbers(sliders.text.value)[0] == pytest.approx(np.e, abs=0.01)
    assert not (pixels(sliders) == before).all()


def test_the_beta_slider_tells_each_models_terms(digits):
    models = {beta: load_pretrained(f"vae-mnist-beta-{beta}") for beta in (10, 0, 1)}
    sliders = beta_slider(models, digits.test_x[:200])
    assert list(sliders.sliders["beta"].options) == [0, 1, 10]
    said = []
    for beta in (0, 1, 10):
        sliders.sliders["beta"].value = beta
        said.append(numbers(sliders.text.value)[-2:])
        mu, logvar = models[beta].encode(digits.test_x[:200])
        assert said[-1][1] == pytest.approx(kl_divergence(mu, logvar).mean().item(), abs=0.06)
    reconstruction, kl = zip(*said, strict=True)
    assert list(reconstruction) == sorted(reconstruction)
    assert list(kl) == sorted(kl, reverse=True)
    with pytest.raises(ValueError, match="no models"):
        beta_slider({}, digits.test_x[:10])


def test_a_widget_says_what_it_is_where_it_cannot_be_shown(model):
    assert repr(LatentSliders(model, [1])) == "Sliders for z[1]: run the cell to move them."
    assert "μ, log σ²" in repr(gaussian_sliders())


def test_a_png_clips_what_is_no_grey_value():
    image = torch.linspace(-1, 2, 784)
    shown = np.asarray(Image.open(io.BytesIO(sliders_module._png(image)))).reshape(-1)
    assert (shown[0], shown[-1]) == (0, 255)


# --- classes, and a model without an encoder ----------------------------------------------------


def test_a_conditional_model_has_a_menu_of_its_classes():
    torch.manual_seed(0)
    model = ConditionalVAE(latent_dim=3, hidden_dim=8, classes=4)
    sliders = LatentSliders(model, z=torch.ones(3), label=2)
    assert sliders.class_menu.options == (0, 1, 2, 3)
    for label in (2, 0, 3):
        sliders.class_menu.value = label
        assert np.array_equal(pixels(sliders), expected(model.given(label), torch.ones(3)))
    first(sliders).value = -1.0
    assert np.array_equal(pixels(sliders), expected(model.given(3), sliders.z))
    assert sliders.class_menu.value == 3  # the style moves, the class stays
    with pytest.raises(ValueError, match="no class 4: this model has classes 0 to 3"):
        LatentSliders(model, label=4)
    with pytest.raises(ValueError, match="no class 1: this model has no classes"):
        LatentSliders(VAE(latent_dim=2, hidden_dim=4), label=1)
    assert LatentSliders(VAE(latent_dim=2, hidden_dim=4)).class_menu is None


def test_sliders_of_a_gan_show_its_generator_as_it_is_used():
    torch.manual_seed(0)
    gan = GAN(latent_dim=3, hidden_dim=8)
    gan.decode(torch.randn(50, 3))  # in training mode: the batch norms gather statistics
    sliders = LatentSliders(gan)
    assert len(sliders.sliders) == 3
    assert np.array_equal(pixels(sliders), expected(gan.eval(), torch.zeros(3)))
