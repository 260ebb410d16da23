"""The slider's script, driven as a reader would: by keys and buttons, in a real browser."""

import json
import os
import shutil
import subprocess
import threading
import time
from itertools import count

import pytest
from verification_example import HOSTILE, verification_example

from fairjax.report import write_report
from fairjax.report.verification.audited import audited_systems

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), ""
)
pytestmark = pytest.mark.skipif(not CHROMIUM, reason="needs Chromium")


class Browser:
    """A page in headless Chromium, over its debugging pipe: one JSON message between zero bytes."""

    def __init__(self, folder, page):
        (read, theirs_out), (theirs_in, write) = os.pipe(), os.pipe()
        os.set_inheritable(theirs_in, True), os.set_inheritable(theirs_out, True)
        command = f'exec "$0" "$@" 3<&{theirs_in} 4>&{theirs_out}'
        self.process = subprocess.Popen(
            [
                "bash",
                "-c",
                command,
                CHROMIUM,
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--remote-debugging-pipe",
                "--no-first-run",
                "--disable-background-networking",
                "--disable-component-update",
                "--disable-sync",
                f"--user-data-dir={folder}",
            ],
            close_fds=False,
            stderr=subprocess.DEVNULL,
        )
        os.close(theirs_in), os.close(theirs_out)
        self.watch = threading.Timer(60, self.process.kill)
        self.watch.start()
        self.out, self.into = os.fdopen(read, "rb"), os.fdopen(write, "wb")
        self.ids = count(1)
        self.session = None
        target = self.call("Target.createTarget", url=page.as_uri())["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)[
            "sessionId"
        ]
        while not self.run("document.querySelector('.scripted') !== null"):
            time.sleep(0.02)

    def call(self, method, **params):
        message = {"id": next(self.ids), "method": method, "params": params}
        if self.session:
            message["sessionId"] = self.session
        self.into.write(json.dumps(message).encode() + b"\0")
        self.into.flush()
        while True:
            answer = b""
            while not answer.endswith(b"\0"):
                answer += self.out.read(1) or pytest.fail("the browser went away")
            answer = json.loads(answer[:-1])
            if answer.get("id") == message["id"]:
                assert "error" not in answer, answer
                return answer["result"]

    def run(self, script):
        done = self.call(
            "Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in done, done
        return done["result"].get("value")

    def press(self, key):
        code = {"ArrowRight": 39, "Tab": 9, "End": 35, " ": 32}[key]
        for kind in ("rawKeyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key=key, windowsVirtualKeyCode=code)

    def close(self):
        self.watch.cancel()
        self.process.terminate()
        self.process.wait()
        self.out.close(), self.into.close()


@pytest.fixture
def browser(tmp_path):
    path = tmp_path / "report.html"
    write_report(path, title="An audit", results=verification_example(), tables=[])
    browser = Browser(tmp_path / "profile", path)
    yield browser
    browser.close()


ROWS = (
    "[...document.querySelectorAll('.live tbody tr')].map(r => [...r.cells].map(c => c.innerText))"
)
SAYS = "new Promise(d => setTimeout(() => d(document.querySelector('.says').textContent), 400))"
MARK = "document.querySelector('[data-marks=threshold-0] .mark').style.left"
TEXT = "document.querySelector('input[type=range]').getAttribute('aria-valuetext')"


def test_the_slider_says_by_keys_and_buttons_who_pays(browser):
    (system,) = audited_systems(verification_example())
    fmr = system.by_group("fmr", "FMR 1e-2")[0]
    assert browser.run(TEXT) == f"{fmr.threshold:.3f} (FMR 1e-2)"
    rows = browser.run(ROWS)
    assert [row[0] for row in rows] == system.groups
    assert rows[0][1:3] == ["2.9%", f"{fmr.n_errors} of 24,000"]
    assert rows[4][1:3] == ["undefined", "0 of 0"]
    assert HOSTILE in browser.run(ROWS)[3][0]
    assert browser.run("getComputedStyle(document.querySelector('.live')).display") == "block"
    assert browser.run("document.querySelectorAll('[data-marks=threshold-0] .mark').length") == 2
    left = browser.run(MARK)
    says = browser.run(SAYS)
    assert (
        "False matches were counted most for African: 286 in 10,000 non-mated comparisons" in says
    )
    assert "Fewer than 30 errors stand behind" in says

    browser.run("document.querySelector('input[type=range]').focus()")
    browser.press("ArrowRight")
    assert browser.run(TEXT) == "0.310"
    assert browser.run(ROWS)[0][1] != "2.9%"
    assert browser.run(MARK) != left  # on the curves further below
    browser.press("End")
    assert "False matches: none was counted in any group." in browser.run(SAYS)
    browser.press("Tab")
    browser.press("Tab")
    browser.press(" ")
    assert browser.run(TEXT).endswith("(FMR 1e-3)")
    assert browser.run("document.activeElement.getAttribute('aria-pressed')") == "true"


SAVE = """(async () => {
  const saved = [];
  URL.createObjectURL = (blob) => { saved.push(blob); return "#"; };
  const click = (name) => document.querySelector(`button[aria-label$="as ${name}"]`).click();
  for (const name of ["SVG", "PNG", "CSV", "LaTeX"]) click(name);
  while (saved.length < 4) await new Promise((done) => setTimeout(done, 20));
  return Promise.all(saved.map(async (blob) => [blob.type, blob.size, await blob.text()]));
})()"""


def test_figures_and_tables_are_saved_from_the_page_without_a_network(browser):
    saved = {kind: (size, text) for kind, size, text in browser.run(SAVE)}
    assert set(saved) == {"image/svg+xml", "image/png", "text/csv", "application/x-tex"}
    svg = saved["image/svg+xml"][1]
    assert svg.startswith("<svg") and 'font-family="sans-serif"' in svg and "var(" not in svg
    assert saved["image/png"][0] > 5000
    assert saved["text/csv"][1].startswith('"compared","worst","best"')
    assert saved["application/x-tex"][1].count("\\hline") == 3
