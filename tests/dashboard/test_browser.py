"""What a nurse sees, in a real browser: headless Chromium on a served ward."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest
from selenium import webdriver
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import WebDriverWait

from gateway.bed_screen import BedView, SensorView
from gateway.messages import (
    AlarmKind,
    AlarmPriority,
    AlarmState,
    BedState,
    QualityReason,
    Variability,
)
from tests.dashboard.fake_ward import FakeHeart, FakeWard, quality

pytestmark = pytest.mark.browser

FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
PX_PER_S = 25 * 96 / 25.4
PATIENCE_S = 15.0
MAX_STEP_PX = 40  # 0.4 s, on a busy machine

# The strip's columns that hold ink, from its left edge; the blank before the sweep is the hole.
BLANK_CENTRE = """
  const canvas = document.querySelector(".trace");
  const { width, height } = canvas;
  const pixels = canvas.getContext("2d").getImageData(0, 0, width, height - 40).data;
  const inked = new Array(width).fill(false);
  for (let i = 3; i < pixels.length; i += 4) if (pixels[i]) inked[((i - 3) / 4) % width] = true;
  const doubled = inked.concat(inked);
  let best = 0, start = 0, run = 0;
  doubled.forEach((ink, x) => {
    run = ink ? 0 : run + 1;
    if (run > best) { best = run; start = x - run + 1; }
  });
  return { centre: (start + best / 2) % width, blank: best, width };
"""
# Columns of the strip in which ink stands above ink with a space between: what a sweep left over.
TORN_COLUMNS = """
  const canvas = document.querySelector(".trace");
  const { width, height } = canvas;
  const pixels = canvas.getContext("2d").getImageData(0, 0, width, height - 40).data;
  const torn = [];
  for (let x = 0; x < width; x++) {
    let last = null;
    for (let y = 0; y < height - 40; y++) {
      if (!pixels[4 * (y * width + x) + 3]) continue;
      if (last !== null && y - last > 6) { torn.push(x); break; }
      last = y;
    }
  }
  return torn;
"""
# Middles of the marks of one colour, and how high above the baseline the trace goes there.
MARKS = """
  const canvas = document.querySelector(".trace");
  const { width, height } = canvas;
  const pen = canvas.getContext("2d");
  const probe = document.createElement("canvas").getContext("2d");
  probe.fillStyle = getComputedStyle(canvas).getPropertyValue(arguments[0]).trim();
  probe.fillRect(0, 0, 1, 1);
  const ink = probe.getImageData(0, 0, 1, 1).data;
  const lane = pen.getImageData(0, height - 36, width, 36).data;
  const columns = [];
  for (let x = 0; x < width; x++) {
    for (let y = 0; y < 36; y++) {
      const i = 4 * (y * width + x);
      if (lane[i + 3] === 255 && [0, 1, 2].every((c) => Math.abs(lane[i + c] - ink[c]) < 3)) {
        columns.push(x);
        break;
      }
    }
  }
  const groups = [];
  for (const x of columns) {
    const last = groups.at(-1);
    if (last && x - last.at(-1) < 12) last.push(x); else groups.push([x]);
  }
  const top = (from, to) => {
    const left = Math.max(0, Math.round(from));
    const field = pen.getImageData(left, 0, Math.round(to) - left, height - 36);
    const first = field.data.findIndex((value, i) => i % 4 === 3 && value > 0);
    return first < 0 ? height : Math.floor(first / 4 / field.width);
  };
  return groups.map((group) => {
    const x = (group[0] + group.at(-1)) / 2;
    return { x, peak: top(x - 12, x + 12), beside: top(x - 34, x - 24) };
  });
"""


@pytest.fixture(scope="module")
def browser() -> Iterator[webdriver.Chrome]:
    chromium, chromedriver = shutil.which("chromium"), shutil.which("chromedriver")
    if chromium is None or chromedriver is None:
        pytest.skip("needs Chromium; install it with: apt-get install chromium chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for flag in FLAGS:
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    service = webdriver.ChromeService(chromedriver)
    with webdriver.Chrome(options=options, service=service) as driver:
        yield driver


class Screen:
    """A page in the browser, asked in the words of the page."""

    def __init__(self, browser: webdriver.Chrome) -> None:
        self.browser = browser

    def open(self, url: str, width: int = 1024, height: int = 768, scheme: str = "dark") -> None:
        self.emulate(scheme=scheme)
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        self.browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        self.browser.get(url)

    def emulate(self, scheme: str = "dark", motion: str = "no-preference") -> None:
        features = [
            {"name": "prefers-color-scheme", "value": scheme},
            {"name": "prefers-reduced-motion", "value": motion},
        ]
        self.browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})

    def one(self, selector: str) -> WebElement:
        return self.browser.find_element("css selector", selector)

    def text(self, part: str) -> str:
        return self.script("return document.querySelector(arguments[0])?.textContent ?? ''", part)

    def script(self, source: str, *arguments: object) -> Any:
        return self.browser.execute_script(source, *arguments)

    def wait(self, selector: str, words: str) -> None:
        """Until the part says these words."""
        WebDriverWait(self.browser, PATIENCE_S, 0.1).until(
            lambda _: words in self.text(selector), f"{selector} never said {words!r}"
        )

    def wait_for_marks(self, count: int, ink: str) -> list[dict[str, float]]:
        WebDriverWait(self.browser, PATIENCE_S, 0.2).until(
            lambda _: len(self.script(MARKS, ink)) >= count, f"no {count} marks in {ink}"
        )
        return self.script(MARKS, ink)


@pytest.fixture
def ward() -> Iterator[FakeWard]:
    with FakeWard() as ward:
        yield ward


@pytest.fixture
def screen(browser: webdriver.Chrome) -> Iterator[Screen]:
    browser.get_log("browser")
    yield Screen(browser)
    severe = [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"]
    assert [entry for entry in severe if "ERR_CONNECTION" not in entry["message"]] == []
    browser.get("about:blank")


def test_the_strip_sweeps_at_25_mm_a_second(ward: FakeWard, screen: Screen) -> None:
    ward.add_bed(FakeHeart(72))
    screen.open(ward.server.url)
    screen.wait("[data-is=rate]", "72")
    positions: list[tuple[float, float]] = []
    until = time.monotonic() + 3.0
    width = 1.0
    while time.monotonic() < until:
        seen = screen.script(BLANK_CENTRE)
        width = seen["width"]
        assert 8 <= seen["blank"] <= 60
        positions.append((time.monotonic(), seen["centre"]))
    steps = [(b[1] - a[1]) % width for a, b in pairwise(positions)]
    assert max(steps) < MAX_STEP_PX  # neither a jump nor a step back
    speed = sum(steps) / (positions[-1][0] - positions[0][0])
    assert speed == pytest.approx(PX_PER_S, rel=0.08)


def test_a_sweep_leaves_nothing_of_the_one_before(ward: FakeWard, screen: Screen) -> None:
    ward.add_bed(FakeHeart(97, noise_mv=0.3))
    screen.open(ward.server.url, width=390)
    screen.wait("[data-is=rate]", "97")
    for scheme in ("light", "dark") * 6:
        screen.emulate(scheme=scheme)  # drawn anew, and swept over from there
        time.sleep(0.7)
        assert screen.script(TORN_COLUMNS) == []


def test_a_mark_stands_under_each_r_peak(ward: FakeWard, screen: Screen) -> None:
    ward.add_bed(FakeHeart(60, "NNV"))
    screen.open(ward.server.url, width=1280)
    screen.wait("[data-is=rate]", "60")
    for ink, least in (("--beat-v", 2), ("--beat-n", 4)):
        marks = screen.wait_for_marks(least, ink)
        inside = [
            mark for mark in marks if 40 < mark["x"] < screen.script(BLANK_CENTRE)["width"] - 40
        ]
        assert inside
        for mark in inside:
            assert mark["peak"] < mark["beside"] - 20
    screen.wait("[data-is=last-beat]", "V · ventricular, p(abnormal) 0.97")
    screen.wait("[data-is=last-beat]", "N · normal, p(abnormal) 0.02")
    screen.wait("[data-is=legend]", "ventricular10")  # 30 s at 60 bpm, each third


def test_silence_is_told_and_no_number_stays(ward: FakeWard, screen: Screen) -> None:
    bed = ward.add_bed(FakeHeart(72))
    screen.open(ward.server.url)
    screen.wait("[data-is=rate]", "72")
    ward.silent.add(bed.bed_id)
    screen.wait("[data-is=overlay]", "No signal since ")
    assert screen.text("[data-is=rate]") == screen.text("[data-is=quality]") == "—"
    assert screen.text("[data-is=last-beat]") == "—"
    ward.silent.clear()
    screen.wait("[data-is=rate]", "72")
    assert not screen.one("[data-is=overlay]").is_displayed()


def test_a_lost_line_is_noticed_without_the_gateway(ward: FakeWard, screen: Screen) -> None:
    ward.add_bed(FakeHeart(72))
    screen.open(ward.server.url)
    screen.wait("[data-is=rate]", "72")
    ward.live_view.close()
    ward.server.stop()
    screen.wait("[data-is=overlay]", "No signal since ")
    screen.wait("#lost", "No connection to the gateway since ")
    assert screen.one("#lost").is_displayed()
    assert screen.text("[data-is=rate]") == "—"
    assert screen.text("#connection") == "Not connected"


def test_a_bed_alone_shows_its_variability_and_its_spectrum(ward: FakeWard, screen: Screen) -> None:
    bed = ward.add_bed(FakeHeart(72))
    screen.open(ward.server.url)
    screen.wait("[data-is=variability]", "SDNN—RMSSD—pNN50—LF/HF—")
    known = Variability(sdnn_ms=48.2, rmssd_ms=33.4, pnn50_percent=11.8, lf_hf=1.63)
    ward.live_view.variability(bed.bed_id, bed.session, known, time.time())
    screen.wait("[data-is=variability]", "SDNN48 msRMSSD33 mspNN5012 %LF/HF1.6")
    screen.wait("[data-is=spectrum-figures]", " µV · baseline ")
    assert screen.one(".variability").is_displayed()
    ward.silent.add(bed.bed_id)
    screen.wait("[data-is=variability]", "SDNN—RMSSD—pNN50—LF/HF—")


def test_poor_signal_hides_the_rate_and_says_why(ward: FakeWard, screen: Screen) -> None:
    bed = ward.add_bed(FakeHeart(72))
    bed.quality = quality(0.2, QualityReason.MUSCLE, usable=False)
    screen.open(ward.server.url)
    screen.wait("[data-is=quality]", "poor")
    assert screen.text("[data-is=rate]") == "—"
    assert screen.text("[data-is=rate-note]") == "hidden: poor signal"
    assert screen.text("[data-is=quality-note]") == "muscle noise"


@pytest.mark.parametrize("teller", ["sensor", "signal"])
def test_an_electrode_off_is_said_in_words(ward: FakeWard, screen: Screen, teller: str) -> None:
    bed = ward.add_bed(FakeHeart(72))
    screen.open(ward.server.url)
    screen.wait("[data-is=rate]", "72")
    if teller == "sensor":
        bed.sensor(SensorView(connected=True, lead_off=True, battery_percent=None))
        screen.wait("[data-is=sensor]", "battery —")
    else:
        bed.quality = quality(0.0, QualityReason.LEAD_OFF, usable=False)
    screen.wait("[data-is=overlay]", "Electrode off: check the electrodes")
    assert screen.text("[data-is=rate]") == screen.text("[data-is=quality]") == "—"


def test_a_gap_is_hatched(ward: FakeWard, screen: Screen) -> None:
    bed = ward.add_bed(FakeHeart(72))
    screen.open(ward.server.url)
    screen.wait("[data-is=rate]", "72")
    inked = """
      const canvas = document.querySelector(".trace");
      const top = canvas.getContext("2d").getImageData(0, 0, canvas.width, 20).data;
      return top.filter((value, i) => i % 4 === 3 && value > 0).length;
    """
    assert screen.script(inked) == 0
    bed.send_frame(time.time(), lost=True)
    WebDriverWait(screen.browser, PATIENCE_S, 0.2).until(lambda _: screen.script(inked) > 200)


@pytest.mark.parametrize(
    ("priority", "colour", "animation"),
    [
        (AlarmPriority.HIGH, "rgb(198, 15, 26)", "flash-high"),
        (AlarmPriority.MEDIUM, "rgb(255, 217, 26)", "flash-medium"),
        (AlarmPriority.LOW, "rgb(39, 215, 238)", "none"),
    ],
)
def test_alarms_call_by_colour_and_flash(
    ward: FakeWard, screen: Screen, priority: AlarmPriority, colour: str, animation: str
) -> None:
    bed = ward.add_bed(FakeHeart(148))
    screen.open(ward.server.url)
    bed.raise_alarm(AlarmKind.TACHYCARDIA, priority, AlarmState.ACTIVE)
    screen.wait(".alarm .kind", "tachycardia")
    screen.wait("#announcements", f"Bed 1: tachycardia, {priority} priority.")
    assert screen.browser.title == "! Bed 1: tachycardia"
    style = "return getComputedStyle(document.querySelector('.alarm'))[arguments[0]]"
    assert screen.script(style, "animationName") == animation
    screen.emulate(motion="reduce")
    assert screen.script(style, "animationName") == "none"
    assert screen.script(style, "backgroundColor") == colour
    bed.raise_alarm(AlarmKind.TACHYCARDIA, priority, AlarmState.ACKNOWLEDGED)
    screen.wait(".alarm .since", "acknowledged")
    screen.emulate()
    assert screen.script(style, "animationName") == "none"


@pytest.mark.parametrize(
    ("state", "words"),
    [(BedState.STANDBY, "On standby, not monitored"), (BedState.VACANT, "Vacant")],
)
def test_a_bed_that_is_not_monitored_shows_nothing(
    ward: FakeWard, screen: Screen, state: BedState, words: str
) -> None:
    bed = ward.add_bed(FakeHeart(72))
    screen.open(ward.server.url)
    screen.wait("[data-is=rate]", "72")
    ward.live_view.bed_changed(BedView(bed.bed_id, "Bed 1", state), time.time())
    screen.wait("[data-is=overlay]", words)
    assert screen.text("[data-is=rate]") == "—"
    assert not screen.one(".trace").is_displayed()


def test_a_beds_name_is_text(ward: FakeWard, screen: Screen) -> None:
    label = "<img src=x onerror=alert(1)>"
    ward.add_bed(FakeHeart(72), label=label)
    screen.open(ward.server.url + "beds/1")
    screen.wait(".bed-name", label)
    assert screen.browser.title.startswith(label)


def test_the_keyboard_leads_from_the_ward_to_a_bed(ward: FakeWard, screen: Screen) -> None:
    for bpm in (60, 72):
        ward.add_bed(FakeHeart(bpm))
    screen.open(ward.server.url)
    screen.wait(".bed:nth-child(2) .bed-name", "Bed 2")
    for _ in range(8):
        screen.browser.switch_to.active_element.send_keys(Keys.TAB)
        if screen.browser.switch_to.active_element.text == "Bed 2":
            break
    screen.browser.switch_to.active_element.send_keys(Keys.ENTER)
    screen.wait(".bed-name", "Bed 2")
    assert screen.browser.current_url.endswith("/beds/2")
    assert len(screen.browser.find_elements("css selector", ".bed")) == 1


@pytest.mark.parametrize("scheme", ["dark", "light"])
@pytest.mark.parametrize("size", [(1024, 768), (390, 844)], ids=["tablet", "phone"])
@pytest.mark.parametrize("beds", [1, 3, 4, 8])
def test_the_ward_fits_the_screen(
    ward: FakeWard, screen: Screen, beds: int, size: tuple[int, int], scheme: str
) -> None:
    for number in range(beds):
        ward.add_bed(FakeHeart(60 + number))
    screen.open(ward.server.url, *size, scheme=scheme)
    screen.wait(f".bed:nth-child({beds}) [data-is=rate]", str(59 + beds))
    assert screen.script("return document.documentElement.scrollWidth") <= size[0]
    assert "Not a certified medical device" in screen.one("footer").text
    below = """
      const main = document.querySelector("main");
      return main.scrollHeight - main.clientHeight;
    """
    assert screen.script(below) == 0 or size[0] < 600
