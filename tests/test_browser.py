"""JupyterLab in a real browser: the start page opens, and moving a control of the panel changes the picture."""

import os
import re
import shutil
import subprocess
import sys
import time

import pytest

from pickllm.files import root

pytestmark = pytest.mark.xdist_group("browser")
CHROMIUM, DRIVER = (
    shutil.which("chromium") or shutil.which("google-chrome"),
    shutil.which("chromedriver"),
)
needs_browser = pytest.mark.skipif(
    not (CHROMIUM and DRIVER),
    reason="no Chromium with chromedriver here (Debian: chromium, chromium-driver)",
)


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """A running JupyterLab over a copy of the notebooks; yields its address."""
    place = tmp_path_factory.mktemp("lab")
    shutil.copytree(
        root() / "notebooks",
        place / "notebooks",
        ignore=shutil.ignore_patterns(".ipynb_checkpoints"),
    )
    environment = os.environ | {
        "JUPYTER_CONFIG_DIR": str(place),
        "JUPYTER_DATA_DIR": str(place),
        "JUPYTER_RUNTIME_DIR": str(place),
        "PYTHONPATH": str(root()),
    }
    options = [
        "--no-browser",
        "--ip=127.0.0.1",
        "--port=0",
        "--IdentityProvider.token=",
        "--allow-root",
        "--ServerApp.log_level=INFO",
        "--LabApp.expose_app_in_browser=True",
    ]
    log = open(place / "log", "w")
    process = subprocess.Popen(
        [sys.executable, "-m", "jupyter", "lab", *options],
        cwd=place,
        env=environment,
        stdout=log,
        stderr=log,
    )
    found = None
    while not found and process.poll() is None:
        time.sleep(0.2)
        found = re.search(r"http://127\.0\.0\.1:\d+/lab", (place / "log").read_text())
    yield found[0]
    process.terminate()
    process.wait()
    log.close()


@pytest.fixture
def browser(tmp_path):
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for argument in (
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--window-size=1500,1000",
        f"--user-data-dir={tmp_path}",
    ):
        options.add_argument(argument)
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    yield driver
    driver.quit()


def wait_for(what, seconds=60):
    """The first true value of a function, asked until then."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            value = what()
            if value:
                return value
        except Exception:
            pass
        time.sleep(0.2)
    raise AssertionError(f"waited {seconds} s in vain")


@needs_browser
def test_the_start_page_links_every_notebook_of_the_study(lab, browser):
    from selenium.webdriver.common.by import By

    browser.get(f"{lab}/tree/notebooks/start.ipynb")
    links = wait_for(
        lambda: [
            a.get_attribute("href")
            for a in browser.find_elements(
                By.CSS_SELECTOR, ".jp-RenderedMarkdown table a"
            )
        ]
    )
    assert len(links) >= 8
    screenshot(browser, "start")


@needs_browser
def test_a_slider_moves_the_picture(lab, browser):
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys

    browser.get(f"{lab}/tree/notebooks/explore.ipynb")
    wait_for(
        lambda: browser.find_elements(By.CSS_SELECTOR, ".jp-Notebook .jp-CodeCell")
    )
    wait_for(
        lambda: (
            "Idle"
            in browser.find_element(
                By.CSS_SELECTOR, ".jp-Notebook-ExecutionIndicator"
            ).get_attribute("innerHTML")
            or browser.find_elements(By.CSS_SELECTOR, "[data-status='idle']")
        )
    )

    def run_the_cells():  # by the menu's own command: a click may meet a page that still moves
        browser.execute_script(
            "window.jupyterapp.commands.execute('notebook:run-all-cells')"
        )
        return wait_for(picture, 30)

    def picture():
        return browser.find_element(By.CSS_SELECTOR, ".widget-image").get_attribute(
            "src"
        )

    before = wait_for(run_the_cells, 120)
    wait_for(
        lambda: (
            browser.find_element(By.CSS_SELECTOR, ".widget-image").size["height"] > 100
        )
    )
    screenshot(browser, "explore")

    def move():
        (slider,) = [
            s
            for s in browser.find_elements(By.CSS_SELECTOR, ".widget-slider")
            if "w cost" in s.text
        ]
        browser.execute_script(
            "arguments[0].scrollIntoView({block: 'center'});"
            " arguments[0].querySelector('.noUi-handle').focus()",
            slider,
        )
        browser.switch_to.active_element.send_keys(Keys.ARROW_RIGHT * 40)
        return True

    wait_for(move)
    wait_for(lambda: picture() != before)
    left, box = (
        browser.find_element(By.CSS_SELECTOR, css).rect
        for css in (
            ".widget-hbox .widget-vbox",
            ".widget-hbox .widget-vbox .widget-slider",
        )
    )
    assert (
        box["x"] + box["width"] <= left["x"] + left["width"] + 1
    )  # no control is cut off
    screenshot(browser, "explore-moved")


def screenshot(browser, name):
    """Kept where PICKLLM_SCREENSHOTS says, for eyes."""
    folder = os.environ.get("PICKLLM_SCREENSHOTS")
    if folder:
        browser.save_screenshot(os.path.join(folder, f"{name}.png"))
