"""The report pages in a real browser: legible in light, dark and print, on a phone, and with working controls."""

import json
from pathlib import Path

import numpy as np
import pytest
from browser_helpers import background, contrast, contrasts, overflow, watched_page
from report_helpers import SHAPE, change, make_run, measure, score

import keras_gen
from keras_gen import report
from keras_gen.publishing import reports
from keras_gen.report.pages import comparison_page, run_page
from keras_gen.report.pages.run_page import PageFigure

HOSTILE = "<script>document.title = 'taken'</script><img src=\"data:,\" onerror=\"document.title = 'taken'\">"
pytestmark = pytest.mark.slow

RECORD = Path(keras_gen.__file__).parents[1] / "docs" / "reports" / "R2"
PAGES = ("run", "hostile", "comparison", "reproduction")
LEGIBLE = 4.5
"""Minimum contrast of text of normal size at level AA of WCAG 2.2."""

WIDTHS = {"desk": 1280, "phone": 390}


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """Addresses of the pages of a complete run, of a run full of markup, of their comparison, and of a report."""
    folder = tmp_path_factory.mktemp("pages")
    run = make_run(folder / "00001-vae-mlp", overrides={"latent_dim": 2}, notes=["one note"], done=7)
    measure(run, score(), score("precision_lenet", 0.5, better="high", generated=500), notes=["one note"])
    codes = np.random.default_rng(0).normal(size=(60, 2))
    figure = report.scatter(codes, np.arange(60) % 10, "")
    illustrations = [
        PageFigure("Codes", figure, "Sixty of them."),
        PageFigure("Manifold", None, "too many latents"),
    ]
    hostile = make_run(folder / "00002-vae-mlp")
    record = json.loads((hostile / "recipe.json").read_text(encoding="utf-8"))
    change(hostile, command=["run.py", "--dataset", HOSTILE], machine=HOSTILE)
    change(hostile, data=record["data"] | {"name": HOSTILE, "substituted_because": HOSTILE, "notes": [HOSTILE]})
    (hostile / "model.txt").write_text(HOSTILE, encoding="utf-8")
    measure(hostile, score(value=90.0), score("precision_lenet", 0.25, better="high"), notes=[HOSTILE])
    written = {
        "run": run_page.write(run, illustrations),
        "hostile": run_page.write(hostile),
        "comparison": comparison_page.write([run, hostile], folder / "comparison.html"),
        "reproduction": folder / "reproduction.html",
    }
    written["reproduction"].write_text(reports.html(reports.read(RECORD), RECORD), encoding="utf-8")
    return {name: path.as_uri() for name, path in written.items()}


@pytest.fixture
def opened(chromium, pages):
    """Opens a page without network; afterwards it must have requested nothing and logged no error."""
    with watched_page(chromium, offline=True) as watched:

        def opened(name, **media):
            watched.page.emulate_media(**media)
            watched.page.goto(pages[name])
            return watched.page

        yield opened
        assert set(watched.fetched) <= set(pages.values())
        assert watched.complaints == []


def unfolded(shown):
    """The page with all details open, as after a click on each summary."""
    shown.evaluate("document.querySelectorAll('details').forEach(details => details.open = true)")
    return shown


def test_contrast_is_that_of_the_standard():
    white, black, gray = (255, 255, 255, 255), (0, 0, 0, 255), (0x76, 0x76, 0x76, 255)
    assert contrast(black, white) == contrast(white, black) == pytest.approx(21)
    assert contrast(gray, white) == pytest.approx(4.54, abs=0.005)
    assert contrast((0, 0, 0, 0), white) == 1


# How it looks


@pytest.mark.parametrize("name", PAGES)
def test_light_dark_and_print_are_legible(opened, name):
    backgrounds = {}
    for media, scheme in (("screen", "light"), ("screen", "dark"), ("print", "light"), ("print", "dark")):
        shown = unfolded(opened(name, media=media, color_scheme=scheme))
        texts = contrasts(shown)
        assert len(texts) > 40
        assert texts[0][0] >= LEGIBLE, (media, scheme, texts[0])
        backgrounds[media, scheme] = background(shown)
    white = "rgb(255, 255, 255)"
    assert backgrounds.pop(("screen", "dark")) != white
    assert set(backgrounds.values()) == {white}


@pytest.mark.parametrize("name", PAGES)
@pytest.mark.parametrize("device", WIDTHS)
def test_nothing_sticks_out_and_every_picture_is_there(opened, name, device):
    shown = opened(name)
    shown.set_viewport_size({"width": WIDTHS[device], "height": 900})
    unfolded(shown)
    assert overflow(shown) == 0
    pictures = shown.locator("img").evaluate_all(
        """pictures => Promise.all(pictures.map(async picture => {
          await picture.decode();
          return [picture.naturalWidth, picture.naturalHeight, picture.clientWidth, picture.clientHeight];
        }))"""
    )
    assert len(pictures) >= 3
    assert min(map(min, pictures)) >= SHAPE[0], pictures


def test_a_phone_gets_curves_below_one_another(opened):
    shown = opened("run")
    shapes = {}
    for device, width in WIDTHS.items():
        shown.set_viewport_size({"width": width, "height": 900})
        shapes[device] = shown.locator("figure.wide img").first.evaluate(
            "async picture => { await picture.decode(); return picture.naturalHeight / picture.naturalWidth; }"
        )
    assert shapes["phone"] > 1.5 * shapes["desk"]


def test_pixels_of_generated_images_are_not_smoothed(opened):
    drawn = opened("run").locator("figure.pixels img").first
    assert drawn.evaluate("picture => getComputedStyle(picture).imageRendering") == "pixelated"
    assert drawn.evaluate("picture => picture.clientWidth > 2 * picture.naturalWidth")


# What can be clicked


@pytest.mark.parametrize("name", PAGES[:3])
def test_what_is_folded_opens_and_shuts_by_mouse_and_by_keyboard(opened, name):
    shown = opened(name)
    every = shown.locator("details")
    assert every.count() >= (1 if name == "comparison" else 3)
    for one in every.all():
        content = one.locator(":scope > :not(summary)").first
        assert not content.is_visible()
        one.locator("summary").click()
        assert content.is_visible()
        one.locator("summary").press("Enter")
        assert not content.is_visible()


@pytest.mark.parametrize("name", PAGES)
def test_links_lead_to_their_sections(opened, name):
    shown = opened(name)
    links = shown.locator("nav a")
    assert links.count() == shown.locator("h2").count() >= 6
    for link in links.all():
        heading = link.inner_text()
        link.click()
        there = shown.get_by_role("heading", name=heading, exact=True, level=2)
        assert shown.url.endswith("#" + there.get_attribute("id"))
        top, height = there.evaluate("heading => [heading.getBoundingClientRect().top, innerHeight]")
        assert -1 <= top < height  # parts of a pixel are rounded


@pytest.mark.parametrize("name", PAGES)
def test_what_is_too_wide_for_a_phone_is_moved_by_keyboard(opened, name):
    shown = opened(name)
    shown.set_viewport_size({"width": WIDTHS["phone"], "height": 900})
    wide = [part for part in unfolded(shown).locator(".scroll, .sheet").all() if hidden_width(part) > 0]
    assert wide
    for part in wide:
        part.focus()
        shown.keyboard.press("ArrowRight")
        shown.wait_for_function("part => part.scrollLeft > 0", arg=part.element_handle())


def hidden_width(part):
    return part.evaluate("part => part.scrollWidth - part.clientWidth")


def test_a_page_on_paper_hides_its_links_and_cuts_no_table(opened):
    shown = opened("run", media="print")
    assert not shown.locator("nav").is_visible()
    cut = shown.locator(".scroll").evaluate_all("all => all.map(part => getComputedStyle(part).overflowX)")
    assert set(cut) == {"visible"}


# What must not happen


@pytest.mark.parametrize("name", ["hostile", "comparison"])
def test_markup_in_a_record_is_text(opened, name):
    shown = unfolded(opened(name))
    assert "taken" in shown.inner_text("body")
    assert "<script>document.title" in shown.inner_text("body")
    assert shown.title() != "taken"
    assert shown.locator("script, [onerror]").count() == 0


def test_a_script_would_not_run_even_if_it_got_into_the_page(chromium, tmp_path):
    written = run_page.write(make_run(tmp_path / "run"))
    text = written.read_text(encoding="utf-8")
    written.write_text(text.replace("</body>", HOSTILE + "</body>"), encoding="utf-8")
    with watched_page(chromium, offline=True) as watched:
        watched.page.goto(written.as_uri())
        assert watched.page.locator("script, [onerror]").count() == 2
        assert watched.page.title() != "taken"
        assert watched.fetched == [written.as_uri()]
        assert watched.complaints
        assert all("Content Security Policy" in complaint for complaint in watched.complaints)
