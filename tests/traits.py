"""Submissions as learners send them: one trait each, and the fair outcome beside it.

`TRAITS` maps a trait to what is handed in and its outcome: a letter for each of `CHECKS` (r: right, c: carried forward,
w: wrong, n: not attempted), or what the status of a notebook that cannot be graded must say.
"""

import json
import re
import sys

from submissions import EXERCISE, IMPORTS, notebook, source_of

from vae_helpers.grading.rows import CARRIED

LETTERS = {"right": "r", CARRIED: "c", "wrong": "w", "not attempted": "n"}
CHECKS = ("reparameterize", "kl_divergence", "loss_function")
TRAITS: dict[str, tuple[bytes, str]] = {}
MODEL, KL, RECON, LOSS, STEP = source_of(*EXERCISE)
BASE = (IMPORTS, MODEL, KL, RECON, LOSS)
WRONG_KL = "def kl_divergence(mu, logvar):\n    return (1 + logvar - mu**2 - logvar.exp()).sum(1)"


def is_fair(row, fair):
    """Whether a row is this outcome."""
    if not row.graded:
        return fair in row.status
    return "".join(LETTERS[row.state(check)] for check in CHECKS) == fair


def trait(name, content, fair="rrr"):
    assert name not in TRAITS, name
    TRAITS[name] = content if isinstance(content, bytes) else notebook(*content), fair


def also(name, *cells, fair="rrr"):
    """A right notebook with further cells at its end."""
    trait(name, (*BASE, *cells), fair)


def before(name, *cells, model=MODEL, kl=KL, fair="rrr"):
    """A right notebook with further cells after its imports, and perhaps other answers."""
    trait(name, (IMPORTS, *cells, model, kl, RECON, LOSS), fair)


def file(name, change, fair="rrr"):
    """A right notebook, its JSON changed."""
    held = json.loads(notebook(*BASE))
    trait(name, json.dumps(change(held) or held).encode(), fair)


def with_size(size):
    """The model with another expression for its number of latents."""
    return MODEL.replace("latent_dim: int = 20", f"latent_dim: int = {size}")


# --- the file -----------------------------------------------------------------------------------


def each_cell(**change):
    return lambda held: [cell.update(change) for cell in held["cells"]] and None


def sources(change):
    def changed(held):
        for cell in held["cells"]:
            cell["source"] = change("".join(cell["source"]))

    return changed


trait("as it is", BASE)
file(
    "from Colab",
    lambda h: h["metadata"].update(
        accelerator="GPU", colab={"provenance": [], "gpuType": "T4"}, kernelspec={"name": "python3"}
    ),
)
file(
    "from Kaggle",
    lambda h: h["metadata"].update(
        kaggle={"dataSources": []}, kernelspec={"language": "python", "name": "python3"}
    ),
)
file(
    "from VS Code",
    lambda h: h["metadata"].update(
        language_info={"name": "python", "version": "3.13.1"}, vscode={"interpreter": {"hash": "x"}}
    ),
)
file(
    "of a conda kernel",
    lambda h: h["metadata"].update(
        kernelspec={"display_name": "Python [conda env:vae]", "name": "conda-env-vae-py"}
    ),
)
file("jupytext", lambda h: h["metadata"].update(jupytext={"formats": "ipynb,py:percent"}))
file("with widget state", lambda h: h["metadata"].update(widgets={"state": {"x": {"a": 1}}}))
file(
    "nbformat 3",
    lambda h: {
        "nbformat": 3,
        "worksheets": [
            {
                "cells": [
                    {"cell_type": "code", "input": cell["source"], "language": "python"}
                    for cell in h["cells"]
                ]
            }
        ],
    },
)
file("without a format", lambda h: h.pop("nbformat") and None)
file("format as text", lambda h: h.update(nbformat="4"))
file("format 5", lambda h: h.update(nbformat=5))
file("metadata null", lambda h: h.update(metadata=None))
file("unknown keys", lambda h: h.update(author="me", cloud={"id": 3}))
file("equal cell ids", each_cell(id="same"))
file("cell ids that are not allowed", each_cell(id="not valid!"))
file("cell ids as numbers", each_cell(id=7))
file("without outputs", lambda h: [cell.pop("outputs") for cell in h["cells"]] and None)
file("outputs null", each_cell(outputs=None))
file(
    "errors among the outputs", each_cell(outputs=[{"output_type": "error", "ename": "NameError"}])
)
file("45 MB of outputs", each_cell(outputs=[{"output_type": "stream", "text": "x" * 9_000_000}]))
file("cells of a tutor's tool", each_cell(metadata={"nbgrader": {"grade": True, "locked": False}}))
file(
    "tags and hidden code",
    each_cell(metadata={"tags": ["hide"], "jupyter": {"source_hidden": True}}),
)
file("source as one text", sources(lambda text: text))
file("CRLF in the sources", sources(lambda text: text.replace("\n", "\r\n")))
file("CR in the sources", sources(lambda text: text.replace("\n", "\r")))
file("tabs in the sources", sources(lambda text: text.replace("    ", "\t")))
file("spaces at line ends", sources(lambda text: text.replace("\n", "  \n")))
file("a form feed", sources(lambda text: "\f" + text))
file("an indent before all", sources(lambda text: re.sub("(?m)^", "    ", text)))
file(
    "prompts pasted with it",
    sources(
        lambda text: "\n".join(
            (">>> " if line[:1].strip() else "... ") + line for line in text.split("\n")
        )
    ),
)
file("no-break spaces in a comment", sources(lambda text: f"# a\u00a0b\n{text}"))
file(
    "raw and markdown cells",
    lambda h: h["cells"].extend(
        [{"cell_type": "raw", "source": "x ="}, {"cell_type": "markdown", "source": ["# 6"]}]
    ),
)
file("cells that are none", lambda h: h["cells"].extend([3, None, {}, {"cell_type": "code"}]))
ACCENT = json.dumps(json.loads(notebook(*BASE, "name = 'Zoë'")), ensure_ascii=False)
for encoding in ("utf-8", "utf-8-sig", "utf-16", "utf-32", "cp1252"):
    trait(f"in {encoding}", ACCENT.encode(encoding))
trait(
    "CRLF in the file",
    json.dumps(json.loads(notebook(*BASE)), indent=1).replace("\n", "\r\n").encode(),
)
trait("white space around the file", b"\n\n  " + notebook(*BASE) + b"\n\n")
for name, content, fair in (
    ("an empty file", b"", "the file is empty"),
    ("a file of blanks", b" \n", "the file is empty"),
    ("half a file", notebook(*BASE)[:900], "no valid JSON"),
    ("a script with the wrong ending", "\n".join(BASE).encode(), "no valid JSON"),
    ("a saved web page", b"<!doctype html><title>06</title>", "no valid JSON"),
    ("a merge conflict", b"<<<<<<< HEAD\n" + notebook(*BASE), "no valid JSON"),
    ("a list", b"[]", "it holds no cells"),
    ("another JSON", b'{"grades": [1, 2]}', "it holds no cells"),
    ("in R", notebook("x <- 1", kernelspec={"language": "R"}), "another language: R"),
    ("in Julia", notebook("x = 1", language_info={"name": "julia"}), "another language: julia"),
):
    trait(name, content, fair)
trait("no cells", (), "nnn")
trait(
    "the answers in a markdown cell",
    json.dumps({"cells": [{"cell_type": "markdown", "source": "\n".join(BASE)}]}).encode(),
    "nnn",
)

# --- IPython ------------------------------------------------------------------------------------

before("line magics", "%matplotlib inline\n%load_ext autoreload\n%autoreload 2\n%config x = 1")
before("an installation", "!pip install -q torch torchvision\n%pip install einops")
before("a look at the card", "!nvidia-smi")
before(
    "an installation among the imports",
    "!pip install x\nimport math\nTWO = math.sqrt(4)",
    kl=KL.replace("0.5", "1 / TWO"),
)
before("a folder changed", "%cd /content\nimport os\nos.chdir('/content')")
before("a help mark", "torch.randn?\n?torch\ntorch.exp??")
before("output of the shell", "files = !ls\nlines = %sql select 1")
before(
    "other languages",
    "%%bash\nrm -rf x",
    "%%javascript\nalert(1)",
    "%%html\n<b>x</b>",
    "%%R\nx <- 1",
)
before("a file written by a cell", "%%writefile model.py\nimport broken")
trait("answers under %%time", (IMPORTS, *("%%time\n" + cell for cell in BASE[1:])))
trait("answers under %%capture", (IMPORTS, *("%%capture out\n" + cell for cell in BASE[1:])))
also("timed calls", "%timeit kl_divergence(torch.zeros(2, 3), torch.zeros(2, 3))")
also("calls of IPython", "get_ipython().system('ls')\ndisplay(VAE())\nget_ipython().magic('time')")
before(
    "Google Drive",
    "from google.colab import drive\ndrive.mount('/content/drive')",
    "ROOT = '/content/drive/MyDrive'\nimport sys\nsys.path.append(ROOT)",
)
before(
    "Colab or not",
    "try:\n    import google.colab\n    IN_COLAB = True\nexcept ImportError:\n    IN_COLAB = False",
    "SIZE = 20 if not IN_COLAB else 2",
    model=with_size("SIZE"),
)

# --- what is not there --------------------------------------------------------------------------

before(
    "libraries that are missing", "import wandb, cv2\nimport seaborn as sns\nfrom kaggle import api"
)
trait("a missing library among the imports", ("import seaborn as sns\n" + IMPORTS, *BASE[1:]))
before(
    "data that are missing",
    "import pandas\ndf = pandas.read_csv('train.csv')\nx = torch.load('x.pt')",
)
before(
    "a data set from the network",
    "from torchvision import datasets\n"
    "train = datasets.MNIST('data', download=True)\nloader = torch.utils.data.DataLoader(train)",
)
before(
    "a token from the environment",
    "import os\nos.environ['TOKEN'] = 'x'\nkey = os.environ['NOT_SET']",
)
before(
    "a graphics card where there is one",
    "device = 'cuda' if torch.cuda.is_available() else 'cpu'",
    "model_on = lambda: VAE().to(device)",
)
before(
    "a module that was not handed in", "from utils import kl", kl="kl_divergence = kl", fair="rwc"
)
also("its own weights loaded", "model = VAE()\nmodel.load_state_dict(torch.load('vae.pt'))")
also("a question to the user", "name = input('name? ')")

# --- sizes and settings -------------------------------------------------------------------------

before("a size above", "LATENT = 20", model=with_size("LATENT"))
before("a size below", model=with_size("LATENT"), kl=KL + "\nLATENT = 20")
before(
    "sizes in a dictionary",
    "config = {}\nconfig['latent'] = 20",
    model=with_size("config['latent']"),
)
before(
    "a dictionary that is updated",
    "config = dict(hidden=400)\nconfig.update(latent=20)",
    model=with_size("config['latent']"),
)
PARSER = "import argparse\nparser = argparse.ArgumentParser(description='VAE')\n"
ADDED = "parser.add_argument('--latent', type=int, default=20, metavar='N')\n"
before("argparse", PARSER + ADDED + "args = parser.parse_args([])", model=with_size("args.latent"))
before(
    "argparse over several cells",
    PARSER,
    ADDED,
    "args = parser.parse_args(args=[])",
    model=with_size("args.latent"),
)
before(
    "argparse, and what it finds",
    PARSER + ADDED,
    "args, _ = parser.parse_known_args([])\nargs.cuda = False",
    model=with_size("args.latent"),
)
before(
    "argparse in groups",
    PARSER
    + ADDED.replace("parser.", "group.").join(
        ["group = parser.add_argument_group('model')\n", "args = parser.parse_args([])"]
    ),
    model=with_size("args.latent"),
)
before(
    "a name space",
    "from types import SimpleNamespace\ncfg = SimpleNamespace(latent=2)\ncfg.latent = 20",
    model=with_size("cfg.latent"),
)
before(
    "a data class",
    "from dataclasses import dataclass\n@dataclass\nclass Config:\n    latent: int = 20\ncfg = Config()",
    model=with_size("cfg.latent"),
)
before(
    "a size by setattr",
    "class Config: pass\nsetattr(Config, 'latent', 20)",
    model=with_size("Config.latent"),
)
before("a size set by a loop", "for latent in (5, 10, 20):\n    pass", model=with_size("latent"))
before(
    "a size counted by a loop",
    "size = 0.5\nwhile size < 20:\n    size = int(size) + 1",
    model=with_size("size"),
)
before(
    "a table filled by a loop",
    "table = {}\nfor n in (10, 20):\n    table[n] = 2 * n",
    model=with_size("table[10]"),
)
before(
    "a list filled by a loop",
    "sizes = []\nfor n in range(3):\n    sizes.append(10 * n)",
    model=with_size("sizes[2]"),
)
before(
    "a list filled line by line",
    "sizes = []\nsizes.append(784)\nsizes.extend([400, 20])",
    model=with_size("sizes[-1]"),
)
before(
    "a list filled in an if",
    "sizes = []\nif True:\n    sizes.append(20)\n    print(undefined)",
    model=with_size("sizes[0]"),
)
before(
    "a list filled in a loop in a try",
    "sizes = []\ntry:\n    for n in (1, 20):\n        sizes.append(n)\nexcept ValueError:\n    pass",
    model=with_size("sizes[1]"),
)
before("a list that is sorted", "sizes = [400.5, 20]\nsizes.sort()", model=with_size("sizes[0]"))
LAYERS = (
    "layers = []\nfor a, b in ((20, 400), (400, 784)):\n"
    "    layers.append(nn.Linear(a, b))\n    layers.append(nn.ReLU())\n"
)
before(
    "layers made by a loop",
    LAYERS + "layers.pop()\nlayers.append(nn.Sigmoid())\ndecoder = nn.Sequential(*layers)",
    model=MODEL.replace(
        "def decode(self, z: Tensor) -> Tensor:",
        "def decode(self, z: Tensor) -> Tensor:\n        return decoder(z)",
    ),
)
before("a default type", "torch.set_default_dtype(torch.float32)\ntorch.manual_seed(1)")

# --- answers in other forms ---------------------------------------------------------------------

before("a helper", "def half(value):\n    return 0.5 * value", kl=KL.replace("0.5 *", "half(1) *"))
before(
    "a helper of a helper",
    "def one():\n    return 1",
    "def half():\n    return one() / 2",
    kl=KL.replace("0.5", "half()"),
)
before(
    "a lambda",
    kl="kl_divergence = lambda mu, logvar: 0.5 * (mu**2 + logvar.exp() - 1 - logvar).sum(1)",
)
before(
    "a partial",
    "import functools",
    kl="def kl(mu, logvar, half):\n    return half * (mu**2 + logvar.exp() - 1 - logvar).sum(1)\n"
    "kl_divergence = functools.partial(kl, half=0.5)",
)
before(
    "made by a function",
    kl="def make(half):\n    "
    + KL.replace("0.5", "half").replace("\n", "\n    ")
    + "\n    return kl_divergence\nkl_divergence = make(0.5)",
)
before(
    "a class that is called",
    kl="class Divergence:\n    def __call__(self, mu, logvar):\n"
    "        return 0.5 * (mu**2 + logvar.exp() - 1 - logvar).sum(1)\nkl_divergence = Divergence()",
)
before(
    "a static method",
    kl="class Losses:\n    @staticmethod\n    def kl(mu, logvar):\n"
    "        return 0.5 * (mu**2 + logvar.exp() - 1 - logvar).sum(1)\nkl_divergence = Losses.kl",
)
before(
    "a decorator of its own",
    "import functools\ndef shown(f):\n    return functools.wraps(f)(lambda *a: f(*a))",
    kl="@shown\n" + KL,
)
before("torch.compile", kl="@torch.compile\n" + KL)
also("the compiled loss", "loss_function = torch.compile(loss_function)")
before(
    "torch.distributions",
    "from torch.distributions import Normal, kl_divergence as kld",
    kl="def kl_divergence(mu, logvar):\n"
    "    return kld(Normal(mu, (0.5 * logvar).exp()), Normal(0.0, 1.0)).sum(1)",
)
before("a star import", "from math import *", kl=KL.replace("0.5", "sin(pi / 6)"))
before("annotations as text", kl=KL.replace("mu: Tensor", "mu: 'Float[Tensor, \"b d\"]'"))
before(
    "an unknown name in an annotation, never looked at",
    "from __future__ import annotations",
    kl=KL.replace("mu: Tensor", "mu: Float"),
)
before(
    "an unknown name in an annotation",
    kl=KL.replace("mu: Tensor", "mu: Float"),
    fair="rwc" if sys.version_info < (3, 14) else "rrr",
)
before(
    "a docstring with a strange escape", kl=KL.replace("return", "r'\\mu'\n    '\\d'\n    return")
)
before("a long comment in Greek", "# μ και σ² 🎲\nσ = 0.5", kl=KL.replace("0.5", "σ"))
before(
    "a global beta",
    "beta = 1.0",
    kl=KL.replace("return", "global beta\n    beta = 1.0\n    return"),
)
before("printing at each call", kl=KL.replace("return", "print(mu.shape, flush=True)\n    return"))
before("a cache", "import functools", kl="@functools.lru_cache(maxsize=None)\n" + KL)
before("a bar for progress", "from tqdm.notebook import tqdm", kl=KL)

# --- models -------------------------------------------------------------------------------------

before("super with names", model=MODEL.replace("super()", "super(VAE, self)"))
before("a base class", "class Base(nn.Module):\n    pass", model=MODEL.replace("nn.Module", "Base"))
before(
    "a base class below",
    model=MODEL.replace("nn.Module", "Base"),
    kl=KL + "\nclass Base(nn.Module):\n    pass",
)
before(
    "encoder and decoder apart",
    "class Decoder(nn.Sequential):\n    def __init__(self, d):\n"
    "        super().__init__(nn.Linear(d, 784), nn.Sigmoid())",
    model=re.sub(
        r"nn\.Sequential\(.*?Sigmoid\(\)\n\s*\)", "Decoder(latent_dim)", MODEL, flags=re.DOTALL
    ),
)
DRAW = "def draw(self, mu, logvar):\n    return mu + (0.5 * logvar).exp() * torch.randn_like(mu)"
SHORT = MODEL.replace("def reparameterize", "def another")
before("a method set by name", model=SHORT, kl=KL + f"\n{DRAW}\nVAE.reparameterize = draw")
before(
    "a method set by setattr", model=SHORT, kl=f"{KL}\n{DRAW}\nsetattr(VAE, 'reparameterize', draw)"
)
before(
    "methods set by a loop",
    model=SHORT,
    kl=f"{KL}\n{DRAW}\nfor name, method in dict(reparameterize=draw).items():\n    setattr(VAE, name, method)",
)
before(
    "a class that is extended",
    model=SHORT,
    kl=f"{KL}\nclass VAE(VAE):\n    {DRAW.replace('draw', 'reparameterize')}".replace(
        "\n    return mu +", "\n        return mu +"
    ),
)
before(
    "a model with an argument that has no default",
    model=with_size("REQUIRED").replace(" = REQUIRED", ""),
    fair="wrr",
)
also(
    "a model made and moved",
    "model = VAE().to('cpu')\noptimizer = torch.optim.Adam(model.parameters())\nmodel.train()",
)
before(
    "lightning that is missing",
    "import lightning as L",
    model=MODEL.replace("nn.Module", "L.LightningModule"),
    fair="wrr",
)

# --- cells --------------------------------------------------------------------------------------

trait("all in one cell", ("\n\n".join(BASE),))
trait(
    "all in one cell, with training",
    ("\n\n".join([*BASE, STEP, "for x in []:\n    training_step(None, None, x)", "1 / 0"]),),
)
trait("the other way round", BASE[::-1])
trait("twice, the last one right", (IMPORTS, WRONG_KL, *BASE[1:]))
trait("twice, the last one wrong", (*BASE, WRONG_KL), "rwc")
trait("with comments alone in between", ("# imports", IMPORTS, "", "   ", "# TODO", *BASE[1:]))
trait("a cell that is no Python beside it", (IMPORTS, "def broken(:\n    pass", *BASE[1:]))
trait("a cell that is no Python in the answer", (IMPORTS, MODEL, KL + ")", RECON, LOSS), "rnc")
trait(
    "in an if", (IMPORTS, *("if True:\n    " + cell.replace("\n", "\n    ") for cell in BASE[1:]))
)
trait(
    "in a try",
    (
        IMPORTS,
        *(
            "try:\n    " + cell.replace("\n", "\n    ") + "\nexcept Exception:\n    raise"
            for cell in BASE[1:]
        ),
    ),
)
trait(
    "in a with",
    (
        IMPORTS,
        *("with torch.device('cpu'):\n    " + cell.replace("\n", "\n    ") for cell in BASE[1:]),
    ),
)
trait(
    "under the main guard",
    (
        IMPORTS,
        *("if __name__ == '__main__':\n    " + cell.replace("\n", "\n    ") for cell in BASE[1:]),
    ),
)
also(
    "tests of its own",
    "assert kl_divergence(torch.zeros(2, 3), torch.zeros(2, 3)).sum() == 0\nassert False",
)
also(
    "the checks of the lesson",
    "from vae_helpers import check\ncheck.kl_divergence(kl_divergence)\ncheck.vae(VAE)",
)
also("its own work deleted", "del VAE, kl_divergence, loss_function")
TRAIN = "losses = []\nfor epoch in range(10**9):\n    for x, _ in loader:\n        "
also(
    "a loop that trains",
    TRAIN
    + "optimizer.zero_grad()\n        loss_function(x, x, x, x).backward()\n        optimizer.step()\n"
    "    losses.append(1)",
)
also(
    "a loop that trains by its step",
    STEP,
    TRAIN + "losses.append(training_step(model, optimizer, x))",
)
also(
    "a loop that trains by a function",
    "def epoch_of(model):\n    model(1).backward()",
    "while True:\n    epoch_of(VAE())",
)
before(
    "a beta that a loop warms up",
    "beta = 1.0",
    kl=KL.replace("0.5", "beta * 0.5") + f"\n{STEP}\n"
    "for epoch in range(10**9):\n    beta = epoch / 100\n    training_step(VAE(), None, beta)",
)
before(
    "a search over rates",
    "rate = 0.5\nfor rate in (0.1, 0.2):\n    trainer.fit(VAE(), rate)",
    kl=KL.replace("0.5", "rate"),
)
also(
    "a picture",
    "import matplotlib.pyplot as plt\nfig, ax = plt.subplots()\nfor i in range(3):\n    ax.plot([i])\nplt.show()",
)

# --- mistakes -----------------------------------------------------------------------------------

trait(
    "nothing written",
    (IMPORTS, *(f"def {name}(*a):\n    raise NotImplementedError" for name in EXERCISE[1:3])),
    "nnn",
)
trait("one answer missing", (IMPORTS, MODEL, RECON, LOSS), "rnc")
trait(
    "one answer blank",
    (IMPORTS, MODEL, "def kl_divergence(mu, logvar):\n    raise NotImplementedError", RECON, LOSS),
    "rnc",
)
trait("one answer wrong", (IMPORTS, MODEL, WRONG_KL, RECON, LOSS), "rwc")
trait(
    "one answer that raises",
    (IMPORTS, MODEL, KL.replace("return", "return 1 / 0 +"), RECON, LOSS),
    "rwc",
)
trait(
    "one answer without a return",
    (IMPORTS, MODEL, KL.replace("return", "total ="), RECON, LOSS),
    "rwc",
)
trait(
    "two mistakes",
    (
        IMPORTS,
        MODEL,
        WRONG_KL,
        RECON,
        LOSS.replace("reconstruction_loss(recon_x, x)", "reconstruction_loss(recon_x, x) / 784"),
    ),
    "rww",
)
trait(
    "two wrongs that make a right",
    (IMPORTS, MODEL, KL.replace("return", "return -1 *"), RECON, LOSS.replace("+ kl", "- kl")),
    "rwr",
)
trait(
    "a sum in place of one number an image",
    (IMPORTS, MODEL, KL.replace("sum(dim=1)", "sum()"), RECON, LOSS),
    "rwr",
)
trait(
    "a loss by itself",
    (
        IMPORTS,
        MODEL,
        RECON,
        LOSS.replace("kl_divergence(mu, logvar)", "(0.5 * (mu**2 + logvar.exp() - 1 - logvar))"),
    ),
    "rnr",
)
trait(
    "another name for the KL term",
    [cell.replace("kl_divergence", "kl_loss") for cell in BASE],
    "rnr",
)
trait(
    "a typing mistake in a name",
    [cell.replace("kl_divergence", "kl_divergance") for cell in BASE],
    "rnr",
)
trait(
    "another name for the model",
    (IMPORTS, MODEL.replace("class VAE", "class Net"), KL, RECON, LOSS),
    "nrr",
)
trait(
    "other names for the arguments",
    (
        IMPORTS,
        MODEL,
        KL.replace("kl_divergence", "kld").replace("mu", "mean").replace("logvar", "log_var"),
        RECON,
    ),
    "rnn",
)
trait("borrowed", ("from vae_helpers.answers import VAE, kl_divergence, loss_function",), "www")
trait(
    "borrowed in part",
    ("from vae_helpers import kl_divergence", IMPORTS, MODEL, RECON, LOSS),
    "rwr",
)
trait("noise forgotten", (IMPORTS, re.sub(r"eps = .*", "eps = 0", MODEL), KL, RECON, LOSS), "wrr")
