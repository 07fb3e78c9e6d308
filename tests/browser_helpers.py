"""A real browser for tests, if there is one: the requests, errors and contrasts of its pages."""

import contextlib
import os
import shutil
import socket
from dataclasses import dataclass, field

import pytest

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
"""Names of the Chromium program on Debian and other systems."""

OPAQUE_COLORS = """
() => {
  const painter = document.createElement("canvas").getContext("2d", {willReadFrequently: true});
  const rgba = color => {
    painter.clearRect(0, 0, 1, 1);
    painter.fillStyle = color;
    painter.fillRect(0, 0, 1, 1);
    return [...painter.getImageData(0, 0, 1, 1).data];
  };
  const behind = element => {
    for (let above = element; above; above = above.parentElement) {
      const color = rgba(getComputedStyle(above).backgroundColor);
      if (color[3] === 255) return color;
    }
    return [255, 255, 255, 255];
  };
  const hasText = element => [...element.childNodes].some(n => n.nodeType === Node.TEXT_NODE && n.data.trim());
  return [...document.body.querySelectorAll("*")]
    .filter(element => hasText(element) && element.checkVisibility())
    .map(element => [element.outerHTML.slice(0, 80), rgba(getComputedStyle(element).color), behind(element)]);
}
"""
"""Returns, for each visible element with text: its HTML, the color of its text and the opaque color behind it."""


@pytest.fixture(scope="session")
def chromium():
    """Headless Chromium for all tests of the session; they are skipped if it is not installed."""
    playwright = pytest.importorskip(
        "playwright.sync_api", reason="needs playwright to drive a browser: pip install 'keras_gen[test]'"
    )
    program = next(filter(None, map(shutil.which, PROGRAMS)), None)
    if program is None:
        pytest.skip(f"needs a browser, one of the programs {', '.join(PROGRAMS)}: apt-get install chromium")
    with playwright.sync_playwright() as driver:
        # Chromium refuses to be run by root with its sandbox.
        arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
        browser = driver.chromium.launch(executable_path=program, args=arguments)
        yield browser
        browser.close()


@dataclass
class Watched:
    """A page of the browser, its requests and its errors."""

    page: object
    requests: list = field(default_factory=list)
    complaints: list = field(default_factory=list)

    def __post_init__(self):
        self.page.set_default_timeout(20_000)
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("pageerror", lambda error: self.complaints.append(f"uncaught: {error}"))
        self.page.on("console", self._hear)

    def _hear(self, message):
        if message.type == "error":
            self.complaints.append(f"console: {message.text}")

    @property
    def fetched(self):
        """Requested addresses outside the page: no `data:` or `blob:` addresses."""
        return [url for url in self.requests if not url.startswith(("data:", "blob:"))]


@contextlib.contextmanager
def watched_page(browser, *, width=1280, height=900, **options):
    """A new page with its own cookies and cache; `options` are those of `browser.new_context`."""
    context = browser.new_context(viewport={"width": width, "height": height}, **options)
    try:
        yield Watched(context.new_page())
    finally:
        context.close()


def free_port():
    """A port of 127.0.0.1 that is free at the moment."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def contrasts(page):
    """The contrast (WCAG 2.2, 1 to 21) of every visible text with its background, lowest first, with its HTML."""
    return sorted((contrast(text, back), shown) for shown, text, back in page.evaluate(OPAQUE_COLORS))


def contrast(text, back):
    """The contrast of two colors, RGBA from 0 to 255; that of the text may be transparent."""
    alpha = text[3] / 255
    seen = [alpha * front + (1 - alpha) * behind for front, behind in zip(text[:3], back[:3], strict=True)]
    low, high = sorted((luminance(seen), luminance(back[:3])))
    return (high + 0.05) / (low + 0.05)


def luminance(color):
    """Relative luminance of an sRGB color, as defined by WCAG 2.2."""
    parts = [part / 255 for part in color]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def background(page):
    """Computed color of the page's body."""
    return page.evaluate("getComputedStyle(document.body).backgroundColor")


def overflow(page):
    """Pixels by which the page is wider than its window."""
    return page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
