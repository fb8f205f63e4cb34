"""A real Chromium, driven by Selenium; it keeps what the console said and what was requested."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--no-first-run", "--hide-scrollbars",
)  # fmt: skip


class Browser:
    """Opens pages at a size and in colours, and waits until the plots can be drawn."""

    def __init__(self, binary: str, driver: str, folder: Path) -> None:
        from selenium import webdriver
        from selenium.webdriver.chrome.options import Options
        from selenium.webdriver.chrome.service import Service

        options = Options()
        options.binary_location = binary
        for flag in (*FLAGS, f"--user-data-dir={folder}"):
            options.add_argument(flag)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        self.driver = webdriver.Chrome(options=options, service=Service(driver))
        self.width = 1280

    def quit(self) -> None:
        self.driver.quit()

    def open(
        self,
        path: Path,
        width: int = 1280,
        height: int = 900,
        *,
        dark: bool = False,
        phone: bool = False,
        plots: bool = True,
    ) -> None:
        """Open a file anew; what earlier pages said is forgotten."""
        self.driver.get("about:blank")
        self.width = width
        self.command(
            "Emulation.setDeviceMetricsOverride",
            width=width, height=height, deviceScaleFactor=1, mobile=phone,
        )  # fmt: skip
        colours = "dark" if dark else "light"
        feature = {"name": "prefers-color-scheme", "value": colours}
        self.command("Emulation.setEmulatedMedia", features=[feature])
        self.console()
        self.requests()
        self.driver.get(path.absolute().as_uri())
        if plots:
            self.wait(lambda: self.js("return document.documentElement.dataset.plots === 'ready'"))

    def command(self, name: str, **options: Any) -> Any:
        """A command of the DevTools protocol."""
        return self.driver.execute_cdp_cmd(name, options)

    def js(self, code: str, *arguments: Any) -> Any:
        """Run a script in the page."""
        return self.driver.execute_script(code, *arguments)

    def wait(self, ready: Callable[[], Any], seconds: float = 20) -> Any:
        """What `ready` returns once it is true."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            found = ready()
            if found:
                return found
            time.sleep(0.05)
        raise AssertionError("the page did not get there in time")

    def console(self) -> list[str]:
        """What the console said since the last call: errors, warnings, anything."""
        return [f"{e['level']} {e['message']}" for e in self.driver.get_log("browser")]

    def requests(self) -> list[str]:
        """Addresses that were requested since the last call."""
        found = []
        for entry in self.driver.get_log("performance"):
            message = json.loads(entry["message"])["message"]
            if message["method"] == "Network.requestWillBeSent":
                found.append(message["params"]["request"]["url"])
            if message["method"] == "Network.webSocketCreated":
                found.append(message["params"]["url"])
        return found

    # Elements -----------------------------------------------------------------------------------

    def all(self, selector: str) -> list[Any]:
        return self.driver.find_elements("css selector", selector)

    def one(self, selector: str) -> Any:
        return self.driver.find_element("css selector", selector)

    def texts(self, selector: str) -> list[str]:
        """Texts as the page holds them, also where they are scrolled out of sight."""
        code = "return [...document.querySelectorAll(arguments[0])].map((e) => e.textContent)"
        return list(self.js(code, selector))

    def click(self, selector: str) -> None:
        self.show(selector)
        self.one(selector).click()

    def show(self, selector: str) -> None:
        """Bring an element to the middle of the window, below what sticks to its top."""
        self.js(
            "document.querySelector(arguments[0])"
            ".scrollIntoView({behavior: 'instant', block: 'center'})",
            selector,
        )

    def choose(self, selector: str, text: str) -> None:
        """Choose an entry of a list by its text, or the first that begins so."""
        from selenium.webdriver.support.select import Select

        self.show(selector)
        select = Select(self.one(selector))
        texts = [option.text for option in select.options]
        select.select_by_index(next(i for i, entry in enumerate(texts) if entry.startswith(text)))

    def press(self, selector: str, *keys: str) -> None:
        self.js("document.querySelector(arguments[0]).focus({preventScroll: true})", selector)
        self.one(selector).send_keys(*keys)

    def drawn(self, figure: str) -> None:
        """Wait until a figure is drawn."""
        self.show(f"#{figure}")
        self.wait(
            lambda: self.js("return document.getElementById(arguments[0]).dataset.drawn", figure)
        )

    def hover(self, selector: str, x: float = 0.5, y: float = 0.5) -> None:
        """Move the mouse to a place within an element, as shares of its size."""
        self.show(selector)
        box = self.js(
            "const b = document.querySelector(arguments[0]).getBoundingClientRect();"
            "return [b.x, b.y, b.width, b.height]",
            selector,
        )
        for shift in (3, 0):
            self.command(
                "Input.dispatchMouseEvent",
                type="mouseMoved", x=box[0] + x * box[2] + shift, y=box[1] + y * box[3],
            )  # fmt: skip
            time.sleep(0.1)

    def table(self, selector: str) -> list[list[str]]:
        """A table's texts by row, its headings first."""
        code = (
            "return [...document.querySelector(arguments[0]).rows]"
            ".map((row) => [...row.cells].map((cell) => cell.textContent.trim()))"
        )
        return list(self.js(code, selector))

    def screenshot(self, path: Path, most: int = 16_000) -> None:
        """The page with every figure drawn, down to so many pixels."""
        for figure in self.js("return AT.figures.map((figure) => figure.id)"):
            self.js(
                "document.getElementById(arguments[0])"
                ".scrollIntoView({behavior: 'instant', block: 'center'})",
                figure,
            )
            time.sleep(0.15)
        self.js("window.scrollTo({top: 0, behavior: 'instant'})")
        height = self.js("return document.documentElement.scrollHeight")
        clip = {"x": 0, "y": 0, "width": self.width, "height": min(height, most), "scale": 1}
        data = self.command("Page.captureScreenshot", clip=clip, captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(data["data"]))
