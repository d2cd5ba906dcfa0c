"""JupyterLab in a real browser: the start page, and a control that moves a picture."""

import os
import re
import shutil
import subprocess
import sys
import time

import pytest

from pickllm.files import root

pytestmark = pytest.mark.xdist_group("browser")
CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")
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
    command = [sys.executable, "-m", "jupyter", "lab", *options]
    with (place / "log").open("w") as log:
        process = subprocess.Popen(
            command, cwd=place, env=environment, stdout=log, stderr=log
        )
        try:
            yield wait_for(lambda: address(place / "log"))
        finally:
            process.terminate()
            process.wait()


def address(log):
    found = re.search(r"http://127\.0\.0\.1:\d+/lab", log.read_text())
    return found and found[0]


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


def elements(browser, selector):
    from selenium.webdriver.common.by import By

    return browser.find_elements(By.CSS_SELECTOR, selector)


def element(browser, selector):
    """The one that matches, which must be there."""
    (found,) = elements(browser, selector)[:1]
    return found


def picture(browser):
    return element(browser, ".widget-image").get_attribute("src")


def idle(browser):
    shown = element(browser, ".jp-Notebook-ExecutionIndicator")
    return "Idle" in shown.get_attribute("innerHTML") or elements(
        browser, "[data-status='idle']"
    )


def run_the_cells(browser):
    """By the menu's own command: a click may meet a page that still moves."""
    browser.execute_script(
        "window.jupyterapp.commands.execute('notebook:run-all-cells')"
    )
    return wait_for(lambda: picture(browser), 30)


def move(browser, label):
    """Forty steps of the slider that says `label`."""
    from selenium.webdriver.common.keys import Keys

    (slider,) = [s for s in elements(browser, ".widget-slider") if label in s.text]
    browser.execute_script(
        "arguments[0].scrollIntoView({block: 'center'});"
        " arguments[0].querySelector('.noUi-handle').focus()",
        slider,
    )
    browser.switch_to.active_element.send_keys(Keys.ARROW_RIGHT * 40)
    return True


@needs_browser
def test_the_start_page_links_every_notebook_of_the_study(lab, browser):
    browser.get(f"{lab}/tree/notebooks/start.ipynb")
    table = ".jp-RenderedMarkdown table a"
    links = wait_for(
        lambda: [a.get_attribute("href") for a in elements(browser, table)]
    )
    assert len(links) >= 8
    screenshot(browser, "start")


@needs_browser
def test_a_slider_moves_the_picture(lab, browser):
    browser.get(f"{lab}/tree/notebooks/explore.ipynb")
    wait_for(lambda: elements(browser, ".jp-Notebook .jp-CodeCell"))
    wait_for(lambda: idle(browser))
    before = wait_for(lambda: run_the_cells(browser), 120)
    wait_for(lambda: element(browser, ".widget-image").size["height"] > 100)
    screenshot(browser, "explore")
    wait_for(lambda: move(browser, "w cost"))
    wait_for(lambda: picture(browser) != before)
    column = element(browser, ".widget-hbox .widget-vbox").rect
    box = element(browser, ".widget-hbox .widget-vbox .widget-slider").rect
    ends = column["x"] + column["width"]
    assert box["x"] + box["width"] <= ends + 1, "a control is cut off"
    screenshot(browser, "explore-moved")


def screenshot(browser, name):
    """Kept where PICKLLM_SCREENSHOTS says, for eyes."""
    folder = os.environ.get("PICKLLM_SCREENSHOTS")
    if folder:
        browser.save_screenshot(os.path.join(folder, f"{name}.png"))
