"""Each lesson in JupyterLab, in Chromium: every cell runs, and every widget does something when it is moved.

`pytest tests/browser --all-lessons` runs them all; without the option, those with every kind of widget.
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


def pytest_generate_tests(metafunc):
    if "name" in metafunc.fixturenames:
        every = metafunc.config.getoption("--all-lessons")
        # the learner's 06 and 07 have blanks and stop there, as they should: here run the complete ones
        names = [
            path.relative_to(NOTEBOOKS).with_suffix("").as_posix()
            for path in PATHS
            if every or path.stem in IN_CI
        ]
        metafunc.parametrize("name", names)


def changes(page, act, what=PICTURES):
    """Whether the widgets' pictures (or what else is named) change after an action."""
    before = page.evaluate(what)
    act()
    for _ in range(100):
        page.wait_for_timeout(50)
        if page.evaluate(what) != before:
            return True
    return False


def press(page, handle):
    """Move a slider by the keyboard, away from its end."""
    handle.scroll_into_view_if_needed()
    handle.focus()
    at_end = handle.get_attribute("aria-valuenow") == handle.get_attribute("aria-valuemax")
    for _ in range(3):
        page.keyboard.press("ArrowLeft" if at_end else "ArrowRight")


def drag(page, handle):
    """Move a slider by the mouse."""
    handle.scroll_into_view_if_needed()
    box = handle.bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x - 40, y, steps=5)
    page.mouse.up()


def test_every_widget_of_a_lesson_moves(run_lesson, name):
    page = run_lesson(name)
    handles = page.query_selector_all(f"{WITH_PICTURE} .noUi-handle")
    for handle in handles:
        assert changes(page, lambda handle=handle: press(page, handle))
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
        decoded = """() => [...document.querySelectorAll('.latent-lab canvas[role=img]')]
          .map((canvas) => canvas.toDataURL()).join()"""
        for act in (
            lab.query_selector("button:has-text('new sample')").click,
            lambda lab=lab: lab.query_selector("input[type=range][aria-label^='z[']").press(
                "ArrowRight"
            ),
            lambda lab=lab: lab.query_selector("canvas[role=slider]").press("Shift+ArrowUp"),
            lab.query_selector("button:has-text('a test image')").click,
        ):
            assert changes(page, act, decoded)
    for group in page.query_selector_all(".jp-OutputArea-output:has(.widget-radio-box)")[
        :1
    ]:  # a prediction
        group.scroll_into_view_if_needed()
        group.query_selector("input[type=radio]").check()
        group.query_selector("button").click()


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


def test_the_page_and_python_share_the_point_and_the_drawing(open_page, lab_server):
    page, (root, address) = open_page(), lab_server
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
