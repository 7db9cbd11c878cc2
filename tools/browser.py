"""A real JupyterLab and a real Chromium on loopback, for the browser tests and the slider benchmark."""

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
HOW = "Install Chromium (Debian: apt install chromium) and `pip install -e '.[dev]'`."
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
RUN = "void window.jupyterapp.commands.execute('notebook:run-all-cells').catch(() => 0)"
DONE = """() => {
  const panel = window.jupyterapp.shell.currentWidget;
  const code = panel.content.widgets.filter((cell) => cell.model.type === 'code');
  return panel.sessionContext.session.kernel.status === 'idle'
    && code.every((cell) => cell.model.executionCount || !cell.model.sharedModel.source.trim());
}"""
ERRORS = """() => window.jupyterapp.shell.currentWidget.content.widgets
  .filter((cell) => cell.model.type === 'code')
  .filter((cell) => cell.model.outputs.toJSON().some((output) => output.output_type === 'error'))
  .map((cell) => cell.model.sharedModel.source)"""


@contextlib.contextmanager
def jupyterlab(folder: Path) -> Iterator[Callable[[str], str]]:
    """Serve a folder with JupyterLab, its settings apart from the user's own; gives the address of a file in it."""
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
        "--LabApp.expose_app_in_browser=True",
    ]  # fmt: skip
    with (own / "log").open("w") as log:
        server = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        try:
            _wait(port, server, own / "log")
            # a workspace for each file, or the files that were open before come back too
            yield (
                lambda name: (
                    f"http://127.0.0.1:{port}/lab/workspaces/{Path(name).stem}/tree/{name}?token=T"
                )
            )
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
    page.wait_for_timeout(2_000)
    page.wait_for_function(DONE, timeout=200_000)
    failed: list[str] = page.evaluate(ERRORS)
    return failed
