"""Starts the classroom's JupyterHub on loopback, and acts as learners in it, for the test and the benchmark."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from tornado.httpclient import AsyncHTTPClient, HTTPRequest, HTTPResponse
from tornado.websocket import websocket_connect

CONFIG = Path(__file__).parents[1] / "classroom" / "jupyterhub_config.py"


@dataclass(frozen=True)
class Hub:
    """A running hub: its address, the password of the class, and the process."""

    url: str
    password: str
    process: subprocess.Popen[bytes]
    homes: Path


@contextlib.contextmanager
def running_hub(folder: Path) -> Iterator[Hub]:
    """The hub of classroom/jupyterhub_config.py with its files in `folder`; ended with all that it started.

    Raises:
        FileNotFoundError: the proxy is not installed.
        RuntimeError: it did not answer within a minute; with the end of what it said.
    """
    proxy = shutil.which("configurable-http-proxy")
    if proxy is None:
        raise FileNotFoundError(
            "configurable-http-proxy is not on the PATH: npm install -g configurable-http-proxy."
        )
    ports = _free_ports(3)
    password = secrets.token_urlsafe(12)
    environment = {
        **os.environ,
        "PATH": os.pathsep.join([str(Path(proxy).resolve().parent), os.environ["PATH"]]),
        "VAE_HUB_PASSWORD": password,
        "VAE_HUB_HOMES": str(folder / "homes"),
        "VAE_HUB_ADDRESS": f"http://127.0.0.1:{ports[0]}",
        "VAE_HUB_AS_ROOT": "1",  # for root in a test's own container; no effect otherwise
    }
    command = [sys.executable, "-m", "jupyterhub", f"--config={CONFIG}"]
    command += [f"--ConfigurableHTTPProxy.command={Path(proxy).resolve()}"]
    command += [f"--ConfigurableHTTPProxy.api_url=http://127.0.0.1:{ports[1]}"]
    command += [f"--JupyterHub.hub_port={ports[2]}", "--JupyterHub.hub_ip=127.0.0.1"]
    log = folder / "hub.log"
    with log.open("wb") as file:
        process = subprocess.Popen(
            command, cwd=folder, env=environment, stdout=file, stderr=file, start_new_session=True
        )
    try:
        _wait(process, ports[0], log)
        yield Hub(environment["VAE_HUB_ADDRESS"], password, process, folder / "homes")
    finally:
        _end(process)


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        servers = [
            stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)
        ]
        return [server.getsockname()[1] for server in servers]


def _wait(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + 60
    while process.poll() is None and time.monotonic() < deadline:
        if "JupyterHub is now running" in log.read_text("utf-8", "replace"):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                return
        time.sleep(0.2)
    raise RuntimeError(f"The hub did not start:\n{log.read_text('utf-8', 'replace')[-2000:]}")


def _end(process: subprocess.Popen[bytes]) -> None:
    """Stop the hub, then whatever it started: servers outlive a hub on purpose."""
    import psutil

    with contextlib.suppress(psutil.Error):
        children = psutil.Process(process.pid).children(recursive=True)
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(20)
        for child in children:
            with contextlib.suppress(psutil.Error):
                child.kill()
    process.kill()
    process.wait()


class Learner:
    """One who logs in with the password, starts a server, and runs cells in a kernel of their own."""

    def __init__(self, hub: Hub, name: str) -> None:
        self.hub, self.name, self.cookies = hub, name, dict[str, str]()
        self.client = AsyncHTTPClient(max_clients=100)

    async def _fetch(self, path: str, **options: Any) -> HTTPResponse:
        """One request with this learner's cookies; redirections are followed, with the cookies they bring."""
        url = path if path.startswith("http") else self.hub.url + path
        for _ in range(10):
            cookies = "; ".join(f"{key}={value}" for key, value in self.cookies.items())
            headers = {"Cookie": cookies, "X-XSRFToken": self.cookies.get("_xsrf", "")}
            request = HTTPRequest(
                url, headers=headers, follow_redirects=False, request_timeout=300, **options
            )
            answer = await self.client.fetch(request, raise_error=False)
            for line in answer.headers.get_list("Set-Cookie"):
                key, _, value = line.partition(";")[0].partition("=")
                self.cookies[key] = value
            if answer.code not in (301, 302):
                break
            place = answer.headers["Location"]
            url = place if place.startswith("http") else self.hub.url + place
            options = {}
        if answer.code >= 400:
            raise RuntimeError(f"{answer.code} {url}: {answer.body.decode()[-500:]}")
        return answer

    async def log_in(self) -> None:
        """Log in through the form, as a browser does."""
        await self._fetch("/hub/login")
        form = {
            "username": self.name,
            "password": self.hub.password,
            "_xsrf": self.cookies["_xsrf"],
        }
        await self._fetch("/hub/login", method="POST", body=urlencode(form))

    async def start_server(self) -> None:
        """Go to one's own address, which starts the server, and wait until JupyterLab answers there."""
        for _ in range(600):
            answer = await self._fetch(f"/hub/spawn/{self.name}")
            if answer.effective_url.startswith(f"{self.hub.url}/user/{self.name}/"):
                return
            await asyncio.sleep(0.5)
        raise RuntimeError(f"The server of {self.name} did not start.")

    async def run(self, cells: list[str], folder: str = "notebooks") -> None:
        """Start a kernel and run these cells in it, one after the other.

        Raises:
            RuntimeError: a cell raised an exception.
        """
        base = f"/user/{self.name}/api/kernels"
        body = json.dumps({"name": "python3", "path": f"{folder}/x.ipynb"})
        kernel = json.loads((await self._fetch(base, method="POST", body=body)).body)["id"]
        url = f"{self.hub.url}{base}/{kernel}/channels".replace("http", "ws", 1)
        cookies = "; ".join(f"{key}={value}" for key, value in self.cookies.items())
        socket = await websocket_connect(
            HTTPRequest(url, headers={"Cookie": cookies}, request_timeout=300),
            max_message_size=1 << 28,
        )
        try:
            for cell in cells:
                message = _execute(cell)
                await socket.write_message(json.dumps(message))
                await _idle(socket, message["header"]["msg_id"], cell)
        finally:
            socket.close()
            while await socket.read_message() is not None:
                pass  # until it is closed on both sides


def _execute(code: str) -> dict[str, Any]:
    header = {
        "msg_id": uuid.uuid4().hex,
        "msg_type": "execute_request",
        "username": "",
        "session": "x",
    }
    content = {"code": code, "silent": False, "store_history": True, "allow_stdin": False}
    more = {"parent_header": {}, "metadata": {}, "channel": "shell", "buffers": []}
    return {"header": header | {"version": "5.3"}, "content": content, **more}


async def _idle(socket: Any, message_id: str, cell: str) -> None:
    """Read until the kernel is done with this message."""
    while True:
        text = await socket.read_message()
        if text is None:
            raise RuntimeError(f"The kernel went away in:\n{cell}")
        if isinstance(text, bytes):  # pictures of widgets
            continue
        message = json.loads(text)
        if message["parent_header"].get("msg_id") != message_id:
            continue
        if message["msg_type"] == "error":
            raise RuntimeError("\n".join(message["content"]["traceback"]))
        if message["content"].get("execution_state") == "idle":
            return
