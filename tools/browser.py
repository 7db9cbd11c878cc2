"""JupyterLab, Notebook 7 and real browsers on loopback, for the browser tests and the slider benchmark."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
ARGUMENTS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip
FIREFOX = next(filter(None, map(shutil.which, ("firefox-esr", "firefox"))), None)
HOW = {
    "chromium": "Install Chromium (Debian: apt install chromium) and `pip install -e '.[dev]'`.",
    "firefox": "Install Firefox (Debian: apt install firefox-esr) and `pip install -e '.[dev]'`.",
}
FRONT_ENDS = {  # where each opens a file; a workspace for each, or what was open before comes back too
    "lab": "lab/workspaces/{stem}/tree/{name}",
    "notebook": "notebooks/{name}",
}
FOLDERS = (
    "JUPYTER_CONFIG_DIR",
    "JUPYTER_DATA_DIR",
    "JUPYTERLAB_SETTINGS_DIR",
    "JUPYTERLAB_WORKSPACES_DIR",
    "IPYTHONDIR",
)
SETTINGS = {
    "notebook-extension/tracker": '{"windowingMode": "none"}',  # cells off screen are there too
    "apputils-extension/notification": '{"fetchNews": "false", "checkForUpdates": false}',
}
READY = """() => {
  const session = window.jupyterapp?.shell.currentWidget?.sessionContext?.session;
  return session?.kernel?.status === 'idle' && document.querySelectorAll('.jp-CodeCell').length > 0;
}"""
RUN = """() => {
  window.ran = false;
  window.jupyterapp.commands.execute('notebook:run-all-cells').catch(() => 0).then(() => (window.ran = true));
}"""
DONE = """() => {
  const panel = window.jupyterapp.shell.currentWidget;
  const code = panel.content.widgets.filter((cell) => cell.model.type === 'code');
  return window.ran && panel.sessionContext.session.kernel.status === 'idle'
    && code.every((cell) => cell.model.executionCount || !cell.model.sharedModel.source.trim());
}"""
ERRORS = """() => window.jupyterapp.shell.currentWidget.content.widgets
  .filter((cell) => cell.model.type === 'code')
  .filter((cell) => cell.model.outputs.toJSON().some((output) => output.output_type === 'error'))
  .map((cell) => cell.model.sharedModel.source)"""


def launch(playwright: Any, name: str) -> Any:
    """Start the Chromium or the Firefox that is installed; Firefox is driven over WebDriver BiDi."""
    if name == "firefox":
        return playwright.firefox.launch(channel="moz-firefox", executable_path=FIREFOX)
    return playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)


@contextlib.contextmanager
def jupyter(folder: Path) -> Iterator[Callable[..., str]]:
    """Serve a folder with JupyterLab, and with Notebook 7 where it is installed, apart from the user's own settings.

    Gives what gives the address of a file in it, in either of `FRONT_ENDS`.
    """
    own = folder / ".jupyterlab"
    environment = os.environ | {"MPLBACKEND": "module://matplotlib_inline.backend_inline"}
    for name in FOLDERS:
        (own / name).mkdir(parents=True)
        environment[name] = str(own / name)
    for name, text in SETTINGS.items():
        path = own / "JUPYTERLAB_SETTINGS_DIR" / "@jupyterlab" / f"{name}.jupyterlab-settings"
        path.parent.mkdir(parents=True)
        path.write_text(text, encoding="utf-8")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [
        sys.executable, "-m", "jupyter", "lab", "--no-browser", "--ip=127.0.0.1", f"--port={port}", "--allow-root",
        "--ServerApp.port_retries=0", "--IdentityProvider.token=T", f"--ServerApp.root_dir={folder}",
        "--LabApp.expose_app_in_browser=True", "--JupyterNotebookApp.expose_app_in_browser=True",
    ]  # fmt: skip

    def address(name: str, front_end: str = "lab") -> str:
        place = FRONT_ENDS[front_end].format(name=name, stem=Path(name).stem)
        return f"http://127.0.0.1:{port}/{place}?token=T"

    with (own / "log").open("w") as log:
        server = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        try:
            _wait(port, server, own / "log")
            yield address
        finally:
            server.terminate()
            server.wait(20)


def _wait(port: int, server: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(200):
        with socket.socket() as attempt:
            if attempt.connect_ex(("127.0.0.1", port)) == 0:
                return
        if server.poll() is not None:
            break
        time.sleep(0.3)
    raise RuntimeError(f"JupyterLab did not start:\n{log.read_text()}")


def run_all_cells(page: Any, address: str) -> list[str]:
    """Open a notebook, run all its cells, and give the sources of the cells that failed."""
    page.goto(address)
    page.wait_for_function(READY, timeout=90_000)
    page.wait_for_timeout(1_500)  # the kernel is idle before the notebook listens to it
    page.evaluate(RUN)
    page.wait_for_function(DONE, timeout=200_000)
    failed: list[str] = page.evaluate(ERRORS)
    return failed
