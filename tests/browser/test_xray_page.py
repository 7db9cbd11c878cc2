"""The x-ray in a browser: every number is PyTorch's, by pointer and by key, with the network cut."""

import importlib

import numpy as np
import pytest
import torch

from vae_helpers import load_pretrained, loss_function

XRAY = "document.getElementById('lab').xray"
ROOT = importlib.import_module("save_lab").XRAY_PATH
in_both_browsers = pytest.mark.parametrize("browser", ["chromium", "firefox"], indirect=True)


@pytest.fixture
def open_xray(open_page):
    asked = set()

    def open_xray(**settings):
        page = open_page(
            **{"viewport": {"width": 1040, "height": 1100}, "offline": True} | settings
        )
        page.on("request", lambda request: asked.add(request.url))
        page.goto(ROOT.as_uri())
        page.wait_for_function(XRAY)
        return page

    yield open_xray
    assert asked <= {ROOT.as_uri()}  # Firefox tells nothing of files


def numbers(page, group):
    """All that the page computed: a dictionary of arrays, of values or of gradients."""
    script = f"Object.fromEntries(Object.entries({XRAY}.{group}).map(([k, v]) => [k, v.length ? Array.from(v) : v]))"
    return {name: torch.tensor(found) for name, found in page.evaluate(script).items()}


def passes(x, eps):
    """The same pass in PyTorch: values, and the gradients of the loss with respect to them."""
    model = load_pretrained("vae-mnist-20")
    x = x[None].requires_grad_()
    h = torch.relu(model.fc1(x))
    mu, logvar = model.fc_mu(h), model.fc_logvar(h)
    sigma = torch.exp(0.5 * logvar)
    z = mu + sigma * eps
    hidden = model.fc_dec[:2](z)
    logits = model.fc_dec[2](hidden)
    recon_x = torch.sigmoid(logits)
    loss = loss_function(recon_x, x.detach(), mu, 2 * sigma.log())  # as lesson 03 has it, in σ
    named = {"x": x, "h": h, "mu": mu, "logvar": logvar, "sigma": sigma, "z": z, "hidden": hidden}
    slopes = torch.autograd.grad(loss, [*named.values(), logits], materialize_grads=True)
    gradients = dict(zip([*named, "recon_x"], slopes, strict=True))
    kl = 0.5 * (mu**2 + logvar.exp() - 1 - logvar)
    recon = torch.nn.functional.binary_cross_entropy(recon_x, x.detach(), reduction="sum")
    values = named | {"recon_x": recon_x, "eps": eps[None], "kl": kl}
    values |= {"reconstruction": recon[None, None], "divergence": kl.sum()[None, None]}
    return values, gradients


def agree(page):
    found = numbers(page, "values")
    values, gradients = passes(found["x"], found["eps"])
    assert set(found) == set(values)
    for name, theirs in found.items():
        assert (theirs - values[name][0]).abs().max() < 1e-3, name
    slopes = numbers(page, "gradients")
    assert set(slopes) == set(gradients)
    for name, theirs in slopes.items():
        assert (theirs - gradients[name][0]).abs().max() < 1e-3, name


@in_both_browsers
def test_every_number_is_pytorchs_forward_and_back(open_xray):
    page = open_xray()
    agree(page)
    seen = [numbers(page, "values")]
    for button in ("a test image", "new ε", "ε = 0"):
        page.get_by_role("button", name=button).click()
        agree(page)
        seen.append(numbers(page, "values"))
    assert not torch.equal(seen[0]["x"], seen[1]["x"])
    assert torch.equal(seen[0]["eps"], seen[1]["eps"])  # held
    assert torch.equal(seen[1]["x"], seen[2]["x"])
    assert not torch.equal(seen[1]["eps"], seen[2]["eps"])
    assert torch.equal(seen[3]["z"], seen[3]["mu"])


@in_both_browsers
def test_what_is_drawn_flows_through_by_pointer_and_by_key(open_xray):
    page = open_xray()
    paper = page.get_by_role("application")
    box = paper.bounding_box()
    page.mouse.move(box["x"] + box["width"] * 0.5, box["y"] + box["height"] * 0.2)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.5, box["y"] + box["height"] * 0.8, steps=6)
    page.mouse.up()
    one = numbers(page, "values")["x"].reshape(28, 28)
    assert 17 <= np.ptp(np.nonzero(one.numpy() > 0.3)[0]) + 1 <= 21
    agree(page)
    page.get_by_role("button", name="clear").click()
    assert numbers(page, "values")["x"].sum() == 0
    for key in (" ", *["ArrowRight"] * 10):
        paper.press(key)
    assert np.ptp(np.nonzero(numbers(page, "values")["x"].reshape(28, 28).numpy() > 0.3)[1]) > 15
    agree(page)


def test_the_table_and_the_bars_say_the_numbers(open_xray):
    page = open_xray()
    columns = ["mu", "logvar", "sigma", "eps", "z", "kl"]
    heads = page.locator("thead th").all_inner_texts()
    assert heads == ["mu", "logvar", "σ", "ε", "z", "KL"]

    def rows():
        texts = [row.split("\t")[1:] for row in page.locator("tbody tr").all_inner_texts()]
        return np.array(
            [[text.replace("−", "-").replace("–", "nan") for text in row] for row in texts],
            dtype=float,
        )

    values = numbers(page, "values")
    assert np.allclose(rows(), np.stack([values[name] for name in columns], 1), atol=0.00501)
    nats = [values["reconstruction"], values["divergence"]]
    said = page.locator(".cost span").all_inner_texts()
    expected = [f"{value:.1f}" for value in (*nats, sum(nats))]
    assert [text.split()[-1] for text in said] == expected
    page.get_by_role("button", name="way back").press("Enter")
    slopes = numbers(page, "gradients")
    shown = rows()
    for place, name in enumerate(columns):
        if name in slopes:
            assert np.allclose(shown[:, place], slopes[name], atol=0.00501)
        else:
            assert np.isnan(shown[:, place]).all()
    page.locator("select").select_option("7")
    label = page.locator("canvas.curve").get_attribute("aria-label")
    assert f"z[7] has logvar {values['logvar'][7]:.2f}".replace("-", "−") in label


def lit(page):
    return set(page.locator(".lines .lit").all_inner_texts()), set(
        page.locator(".box.lit, th.lit").evaluate_all(
            "(all) => all.map((part) => part.dataset.box)"
        )
    )


def test_a_box_lights_its_lines_and_a_line_its_boxes(open_xray):
    page = open_xray()
    page.locator("[data-tag=sigma]").hover()
    lines, boxes = lit(page)
    assert lines == {"        std = torch.exp(0.5 * logvar)"}
    assert boxes == {"sigma"}
    page.locator(".lines button", has_text="randn_like").hover()
    assert lit(page)[1] == {"eps", "z"}
    page.locator("h1").hover()
    assert lit(page) == (set(), set())
    first = page.locator(".lines button").first  # by key: one stop, then the arrows
    first.focus()
    assert lit(page)[1] == {"h"}
    page.keyboard.press("ArrowDown")
    assert lit(page)[1] == {"mu"}
    page.keyboard.press("Enter")
    page.locator("h1").hover()
    assert lit(page)[1] == {"mu"}  # it stays
    assert page.locator(".lines [aria-pressed=true]").count() == 1


@pytest.mark.parametrize("width", [320, 768, 1400])
def test_no_line_of_the_code_is_cut(open_xray, width):
    page = open_xray(viewport={"width": width, "height": 900})
    cut = """[...document.querySelectorAll('.lines, .lines > *')]
      .filter((part) => part.scrollWidth > part.clientWidth || part.scrollHeight > part.clientHeight).length"""
    assert page.evaluate(cut) == 0
    box = page.locator(".lines").bounding_box()
    rows = """[...document.querySelectorAll('.lines > *')].map((line) => {
      const range = document.createRange();
      range.selectNodeContents(line);
      const places = [...range.getClientRects()].map(({ left, right }) => [left, right]);
      return [parseFloat(getComputedStyle(line).fontSize), line.textContent, places];
    })"""
    for size, text, places in page.evaluate(rows):
        assert size >= 12
        begin = len(text) - len(text.lstrip())
        for left, right in places:
            assert box["x"] <= left
            assert right <= box["x"] + box["width"]
        for left, _ in places[1:]:  # what goes on below is set in further than the first word
            assert left > places[0][0] + begin * 7


def test_by_keyboard_alone_each_control_is_reached(open_xray):
    page, seen = open_xray(), []
    for _ in range(40):
        page.keyboard.press("Tab")
        name = page.evaluate(
            "document.activeElement.ariaLabel || document.activeElement.textContent.trim().slice(0, 24)"
        )
        if name in seen or page.evaluate("document.activeElement === document.body"):
            break
        seen.append(name)
    wanted = {
        "x",
        "a test image",
        "clear",
        "h",
        "mu",
        "logvar",
        "σ",
        "ε",
        "z",
        "KL",
        "decoder's h",
        "recon_x",
    }
    wanted |= {"new ε", "ε = 0", "the gradient's way back", "loss", "latent on the curve"}
    assert wanted <= set(seen)


@pytest.mark.parametrize(("scheme", "width"), [("light", 1040), ("dark", 320)])
def test_no_rule_of_accessibility_is_broken(open_xray, scheme, width):
    from axe_playwright_python.sync_playwright import Axe

    page = open_xray(color_scheme=scheme, viewport={"width": width, "height": 900})
    rules = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"]}
    for button in ("mu", "the gradient's way back"):
        page.get_by_role("button", name=button, exact=True).click()
        found = Axe().run(page, options=rules)
        assert found.violations_count == 0, found.generate_report()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
