"""A model on any device, of any precision. Without a GPU, fake tensors show where two devices would meet."""

import math

import pytest
import torch
from matplotlib.figure import Figure
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode

from vae_helpers import (
    GAN,
    VAE,
    Autoencoder,
    History,
    LatentLab,
    LatentSliders,
    active_units,
    answers,
    captured,
    check,
    checkpoints,
    checks,
    devices,
    effective_beta,
    evaluation,
    figures,
    fit,
    fit_gan,
    kl_per_latent,
    load_pretrained,
    log_likelihood,
    memorisation_ratio,
    objectives,
    sample_quality,
    training,
)
from vae_helpers.checks import registry
from vae_helpers.interactive.lesson_sliders import beta_slider

GPU = devices.accelerator()
gpu = pytest.mark.skipif(GPU is None, reason="needs a GPU, and there is none here")


@pytest.fixture
def x(digits):
    return digits.train_x[:300]


def small(kind=VAE):
    torch.manual_seed(0)
    return kind(latent_dim=3, hidden_dim=16)


# --- without a GPU ------------------------------------------------------------------------------


@pytest.fixture
def fake(monkeypatch):
    """A VAE on a GPU that is not there, and images on the CPU: shapes and devices, without numbers."""
    for module, name in ((objectives, "prepare_images"), (evaluation, "prepare_images")):
        monkeypatch.setattr(module, name, lambda images: images.flatten(1))
    monkeypatch.setattr(evaluation, "prepare_inputs", lambda _, images: images.flatten(1))
    monkeypatch.setattr(
        torch.cuda, "is_current_stream_capturing", lambda: True
    )  # no look at values
    with FakeTensorMode():
        with torch.device("cuda"):
            model = VAE(latent_dim=2, hidden_dim=16)
        yield model, torch.rand(8, 784)


@pytest.mark.parametrize(
    "call",
    [
        objectives.elbo,
        lambda model, x: objectives.elbo(model, x, generator=torch.Generator()),
        lambda model, x: objectives.importance_weighted_bound(model, x, 5),
        active_units,
        kl_per_latent,
        lambda model, x: devices.encoded(model, x)[1],
    ],
)
def test_results_come_back_to_the_cpu(fake, call):
    assert call(*fake).device == devices.CPU


def test_a_manifold_of_a_model_elsewhere(fake):
    with pytest.raises(RuntimeError, match="numpy"):  # which ends the run of a fake tensor
        figures.draw_manifold(Figure().subplots(), fake[0])


def test_the_fake_sees_where_devices_meet(fake):
    model, x = fake
    with pytest.raises(RuntimeError, match="device"):
        model.encode(x)


def test_what_was_asked_for_is_not_there(x, monkeypatch):
    monkeypatch.setattr(devices, "accelerator", lambda: None)
    for name in ("cuda", "mps", "gpu"):
        with pytest.raises(ValueError, match=f"no device '{name}' here.*There is: cpu"):
            fit(small(), x, epochs=1, device=name)
    assert devices.choose("auto", small()) == devices.CPU
    monkeypatch.setattr(devices, "accelerator", lambda: torch.device("mps"))
    assert devices.choose("auto", small()) == devices.choose("mps", small()) == torch.device("mps")
    with pytest.raises(ValueError, match="There is: cpu, mps"):
        fit(small(), x, epochs=1, device="cuda")


def test_a_seed_gives_what_torchs_own_gives(monkeypatch):
    torch.manual_seed(3)
    expected = torch.rand(4)
    devices.seed(3)
    assert torch.equal(torch.rand(4), expected)
    asked = []
    monkeypatch.setattr(devices, "accelerator", lambda: torch.device("cuda"))
    monkeypatch.setattr(torch, "manual_seed", asked.append)
    devices.seed(5)  # a GPU has random numbers of its own
    assert asked == [5]


def test_random_numbers_of_a_mac_are_kept(monkeypatch):
    given = []
    monkeypatch.setattr(torch.mps, "get_rng_state", lambda: torch.ones(2))
    monkeypatch.setattr(torch.mps, "set_rng_state", given.append)
    with devices.random_numbers_kept(devices.CPU):
        pass
    assert given == []
    with devices.random_numbers_kept(torch.device("mps")):
        pass
    assert torch.equal(given[0], torch.ones(2))


def test_double_precision(x):
    single, double = small(), small().double()
    losses = [
        fit(model, x, epochs=1, progress=False, test_x=x[:50], generator=seeded()).train["loss"]
        for model in (single, double)
    ]
    assert double.fc1.weight.dtype == torch.float64
    assert losses[0] == pytest.approx(losses[1], rel=0.01)
    assert objectives.elbo(double, x).dtype == torch.float64
    figures.draw_manifold(Figure().subplots(), load_pretrained("vae-mnist-2").double())
    LatentSliders(double, latents=2).random_button.click()
    LatentLab(load_pretrained("vae-mnist-2").double())
    gan = GAN(latent_dim=3, hidden_dim=16).double()
    assert math.isfinite(fit_gan(gan, x, epochs=1, progress=False).train["generator"][0])


def test_double_precision_as_the_default(x):
    torch.set_default_dtype(torch.float64)
    try:
        model = small()
        fit(model, x, epochs=1, progress=False)
        LatentSliders(model, latents=2)
        assert check.kl_divergence(answers.kl_divergence)
        assert check.vae(answers.VAE)
    finally:
        torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_refused(x, dtype):
    with pytest.raises(TypeError, match=r"model\.float\(\)"):
        fit(small().to(dtype), x, epochs=1, progress=False)
    with pytest.raises(TypeError, match=r"model\.float\(\)"):
        fit_gan(GAN().to(dtype), x, epochs=1, progress=False)


def test_autocast_is_refused(x):
    with torch.autocast("cpu", torch.bfloat16):
        for call in (lambda: fit(small(), x, epochs=1), lambda: fit_gan(GAN(), x, epochs=1)):
            with pytest.raises(TypeError, match="outside the `with"):
                call()


def test_an_answer_that_meets_two_devices_is_called_again_on_the_other(monkeypatch):
    """The other device is the CPU too here, and the answer tells the calls apart by their number."""
    monkeypatch.setattr(devices, "accelerator", lambda: devices.CPU)
    places, probe_on = [], registry._probe_on

    def note(place, *arguments):
        places.append(place)
        return probe_on(place, *arguments)

    monkeypatch.setattr(registry, "_probe_on", note)

    def answer(mu, logvar):
        if len(places) == 1:
            raise RuntimeError("Expected all tensors to be on the same device")
        return answers.kl_divergence(mu, logvar)

    assert check.kl_divergence(answer)
    assert len(places) == 2
    assert check.kl_divergence(answers.kl_divergence)
    assert len(places) == 3


def test_what_is_captured():
    place, objective = torch.device("cuda"), objectives.NegativeELBO()
    assert captured.can_capture(VAE(), objective, place)
    assert captured.can_capture(Autoencoder(), objectives.Reconstruction(), place)

    class Own(VAE):
        pass

    hooked, watched, after, replaced, other = (VAE() for _ in range(5))
    after.fc1.weight.register_post_accumulate_grad_hook(lambda weight: None)
    hooked.fc1.register_forward_hook(lambda *_: None)
    watched.fc1.weight.register_hook(lambda gradient: gradient)
    replaced.decode = lambda z: 1 - replaced.fc_dec(z)
    other.fc_dec[1] = nn.Dropout()
    for model in (Own(), hooked, watched, after, replaced, other, GAN(), answers.VAE()):
        assert not captured.can_capture(model, objective, place)
    for goal in (objectives.NegativeELBO(warm_up=3), objectives.LossFunction(print)):
        assert not captured.can_capture(VAE(), goal, place)
    assert not captured.can_capture(VAE(), objective, devices.CPU)
    with torch.autograd.set_detect_anomaly(True, check_nan=False):
        assert not captured.can_capture(VAE(), objective, place)


def test_a_checkpoint_of_another_device_goes_on(x, tmp_path):
    """What Adam needs to know of the device is not taken from the file."""
    model, path = small(), tmp_path / "checkpoint.pt"
    fit(model, x, epochs=1, progress=False, checkpoint=path)
    settings = {"batch_size": 128, "lr": 1e-3, "beta": 1.0, "images": len(x)}
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, fused=False, capturable=True)
    checkpoints.load(path, model, optimizer, settings, History(2))
    assert [(g["fused"], g["capturable"]) for g in optimizer.param_groups] == [(False, True)]


def test_a_model_that_cannot_be_moved_stays_whole(monkeypatch):
    model, moved = small(), []

    def to(place):
        moved.append(place)
        if len(moved) == 1:
            raise RuntimeError("out of memory")
        return model

    monkeypatch.setattr(model, "to", to)
    with pytest.raises(RuntimeError, match="out of memory"), devices.at(model, GPU or devices.CPU):
        pass
    assert moved[-1] == devices.CPU


def test_a_part_of_another_precision(x):
    """The images are as precise as a part of the model is; a frozen part may be of any precision."""
    model = small()
    model.scale = nn.Parameter(torch.ones((), dtype=torch.float64), requires_grad=False)
    model.frozen = nn.Parameter(torch.ones((), dtype=torch.float16), requires_grad=False)
    assert devices.given_to(model, x).dtype == torch.float32
    assert devices.given_to(model.double(), x).dtype == torch.float64
    assert math.isfinite(fit(model, x, epochs=1, progress=False).train["loss"][0])


# --- with one -----------------------------------------------------------------------------------


def seeded(seed=5):
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def by_default():
    """The GPU as torch's default device."""
    torch.set_default_device(GPU)
    yield
    torch.set_default_device(None)


@gpu
@pytest.mark.parametrize("size", [32, 64, 300])
def test_a_captured_training_is_the_other_one(x, size, monkeypatch):
    models = [small(), small()]
    histories = []
    for model, capture in zip(models, (True, False), strict=True):
        if not capture:
            monkeypatch.setattr(training, "can_capture", lambda *_: False)
        histories.append(
            fit(
                model, x, epochs=4, batch_size=size, test_x=x[:50], device=GPU, generator=seeded(),
                progress=False,
            )
        )  # fmt: skip
    assert histories[0].train["loss"] == pytest.approx(histories[1].train["loss"], rel=1e-5)
    assert histories[0].test["kl"] == pytest.approx(histories[1].test["kl"], rel=1e-3)
    for a, b in zip(*(model.parameters() for model in models), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-4)


@gpu
def test_fit_leaves_a_model_where_it_was(x):
    model, gan = small(), GAN(latent_dim=3, hidden_dim=16)
    fit(model, x.to(GPU), epochs=1, device=GPU, progress=False)
    fit_gan(gan, x, epochs=1, device="auto", progress=False)
    assert devices.place_of(model) == devices.place_of(gan) == devices.CPU
    fit(model.to(GPU), x, epochs=1, progress=False)
    assert devices.place_of(model).type == GPU.type


@gpu
def test_measures_of_a_model_on_a_gpu(x, digits):
    model, classifier = load_pretrained("vae-mnist-20"), load_pretrained("classifier-mnist")
    here = [kl_per_latent(model, x), log_likelihood(model, x, 3, generator=seeded()).mean]
    model.to(GPU)
    there = [kl_per_latent(model, x), log_likelihood(model, x, 3, generator=seeded()).mean]
    torch.testing.assert_close(there[0], here[0], rtol=1e-4, atol=1e-4)
    assert there[1] == pytest.approx(here[1], rel=1e-5)
    assert active_units(model, x).device == devices.CPU
    images = model.decode(torch.randn(40, 20, device=GPU)).detach()
    assert memorisation_ratio(images, digits.train_x[:500]) == 0
    for place in (GPU, devices.CPU):
        found = sample_quality(images, x, digits.train_x[:500], classifier.to(place))
        assert math.isfinite(found["lenet_fid"])

    def loss(recon_x, images, mu, logvar):
        moved = [t.to(GPU, torch.float32) for t in (recon_x, images, mu, logvar)]
        return objectives.loss_function(*moved)

    assert effective_beta(loss, likelihood="bernoulli") == pytest.approx(1, abs=1e-3)


@gpu
def test_pictures_of_a_model_on_a_gpu(x, digits):
    model, ax = load_pretrained("vae-mnist-2").to(GPU), Figure().subplots()
    figures.draw_manifold(ax, model)
    codes = model.encode(x.flatten(1).to(GPU))[0].detach()
    figures.draw_codes(ax, codes, digits.train_y[:300])
    figures.draw_codes(ax, codes.cpu(), digits.train_y[:300].to(GPU))
    LatentSliders(model).random_button.click()
    beta_slider({1.0: model}, x)
    LatentLab(model)


@gpu
def test_the_gpu_as_the_default_device(by_default, x):
    model = VAE(latent_dim=2)
    assert devices.place_of(model).type == GPU.type
    fit(model, x, epochs=1, progress=False)
    LatentSliders(model).random_button.click()
    LatentLab(model)
    figures.draw_manifold(Figure().subplots(), model)
    for name, right in (("kl_divergence", answers.kl_divergence), ("vae", answers.VAE)):
        assert getattr(check, name)(right)
    assert check.vae(answers.VAE())


def moving(*where):
    """A right VAE that moves things itself, in these of its methods."""

    class Moving(answers.VAE):
        def __init__(self, latent_dim=20):
            super().__init__(latent_dim)
            if "init" in where:
                self.to(GPU)

        def encode(self, x):
            return super().encode(x.to(GPU) if "encode" in where else x)

        def reparameterize(self, mu, logvar):
            std = torch.exp(0.5 * logvar)
            eps = torch.randn(std.shape).to(GPU) if "noise" in where else torch.randn_like(std)
            return mu + std * eps.to(std.dtype)

        def forward(self, x):
            return super().forward(x.to(GPU) if "forward" in where else x)

    return Moving


@gpu
@pytest.mark.parametrize(
    "where", ["init", "encode", "noise", "forward", "init encode noise forward"]
)
@pytest.mark.parametrize("name", ["encode", "decode", "reparameterize", "vae"])
@pytest.mark.parametrize("made", [False, True])
def test_an_answer_that_moves_things_itself(name, where, made):
    kind = moving(*where.split())
    answer = kind() if made else kind
    before = devices.place_of(answer)
    verdict = getattr(check, name)(answer)
    assert verdict, verdict
    assert devices.place_of(answer) == before


@gpu
def test_a_step_that_moves_its_model():
    def training_step(model, optimizer, x):
        model.to(GPU)
        return answers.training_step(model, optimizer, x.to(GPU))

    verdict = check.training_step(training_step)
    assert verdict, verdict


@gpu
@pytest.mark.parametrize("name", [n for n in checks.NAMES if not checks.registry.find(n).of_model])
def test_a_right_answer_that_computes_on_the_gpu(name):
    right = registry.find(name).answer
    if name in ("training_step", "prior_grid", "reparameterize", "walk"):
        pytest.skip("makes numbers of its own on the CPU, or is tested above")
    verdict = getattr(check, name)(lambda *given: moved(right, given))
    assert verdict, verdict


def moved(function, given):
    return function(*(t.to(GPU) if isinstance(t, torch.Tensor) else t for t in given))
