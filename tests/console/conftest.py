"""A console beside real services: small random model, small real workers, a real browser."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from manypath_services.console.metrics import ConsoleMetrics
from manypath_services.console.server import PageServer
from manypath_services.console.settings import ConsoleSettings
from tests.services.serving import Loop, Running, RunningWorker
from tests.worker.models import boxes_graph, colours_graph, light_graph, write_model

MODEL = "tiny-random-sides"  # small, with a side for every well-known path
SECONDS = 60.0  # nothing of a test takes that long; a hang becomes an error
expect.set_options(timeout=1000 * SECONDS)


class Console:
    """A console on a free port, in the loop of its services.

    Attributes:
        url: of its pages.
    """

    def __init__(self, loop: Loop, encoder: str, decoder: str, **settings: Any) -> None:
        self._loop = loop
        given = {"port": 0, "metrics_port": 0, "encoder": encoder, "decoder": decoder, "grace_seconds": 5}
        self.settings = ConsoleSettings.load(**(given | settings))
        self.metrics = ConsoleMetrics("test")

        async def start() -> PageServer:
            server = PageServer(self.settings, "test", self.metrics)
            await server.start()
            return server

        self._server: PageServer = loop.run(start())
        self.url = f"http://localhost:{self._server.port}"

    def close(self) -> None:
        self._loop.run(self._server.stop())


class Site:
    """Worker, decoder, encoder and console."""

    def __init__(self, loop: Loop, worker: str) -> None:
        models = {"classification": "colours", "segmentation": "light", "detection": "boxes"}
        workers = {task: f"{worker}/{model}" for task, model in models.items()}
        self.decoder = Running("decoder", loop, model=MODEL, workers=workers)
        self.encoder = Running("encoder", loop, model=MODEL)
        self.console = Console(loop, self.encoder.target, self.decoder.target)
        self.url = self.console.url

    def calls(self, method: str) -> float:
        """Calls that a service has answered well."""
        running = self.encoder if method in {"Encode", "Process"} else self.decoder
        labels = {"grpc_service": running.service, "grpc_method": method, "grpc_type": "unary", "grpc_code": "OK"}
        return running.value("grpc_server_handled_total", **labels)

    def close(self) -> None:
        for one in (self.console, self.encoder, self.decoder):
            one.close()


@pytest.fixture(scope="session")
def loop() -> Iterator[Loop]:
    loop = Loop()
    yield loop
    loop.close()


@pytest.fixture(scope="session")
def worker(loop: Loop, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningWorker]:
    folder = tmp_path_factory.mktemp("models")
    write_model(folder / "colours", colours_graph(), labels=["red", "green", "blue"])
    write_model(folder / "light", light_graph(), labels=["dark", "light"], task="segmentation")
    write_model(folder / "boxes", boxes_graph(), labels=["all", "square", "strip"], task="detection")
    running = RunningWorker(loop, folder)
    yield running
    running.close()


@pytest.fixture(scope="session")
def site(loop: Loop, worker: RunningWorker) -> Iterator[Site]:
    running = Site(loop, worker.target)
    yield running
    running.close()


@pytest.fixture
def own_site(loop: Loop, worker: RunningWorker) -> Iterator[Site]:
    """One whose services a test may stop."""
    running = Site(loop, worker.target)
    yield running
    running.close()


@pytest.fixture
def console(loop: Loop, site: Site) -> Iterator[Callable[..., Console]]:
    """Starts a console with settings of its own beside the shared services."""
    with ExitStack() as ends:

        def start(**settings: Any) -> Console:
            running = Console(loop, **({"encoder": site.encoder.target, "decoder": site.decoder.target} | settings))
            ends.callback(running.close)
            return running

        yield start


@pytest.fixture
def http(site: Site) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=site.url, timeout=SECONDS, trust_env=False) as client:
        yield client


@pytest.fixture(scope="module")  # playwright's loop runs as long as it does, and other tests start loops of their own
def browser() -> Iterator[Browser]:
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        pytest.skip("there is no chromium here; Debian's package has that name")
    with sync_playwright() as playwright:
        arguments = ["--no-sandbox", "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]
        running = playwright.chromium.launch(executable_path=chromium, args=arguments)
        yield running
        running.close()


Open = Callable[..., Page]


@contextmanager
def opened(browser: Browser, url: str) -> Iterator[Open]:
    """Opens tabs; no script may have failed in any of them, and nothing may have broken the policy of the pages."""
    complaints: list[str] = []
    with ExitStack() as ends:
        contexts: dict[tuple[Any, ...], BrowserContext] = {}

        def open_tab(path: str = "/", *, expect_errors: bool = False, **options: Any) -> Page:
            key = tuple(sorted((name, str(value)) for name, value in options.items()))
            if key not in contexts:
                given = {
                    "viewport": {"width": 1280, "height": 900},
                    "permissions": ["clipboard-read", "clipboard-write"],
                }
                contexts[key] = browser.new_context(base_url=url, **(given | options))
                ends.callback(contexts[key].close)
            tab = contexts[key].new_page()
            tab.set_default_timeout(1000 * SECONDS)
            tab.on("pageerror", lambda error: complaints.append(str(error)))
            if not expect_errors:
                tab.on("console", lambda line: complaints.append(line.text) if line.type == "error" else None)
            else:
                tab.on(
                    "console",
                    lambda line: complaints.append(line.text) if "Content Security Policy" in line.text else None,
                )
            tab.goto(path)
            return tab

        yield open_tab
    assert complaints == []


@pytest.fixture
def tab(browser: Browser, site: Site) -> Iterator[Open]:
    with opened(browser, site.url) as open_tab:
        yield open_tab
