"""The latent lab in a browser: it computes what PyTorch computes, by mouse, by keyboard, with the network cut."""

import numpy as np
import pytest
import torch

from vae_helpers import LatentLab, load_pretrained

LAB = "document.getElementById('lab').latentLab"
in_both_browsers = pytest.mark.parametrize("browser", ["chromium", "firefox"], indirect=True)


@pytest.fixture(scope="module")
def page_of(tmp_path_factory, digits):
    """A lab's page by name, saved once."""
    folder, saved = tmp_path_factory.mktemp("pages"), {}

    def page_of(name):
        if name not in saved:
            more = {}
            if name == "lab-vae-mnist-2":
                more = {
                    "autoencoder": load_pretrained("lab-autoencoder-mnist-2"),
                    "classifier": load_pretrained("lab-classifier-mnist"),
                }
            lab = LatentLab(load_pretrained(name), images=digits, **more)
            saved[name] = lab.save_html(folder / f"{name}.html")
        return saved[name].as_uri()

    return page_of


@pytest.fixture
def open_lab(open_page, page_of):
    """Open a lab with the network cut; whatever it asks for besides itself, then or later, is an error."""
    opened, asked = set(), set()

    def open_lab(name="lab-vae-mnist-2", *, still=True, **settings):
        page = open_page(**{"viewport": {"width": 1040, "height": 900}, "offline": True} | settings)
        page.on("request", lambda request: asked.add(request.url))
        opened.add(page_of(name))
        page.goto(page_of(name))
        page.wait_for_function(LAB)
        if still:  # it opens moving
            page.evaluate(f"{LAB}.move(new Float32Array({LAB}.latents))")
        return page

    yield open_lab
    assert asked <= opened


def numbers(page, expression):
    return np.array(page.evaluate(f"Array.from({LAB}.{expression})"), dtype=np.float32)


def picture(page):
    return page.evaluate("document.querySelector('canvas[role=img]').toDataURL()")


def settle(page):
    page.wait_for_timeout(400)  # the text follows when the picture stands still


# --- what it computes ---------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["vae-mnist-20", "lab-vae-mnist-2"])
@torch.no_grad()
def test_it_decodes_and_encodes_as_pytorch_does(open_lab, digits, name):
    page, model = open_lab(name), load_pretrained(name)
    z = torch.randn(1_000, model.latent_dim, generator=torch.Generator().manual_seed(0))
    script = f"(codes) => codes.map((z) => Array.from({LAB}.decode(Float32Array.from(z))))"
    found = torch.tensor(page.evaluate(script, z.tolist()))
    assert (found - model.decode(z)).abs().max() < 1 / 255
    x = digits.test_x[:200].flatten(1)
    script = f"""(images) => images.map((x) => {{
      const found = {LAB}.encode(Float32Array.from(x));
      return [Array.from(found.mu), Array.from(found.logvar)];
    }})"""
    encoded = torch.tensor(page.evaluate(script, x.tolist())).transpose(0, 1)
    for theirs, ours in zip(encoded, model.encode(x), strict=True):
        assert (theirs - ours).abs().max() < 1 / 255


@torch.no_grad()
def test_what_a_test_image_costs(open_lab, digits):
    page, model = open_lab(), load_pretrained("lab-vae-mnist-2")
    page.get_by_role("button", name="a test image").click()
    x = torch.from_numpy(numbers(page, "drawing"))[None]
    assert any(torch.allclose(x[0], image.flatten(), atol=1e-6) for image in digits.test_x)
    mu, logvar = model.encode(x)
    recon = torch.nn.functional.binary_cross_entropy(model.decode(mu), x, reduction="sum").item()
    kl = 0.5 * (mu**2 + logvar.exp() - 1 - logvar).sum().item()
    said = page.evaluate(f"{LAB}.costs.textContent")
    recon_said, kl_said = (
        float(word) for word in said.replace(",", "").split() if word[0].isdigit()
    )
    assert recon_said == pytest.approx(recon, abs=1)
    assert kl_said == pytest.approx(kl, abs=0.11)
    assert np.allclose(numbers(page, "z"), mu[0].numpy(), atol=0.02)


@torch.no_grad()
def test_the_classifier_says_what_it_sees(open_lab):
    page = open_lab()
    model, classifier = load_pretrained("lab-vae-mnist-2"), load_pretrained("lab-classifier-mnist")
    for z in ([0.0, 0.0], [0.0, -2.5], [2.0, -1.0]):
        page.evaluate(f"(z) => {LAB}.move(Float32Array.from(z))", z)
        settle(page)
        label = classifier(model.decode(torch.tensor([z]))).argmax().item()
        text = page.evaluate(f"{LAB}.said.textContent")
        assert f" {label} (" in text
        assert page.get_by_role("img").get_attribute("aria-label") == f"decoded picture: {text}"


# --- moving it ----------------------------------------------------------------------------------


@in_both_browsers
def test_by_mouse(open_lab):
    page = open_lab()
    before, box = picture(page), page.get_by_role("slider", name="latent plane").bounding_box()
    page.mouse.move(box["x"] + box["width"] * 0.75, box["y"] + box["height"] * 0.5)
    page.mouse.down()
    assert picture(page) != before
    z, reach = numbers(page, "z"), page.evaluate(f"{LAB}.reach")
    assert z[0] == pytest.approx(0.5 * reach, abs=0.05)
    page.mouse.move(box["x"] + box["width"] * 0.5, box["y"] + box["height"] * 0.25, steps=10)
    page.mouse.up()
    assert numbers(page, "z") == pytest.approx([0, 0.5 * reach], abs=0.05)


@in_both_browsers
def test_the_arrow_keys_leave_the_point_on_the_pad(open_lab):
    page = open_lab()
    pad = page.get_by_role("slider", name="latent plane")
    for _ in range(12):
        pad.press("Shift+ArrowRight")
    assert numbers(page, "z")[0] == pytest.approx(page.evaluate(f"{LAB}.reach"))
    assert float(pad.get_attribute("aria-valuenow")) == pytest.approx(
        float(pad.get_attribute("aria-valuemax")), abs=0.01
    )


@in_both_browsers
def test_keys_that_the_page_takes_for_itself_reach_the_lab_first(open_lab):
    """As in Notebook 7, whose shortcuts take arrow keys at the document, on their way down."""
    page = open_lab()
    page.evaluate(
        """addEventListener("keydown", (event) => window.came = event.key);
        document.addEventListener("keydown", (event) => {
            event.stopPropagation(); event.preventDefault(); window.taken = event.key;
        }, true)"""
    )
    page.get_by_role("slider", name="latent plane").press("ArrowRight")
    assert numbers(page, "z")[0] == pytest.approx(0.1)
    slider = page.get_by_role("slider", name="z[1]")
    slider.press("ArrowRight")
    assert numbers(page, "z")[1] > 0
    paper = page.get_by_role("application")
    for key in (" ", *["ArrowDown"] * 12):
        paper.press(key)
    assert page.evaluate(f"{LAB}.drawing !== null")
    assert page.evaluate("window.taken") is None
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press("ArrowDown")
    assert page.evaluate("window.taken") == "ArrowDown"
    page.evaluate(f"{LAB}.dispose()")
    page.get_by_role("slider", name="latent plane").press("ArrowRight")
    assert page.evaluate("window.taken") == "ArrowRight"


def test_by_touch(open_lab):
    page = open_lab(has_touch=True)
    box = page.get_by_role("slider", name="latent plane").bounding_box()
    page.touchscreen.tap(box["x"] + box["width"] * 0.25, box["y"] + box["height"] * 0.5)
    assert numbers(page, "z")[0] < -1


@in_both_browsers
def test_by_keyboard_alone(open_lab):
    """Every control is reached by Tab, and does its work."""
    page, seen = open_lab(), {}
    for _ in range(40):
        page.keyboard.press("Tab")
        name = page.evaluate(
            "document.activeElement.ariaLabel || document.activeElement.textContent.slice(0, 30)"
        )
        if name in seen or page.evaluate("document.activeElement === document.body"):
            break
        seen[name] = before = picture(page), page.evaluate(f"{LAB}.costs.textContent")
        keys = {
            "latent plane": ["ArrowRight", "ArrowUp"],
            "draw a digit": [" ", *["ArrowDown"] * 12],
            "z[": ["ArrowRight"] * 9,
        }
        pressed = next((value for start, value in keys.items() if name.startswith(start)), [])
        for key in pressed or ["ArrowLeft" if name == "from A to B" else "Enter"]:
            page.keyboard.press(key)
        if name == "pin A":
            page.evaluate(f"{LAB}.sample()")  # so that A and B differ
        elif name == "play":
            page.wait_for_timeout(300)
            page.keyboard.press("Enter")
        unchanged = ("pin A", "pin B", "VAE", "zero", "clear")
        if not name.startswith(unchanged):
            assert (picture(page), page.evaluate(f"{LAB}.costs.textContent")) != before, name
    expected = {
        "VAE",
        "autoencoder",
        "new sample",
        "zero",
        "play",
        "pin A",
        "pin B",
        "from A to B",
        "clear",
        "a test image",
        "z[0]",
        "z[1]",
    }
    assert expected <= set(seen)
    assert len(seen) == len(expected) + 2


@in_both_browsers
def test_drawing_a_digit(open_lab):
    page = open_lab()
    box = page.get_by_role("application").bounding_box()
    # A stroke at the upper left, small: it is scaled to 20 pixels and centred all the same.
    page.mouse.move(box["x"] + 40, box["y"] + 30)
    page.mouse.down()
    page.mouse.move(box["x"] + 45, box["y"] + 110, steps=8)
    page.mouse.up()
    x = numbers(page, "drawing").reshape(28, 28)
    rows = np.nonzero(x > 0.3)[0]
    assert 17 <= np.ptp(rows) + 1 <= 21
    mass = x / x.sum()
    assert (mass.sum(1) @ np.arange(28), mass.sum(0) @ np.arange(28)) == pytest.approx(
        (13.5, 13.5), abs=0.8
    )
    settle(page)
    assert " 1 (" in page.evaluate(f"{LAB}.said.textContent")
    page.get_by_role("button", name="clear").click()
    assert page.evaluate(f"{LAB}.drawing") is None


def test_the_autoencoder_in_its_place(open_lab):
    page = open_lab()
    before = picture(page)
    page.get_by_role("button", name="autoencoder").click()
    assert picture(page) != before
    assert page.get_by_role("button", name="autoencoder").get_attribute("aria-pressed") == "true"
    page.get_by_role("button", name="a test image").click()
    assert "KL" not in page.evaluate(f"{LAB}.costs.textContent")


def test_playing_stops_and_respects_reduced_motion(open_lab):
    for motion, few in (("no-preference", False), ("reduce", True)):
        page = open_lab(reduced_motion=motion)
        page.get_by_role("button", name="play").click()
        seen = set()
        for _ in range(10):
            page.wait_for_timeout(100)
            seen.add(picture(page))
        assert (len(seen) <= 2) is few
        page.get_by_role("button", name="play").click()
        still = picture(page)
        page.wait_for_timeout(1_700 if few else 200)
        assert picture(page) == still


def test_a_long_drag_ends_on_its_last_value_and_keeps_no_memory(open_lab):
    """600 events, one a frame, as in ten seconds of dragging; three times, the memory after each."""
    page = open_lab("vae-mnist-20")
    slider = page.get_by_role("slider", name="z[").first
    latent = int(slider.get_attribute("aria-label")[2:-1])
    tools = page.context.new_cdp_session(page)
    tools.send("Performance.enable")
    kept = []
    for _ in range(3):
        slider.evaluate("""(slider) => new Promise((done) => {
          let i = 0;
          const step = () => {
            slider.value = 3 * Math.sin(i / 20);
            slider.dispatchEvent(new Event('input'));
            if (++i < 600) requestAnimationFrame(step); else done();
          };
          step();
        })""")
        assert numbers(page, "z")[latent] == pytest.approx(3 * np.sin(599 / 20), abs=0.03)
        page.wait_for_timeout(100)
        tools.send("HeapProfiler.collectGarbage")
        metrics = {m["name"]: m["value"] for m in tools.send("Performance.getMetrics")["metrics"]}
        kept.append(metrics["JSHeapUsedSize"])
    assert page.evaluate(f"{LAB}.model.get('z')[{latent}]") == numbers(page, "z")[latent]
    assert kept[2] - kept[1] < 200_000, kept


# --- for everyone -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("scheme", "width"), [("light", 1040), ("dark", 1040), ("light", 320), ("dark", 520)]
)
def test_no_rule_of_accessibility_is_broken(open_lab, scheme, width):
    from axe_playwright_python.sync_playwright import Axe

    page = open_lab(color_scheme=scheme, viewport={"width": width, "height": 900})
    page.get_by_role("button", name="a test image").click()
    settle(page)
    rules = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"]}
    found = Axe().run(page, options=rules)
    assert found.violations_count == 0, found.generate_report()
    assert page.evaluate("document.documentElement.scrollWidth") <= width  # no scrolling sideways


def test_it_opens_on_a_clear_digit_that_moves_until_it_is_touched(open_lab):
    page = open_lab(still=False)
    first = picture(page)
    page.wait_for_timeout(500)
    assert picture(page) != first
    page.get_by_role("slider", name="latent plane").press("ArrowRight")
    still = picture(page)
    page.wait_for_timeout(300)
    assert picture(page) == still
    calm = open_lab(still=False, reduced_motion="reduce")
    assert calm.evaluate(f"{LAB}.classify({LAB}.decoded).sure") > 0.9
    first = picture(calm)
    calm.wait_for_timeout(200)
    assert picture(calm) == first


def test_a_lab_that_was_saved_with_a_drawing_opens_on_it_and_stays(open_page, digits, tmp_path):
    lab = LatentLab(load_pretrained("lab-vae-mnist-2"), images=digits)
    lab.x = digits.test_x[4].flatten().tolist()
    page = open_page(offline=True)
    page.goto(lab.save_html(tmp_path / "drawn.html").as_uri())
    page.wait_for_function(LAB)
    first = picture(page)
    page.wait_for_timeout(300)
    assert picture(page) == first
    assert np.allclose(numbers(page, "drawing"), lab.x, atol=1e-6)


@pytest.mark.parametrize("width", [320, 360, 412])
@pytest.mark.parametrize("name", ["lab-vae-mnist-2", "vae-mnist-20"])
def test_on_a_phone_nothing_sticks_out(open_lab, width, name):
    page = open_lab(name, viewport={"width": width, "height": 740})
    page.get_by_role("button", name="a test image").click()
    assert page.evaluate("document.documentElement.scrollWidth") <= width


@torch.no_grad()
def test_behind_the_plane_lies_what_it_decodes_to(open_lab, digits):
    """Also after a move of a latent that the plane does not show; the strokes are dark, so the mean is compared."""
    page, model = open_lab("vae-mnist-20"), load_pretrained("vae-mnist-20")
    script = f"""() => {{
      const [canvas, lab] = [document.createElement("canvas"), {LAB}];
      [canvas.width, canvas.height] = [252, 252];
      const pen = canvas.getContext("2d");
      pen.fillStyle = "#fff";
      pen.fillRect(0, 0, 252, 252);
      lab.drawManifold(pen, 252);
      return Array.from(pen.getImageData(0, 0, 252, 252).data).filter((_, i) => i % 4 === 0);
    }}"""
    z = torch.randn(20, generator=torch.Generator().manual_seed(1))
    page.evaluate(f"(z) => {LAB}.move(Float32Array.from(z))", z.tolist())
    shown = torch.tensor(page.evaluate(script)).reshape(9, 28, 9, 28).transpose(1, 2)
    across, up = page.evaluate(f"{LAB}.axes")
    reach = page.evaluate(f"{LAB}.reach")
    for row, column in ((0, 0), (4, 4), (2, 7), (8, 3)):
        place = z.clone()
        place[across] = ((2 * column + 1) / 9 - 1) * reach
        place[up] = (1 - (2 * row + 1) / 9) * reach
        expected = 255 - 0.28 * 255 * model.decode(place[None])[0].reshape(28, 28)
        assert (shown[row, column] - expected).abs().max() < 3
    settle(page)
    assert page.evaluate(f"{LAB}.behind === {LAB}.elsewhere()")


def test_a_code_beyond_the_plane_is_marked_at_its_edge(open_lab):
    page = open_lab()
    marked = f"""(at) => {{
      const lab = {LAB}, [x, y] = lab.onPad(lab.z), pen = lab.pad.getContext('2d');
      return [x, y, Array.from(pen.getImageData(...at, 1, 1).data.slice(0, 3))];
    }}"""
    yellow = [255, 208, 0]
    for z, at in (([99, 0], [586, 300]), ([0, -99], [300, 586])):
        page.evaluate(f"{LAB}.move({z})")
        x, y, colour = page.evaluate(marked, at)
        assert colour == yellow
        assert max(x, y) > 600
