"""Lessons in JupyterLab and Notebook 7, in Chromium and Firefox: every cell runs, and every widget can be moved.

`pytest tests/browser --all-lessons` runs them all in JupyterLab and Chromium; without the option, those with every
kind of widget. Lesson 00 runs in each front end and each browser.
"""

import nbformat
from browser import run_all_cells
from execute_notebooks import METADATA
from lessons import NOTEBOOKS, PATHS

IN_CI = {"00_start_here", "04_why_it_matters"}

PICTURES = (
    """() => [...document.querySelectorAll('.widget-image')].map((image) => image.src).join('|')"""
)
WITH_PICTURE = ".jp-OutputArea-output:has(.widget-image)"
DECODED = """() => [...document.querySelectorAll('.latent-lab canvas[role=img]')]
  .map((canvas) => canvas.toDataURL()).join()"""
TRACED = """() => [...document.querySelectorAll('.xray canvas[role=img]')]
  .map((canvas) => canvas.toDataURL()).join()"""
# What moves the sliders of ipywidgets down and up. Notebook 7 takes the arrow keys for itself.
KEYS = {"lab": ("ArrowLeft", "ArrowRight"), "notebook": ("PageDown", "PageUp")}


def pytest_generate_tests(metafunc):
    if "name" in metafunc.fixturenames:
        every = metafunc.config.getoption("--all-lessons")
        # the learner's 06 and 07 have blanks and stop there, as they should: here run the complete ones
        where = [
            ("chromium", "lab", path.relative_to(NOTEBOOKS).with_suffix("").as_posix())
            for path in PATHS
            if every or path.stem in IN_CI
        ]
        others = (("chromium", "notebook"), ("firefox", "lab"), ("firefox", "notebook"))
        where.extend((*other, "00_start_here") for other in others)
        metafunc.parametrize(("browser", "front_end", "name"), where, indirect=["browser"])


def changes(page, act, what=PICTURES):
    """Whether the widgets' pictures (or what else is named) change after an action."""
    before = page.evaluate(what)
    act()
    for _ in range(100):
        page.wait_for_timeout(50)
        if page.evaluate(what) != before:
            return True
    return False


def press(page, handle, keys):
    """Move a slider by the keyboard, away from its end."""
    handle.scroll_into_view_if_needed()
    handle.focus()
    at_end = handle.get_attribute("aria-valuenow") == handle.get_attribute("aria-valuemax")
    for _ in range(3):
        page.keyboard.press(keys[0] if at_end else keys[1])


def drag(page, handle, by=(-40, 0)):
    """Move a slider, or the point of the lab's plane, by the mouse."""
    handle.scroll_into_view_if_needed()
    box = handle.bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + by[0], y + by[1], steps=5)
    page.mouse.up()


def predict(page, group, keys):
    """Commit to the second answer, by the keyboard alone: Tab, Space, the slider's keys, Space on the button."""
    group.scroll_into_view_if_needed()
    answers = group.query_selector_all("input[type=radio]")
    answers[0].focus()
    page.keyboard.press("Tab")
    page.keyboard.press(" ")
    assert answers[1].is_checked()
    for _ in answers[1:]:
        page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className").startswith("noUi-handle")
    assert changes(
        page, lambda: page.keyboard.press(keys[1]), "document.activeElement.ariaValueNow"
    )
    for _ in range(2):  # past the slider's number
        page.keyboard.press("Tab")
    page.keyboard.press(" ")
    said = "[...document.querySelectorAll('.widget-html')].some((e) => /[✓✗]/.test(e.textContent))"
    page.wait_for_function(said, timeout=10_000)


def test_every_widget_of_a_lesson_moves(run_lesson, browser, front_end, name):
    page, keys = run_lesson(name, front_end), KEYS[front_end]
    handles = page.query_selector_all(f"{WITH_PICTURE} .noUi-handle")
    if (browser.browser_type.name, front_end) != ("chromium", "lab"):
        handles = handles[:1]  # the others do as it does
    for handle in handles:
        assert changes(page, lambda handle=handle: press(page, handle, keys))
    for handle in handles[:1]:
        assert changes(page, lambda handle=handle: drag(page, handle))
    for menu in page.query_selector_all(f"{WITH_PICTURE} .widget-dropdown select"):
        menu.scroll_into_view_if_needed()
        assert changes(page, lambda menu=menu: menu.select_option(index=7))
    for button in page.query_selector_all(f"{WITH_PICTURE} button:has-text('new sample')"):
        button.scroll_into_view_if_needed()
        assert changes(page, button.click)
    for lab in page.query_selector_all(".latent-lab"):
        lab.scroll_into_view_if_needed()
        plane = lab.query_selector("canvas[role=slider]")
        slider = lab.query_selector("input[type=range][aria-label^='z[']")
        for act in (
            lab.query_selector("button:has-text('new sample')").click,
            lambda slider=slider: slider.press("ArrowRight"),
            lambda plane=plane: plane.press("Shift+ArrowUp"),
            lambda plane=plane: drag(page, plane, (60, 40)),
            lab.query_selector("button:has-text('a test image')").click,
        ):
            assert changes(page, act, DECODED)
    for xray in page.query_selector_all(".xray"):
        xray.scroll_into_view_if_needed()
        for act in (
            xray.query_selector("button:has-text('new ε')").click,
            xray.query_selector("button:has-text('a test image')").click,
            lambda xray=xray: xray.query_selector("canvas[role=application]").press("Backspace"),
        ):
            assert changes(page, act, TRACED)
    for group in page.query_selector_all(".jp-OutputArea-output:has(.widget-radio-box)")[:1]:
        predict(page, group, keys)


SHARED = """
import ipywidgets, torch
from vae_helpers import LatentLab, load_pretrained
lab, said = LatentLab(load_pretrained("vae-mnist-2")), ipywidgets.Label()
lab.observe(lambda change: setattr(said, "value", "z is " + " ".join(f"{v:.2f}" for v in lab.z)), "z")
button = ipywidgets.Button(description="set")
button.on_click(lambda _: setattr(lab, "z", [1.5, -1.0]))
other = ipywidgets.Button(description="draw")
other.on_click(lambda _: setattr(lab, "x", [0.0] * 784))
ipywidgets.VBox([lab, said, button, other])
"""


def test_the_page_and_python_share_the_point_and_the_drawing(open_page, server):
    page, (root, address) = open_page(), server
    book = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(SHARED.strip())], metadata=METADATA
    )
    nbformat.write(book, root / "notebooks" / "shared.ipynb")
    assert run_all_cells(page, address("notebooks/shared.ipynb")) == []
    slider = page.get_by_role("slider", name="z[0]", exact=True)
    slider.focus()
    for _ in range(6):
        page.keyboard.press("ArrowRight")
    page.wait_for_function("document.body.textContent.includes('z is 0.30 0.00')", timeout=5_000)
    page.get_by_role("button", name="set", exact=True).click()
    page.wait_for_function(
        "document.querySelector('.latent-lab input[aria-label=\"z[0]\"]').value === '1.5'",
        timeout=5_000,
    )
    assert page.get_by_role("slider", name="z[1]", exact=True).input_value() == "-1"
    page.get_by_role("button", name="draw", exact=True).click()
    page.wait_for_function(
        "document.querySelector('.latent-lab').textContent.includes('KL')", timeout=5_000
    )
    assert page.get_by_role("button", name="a test image").count() == 0  # no images were given
