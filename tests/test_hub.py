"""The classroom's JupyterHub: its configuration refuses what is unsafe, and a learner gets to work in it."""

import asyncio
import importlib.util
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import learners
import pytest

hub_installed = pytest.mark.skipif(
    importlib.util.find_spec("jupyterhub") is None
    or shutil.which("configurable-http-proxy") is None,
    reason="JupyterHub or its proxy is not installed",
)
PROGRAM = """
import sys
from traitlets.config import Config
exec(open(sys.argv[1]).read(), {"get_config": Config, "__file__": sys.argv[1]})
"""


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({}, "Set VAE_HUB_PASSWORD"),
        ({"VAE_HUB_PASSWORD": "short"}, "at least 8 characters"),
        ({"VAE_HUB_PASSWORD": "x" * 8, "VAE_HUB_ADMIN_PASSWORD": "y" * 31}, "at least 32"),
        ({"VAE_HUB_PASSWORD": "x" * 8, "VAE_HUB_AS_ROOT": "0"}, "Do not start this hub as root"),
    ],
)
def test_an_unsafe_setting_stops_it_with_a_sentence(settings, said):
    if "root" in said and os.geteuid() != 0:
        pytest.skip("only root is refused as root")
    settings = {"VAE_HUB_AS_ROOT": "1"} | settings
    env = {k: v for k, v in os.environ.items() if not k.startswith("VAE_HUB")} | settings
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(learners.CONFIG)],
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert said in done.stderr


def acting(someone):
    """Run to the end in a thread of its own: a browser test leaves an event loop in this one."""
    with ThreadPoolExecutor(1) as pool:
        pool.submit(asyncio.run, someone).result()


@hub_installed
def test_a_learner_logs_in_and_works_in_a_folder_of_their_own(tmp_path):
    cells = [
        "from vae_helpers import load_benchmark, load_images",
        "assert load_benchmark('notebooks')['lessons'] and len(load_images('mnist').test_x) == 2000",
        "import os, torch; assert torch.get_num_threads() == 1",
        "open('mine.txt', 'w').write('kept')",
    ]

    async def stranger(hub):
        someone = learners.Learner(hub, "mallory")
        someone.hub = learners.Hub(hub.url, "wrong password", hub.process, hub.homes)
        await someone.log_in()

    async def learner(hub, cells):
        someone = learners.Learner(hub, "ann")
        await someone.log_in()
        await someone.start_server()
        await someone.run(cells)

    with learners.running_hub(tmp_path) as hub:
        with pytest.raises(RuntimeError, match=r"403 .*/hub/login"):
            acting(stranger(hub))
        acting(learner(hub, cells))
        mine = hub.homes / "ann" / "notebooks"
        assert (mine / "mine.txt").read_text() == "kept"
        assert (mine / "06_exercise.ipynb").is_file()
        assert not (mine / "solutions").exists()
        assert [path.name for path in hub.homes.iterdir()] == ["ann"]
        with pytest.raises(RuntimeError, match="ZeroDivisionError"):
            acting(learner(hub, ["1 / 0"]))
