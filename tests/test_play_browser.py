"""``ganexp play`` in Chromium: the pages, what they load, who is refused. Skipped where there is none."""

import json
import re
import shutil
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import TINY, Verb, started

pytest.importorskip("gradio")
webdriver = pytest.importorskip("selenium.webdriver")

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None or DRIVER is None, reason="needs chromium and chromedriver"),
]

SECONDS = 60


@pytest.fixture
def browser() -> Iterator[Any]:
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--window-size=1280,900"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    yield driver
    driver.quit()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Callable[..., tuple[str, "subprocess.Popen[str]"]]]:
    """Starts ``ganexp play`` and returns the URL that it prints, and the process."""
    processes: list[subprocess.Popen[str]] = []

    def start(*overrides: str) -> tuple[str, "subprocess.Popen[str]"]:
        process = started(tmp_path, "play", "device=cpu", *overrides)
        processes.append(process)
        assert process.stdout is not None
        line = process.stdout.readline()
        found = re.match(r"http://127\.0\.0\.1:\d+/\?token=[\w-]{40,}", line)
        assert found, line
        return found[0], process

    yield start
    for process in processes:
        process.kill()
        process.wait()


def wait(condition: Callable[[], Any]) -> Any:
    """Waits until a condition holds, and returns what it gave."""
    for _ in range(10 * SECONDS):
        if found := condition():
            return found
        time.sleep(0.1)
    raise AssertionError("it did not happen")


def picture(browser: Any) -> str:
    """The PNG that is shown first, as a data URI; empty where there is none."""
    return str(browser.execute_script("return document.querySelector('.runs img')?.src ?? ''"))


def type_into(browser: Any, box: str, value: str) -> None:
    """Types a number into the box of a slider or field."""
    field = browser.find_element("css selector", f"#{box} input[type=number]")
    field.send_keys(webdriver.Keys.CONTROL, "a")
    field.send_keys(value, webdriver.Keys.ENTER)


def status_of(url: str) -> int:
    """The status of a request without a cookie."""
    try:
        with urllib.request.urlopen(url, timeout=SECONDS) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def check_what_was_loaded(browser: Any, root: str) -> None:
    """Everything came from this server, nothing was blocked, and no script failed."""
    events = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    urls = [
        event["params"]["request"]["url"] for event in events if event["method"] == "Network.requestWillBeSent"
    ]
    foreign = [url for url in urls if not url.startswith((root, "data:", "blob:"))]
    assert len(urls) > 10 and not foreign
    problems = [entry["message"] for entry in browser.get_log("browser") if entry["level"] == "SEVERE"]
    assert not [text for text in problems if "manifest.json" not in text], (
        "a manifest is asked for without cookies"
    )


def test_a_run(train: Verb, server: Callable[..., Any], browser: Any) -> None:
    url, process = server(f"run={train(*TINY, 'max_steps=2', 'game=cgan')}", "sliders=2")
    root = url.partition("?")[0]
    assert status_of(root) == 403 and status_of(f"{root}config") == 403 and status_of(f"{root}?token=no") == 403
    browser.get(url)
    first = wait(lambda: picture(browser))
    assert browser.current_url == root and first.startswith("data:image/png;base64,")
    assert "ganexp_play" not in browser.execute_script("return document.cookie"), "scripts cannot read it"
    type_into(browser, "slider-0", "2.5")
    moved = wait(lambda: picture(browser) != first and picture(browser))
    browser.find_element("css selector", "#reset").click()
    wait(lambda: picture(browser) == first)
    type_into(browser, "seed", "5")
    assert wait(lambda: picture(browser) not in (first, moved) and picture(browser))
    link = browser.find_element("css selector", "a[download]")
    assert link.get_attribute("href") == picture(browser) and link.get_attribute("download").endswith(
        "seed_5.png"
    )
    check_what_was_loaded(browser, root)
    process.send_signal(signal.SIGINT)
    told, problems = process.communicate(timeout=SECONDS)
    assert process.returncode == 0 and "ended" in told and "Traceback" not in problems + told, problems


def test_the_plane(server: Callable[..., Any], browser: Any) -> None:
    url, process = server("data=ring")
    browser.get(url)
    wait(lambda: picture(browser))

    def step() -> int:
        text = browser.find_element("css selector", "#status").text
        found = re.search(r"step ([\d,]+)", text)
        return int(found[1].replace(",", "")) if found else -1

    assert step() == 0
    browser.find_element("css selector", "#step").click()
    wait(lambda: step() == 1)
    start = browser.find_element("css selector", "#start")
    start.click()
    wait(lambda: step() > 40)
    assert start.text == "Pause" and browser.find_elements("css selector", ".curves polyline")
    start.click()
    wait(lambda: start.text == "Start")
    time.sleep(2)
    paused = step()
    time.sleep(2)
    assert step() == paused
    browser.find_element("css selector", "#reset").click()
    wait(lambda: step() == 0)
    check_what_was_loaded(browser, url.partition("?")[0])
    process.send_signal(signal.SIGINT)
    _, problems = process.communicate(timeout=SECONDS)
    assert process.returncode == 0 and not problems
