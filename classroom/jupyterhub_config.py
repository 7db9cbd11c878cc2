"""JupyterHub for one class on one machine: `jupyterhub --config classroom/jupyterhub_config.py`; see guide.md.

Everyone logs in with a name of their own and the password of the class, and gets a copy of the lessons. It is made for
an afternoon in a room where people trust each other: all servers run as the user who starts the hub, so learners could
read each other's files, and could log in under each other's names.

    VAE_HUB_PASSWORD        the password of the class, at least 8 characters
    VAE_HUB_ADMIN_PASSWORD  the password of the user `teacher`, at least 32 characters; without it there is no such user
    VAE_HUB_HOMES           where learners' folders are kept (default: homes, in the folder you start it from)
    VAE_HUB_ADDRESS         where it listens (default: http://127.0.0.1:8000, this machine only)
"""

import os
import shutil
import sys
from pathlib import Path

COURSE = Path(__file__).resolve().parents[1]
HOMES = Path(os.environ.get("VAE_HUB_HOMES", "homes")).resolve()
PASSWORD = os.environ.get("VAE_HUB_PASSWORD", "")
ADMIN_PASSWORD = os.environ.get("VAE_HUB_ADMIN_PASSWORD", "")
if len(PASSWORD) < 8:
    sys.exit("Set VAE_HUB_PASSWORD to the password of the class: at least 8 characters.")
if ADMIN_PASSWORD and len(ADMIN_PASSWORD) < 32:
    sys.exit("VAE_HUB_ADMIN_PASSWORD must have at least 32 characters.")
if hasattr(os, "geteuid") and os.geteuid() == 0 and os.environ.get("VAE_HUB_AS_ROOT") != "1":
    sys.exit("Do not start this hub as root: every learner would be root. Use an ordinary user.")


def hand_out(spawner):
    """Give a learner the lessons when they come for the first time; later their folder is left alone."""
    home = HOMES / spawner.user.name
    home.mkdir(parents=True, exist_ok=True)
    if not (home / "notebooks").exists():
        part = home / "notebooks.part"
        shutil.rmtree(part, ignore_errors=True)
        left_out = shutil.ignore_patterns(".*", "solutions", "report.html")
        shutil.copytree(COURSE / "notebooks", part, ignore=left_out)
        part.rename(home / "notebooks")


c = get_config()  # noqa: F821 - JupyterHub puts it here
c.JupyterHub.bind_url = os.environ.get("VAE_HUB_ADDRESS", "http://127.0.0.1:8000")
c.JupyterHub.authenticator_class = "shared-password"
c.SharedPasswordAuthenticator.user_password = PASSWORD
c.SharedPasswordAuthenticator.admin_password = ADMIN_PASSWORD or None
c.Authenticator.admin_users = {"teacher"} if ADMIN_PASSWORD else set()
c.Authenticator.allow_all = True
c.Authenticator.username_pattern = r"[a-z][a-z0-9-]{0,30}"

c.JupyterHub.spawner_class = "simple"
c.SimpleLocalProcessSpawner.home_dir_template = f"{HOMES}/{{username}}"
c.Spawner.pre_spawn_hook = hand_out
c.Spawner.cmd = [sys.executable, "-m", "jupyterhub.singleuser"]
c.Spawner.default_url = "/lab/tree/notebooks/00_start_here.ipynb"
c.Spawner.start_timeout = c.Spawner.http_timeout = 120
# One thread for each learner: with more, those who train slow down everyone by more than they gain.
c.Spawner.environment = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
# A kernel that has been idle for half an hour gives its memory back.
c.Spawner.args = [
    "--MappingKernelManager.cull_idle_timeout=1800",
    "--MappingKernelManager.cull_connected=True",
]
if os.environ.get("VAE_HUB_AS_ROOT") == "1":
    c.Spawner.args.append("--allow-root")
c.JupyterHub.concurrent_spawn_limit = 10

# A server that nobody has used for two hours is stopped.
c.JupyterHub.services = [
    {
        "name": "idle-culler",
        "command": [sys.executable, "-m", "jupyterhub_idle_culler", "--timeout=7200"],
    }
]
c.JupyterHub.load_roles = [
    {
        "name": "idle-culler",
        "services": ["idle-culler"],
        "scopes": ["list:users", "read:users:activity", "read:servers", "delete:servers"],
    }
]
