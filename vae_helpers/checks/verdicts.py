"""What a check says: the verdict, the mistakes that any exercise can meet, and what PyTorch's own errors mean."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

import numpy as np

from .calls import Array, Record

RTOL = 2e-4  # float32 sums of some thousand terms agree far better


@dataclass(frozen=True)
class Verdict:
    """What a check says: `diagnosis` is the name of a mistake, or None; `fault` says that the check itself failed."""

    passed: bool
    attempted: bool
    diagnosis: str | None
    message: str
    fault: bool = field(default=False, kw_only=True)

    @property
    def status(self) -> str:
        """'right', 'wrong', 'not attempted' or 'not checked'."""
        if self.fault:
            return "not checked"
        if self.passed:
            return "right"
        return "wrong" if self.attempted else "not attempted"


@dataclass(frozen=True)
class Mistake:
    """One wrong behaviour: what it does to the training, and what to change."""

    why: str
    change: str


class Stop(Exception):  # noqa: N818 - no error: it carries what was seen
    """The judge has seen enough: `seen` is what it saw, `mistake` the name of the one cause that fits, or None."""

    def __init__(self, seen: str, mistake: str | None = None, *, attempted: bool = True) -> None:
        self.seen, self.mistake, self.attempted = seen, mistake, attempted
        super().__init__(seen)


def wrong(mistake: str, seen: str) -> Stop:
    """A mistake that has a name."""
    return Stop(seen, mistake)


NOT_ATTEMPTED = "Not attempted yet."


def not_attempted(record: Record, key: str) -> Stop:
    """Say whose blank it was that stopped the call."""
    where = record.get(f"{key}.blank")
    text = f"Not attempted yet: {where} is blank, or its `raise` is still there."
    return Stop(text if where else NOT_ATTEMPTED, attempted=False)


# --- what every record is looked at for ---------------------------------------------------------


def need(record: Record, key: str, call: str, *, number: bool = False) -> Array:
    """The tensor (or, where allowed, the number) that the call under `key` gave; else stop."""
    kind = str(record.get(f"{key}.kind", "not attempted"))
    if kind == "not attempted":
        raise not_attempted(record, key)
    if kind == "error":
        raise error(record, key, call)
    if kind.startswith("no method"):
        raise Stop(f"The model has {kind}.")
    if kind == "None":
        raise wrong("nothing-returned", f"{call} gave back None.")
    if kind != "tensor" and not (number and kind == "number"):
        raise wrong("wrong-shape", f"{call} gave back {kind}; it must be one tensor.")
    return np.asarray(record[key])


def error(record: Record, key: str, call: str) -> Stop:
    """An exception in the learner's code, with what it means where it is a classic one."""
    text = str(record.get(f"{key}.error", ""))
    line = str(record.get(f"{key}.line", ""))
    message = f"{call} raised an exception in your code: {text}."
    if line:
        message += f" It came from {line}."
    if record.get("other size") == "works" or "invalid for input of size" in text:
        return wrong("fixed-batch", message)
    return Stop(f"{message} {meaning(text, line)}".strip())


def need_graph(record: Record, keys: list[str]) -> None:
    """Stop where a result has no graph."""
    if not all(record.get(f"{key}.graph") for key in keys):
        raise wrong("loss-without-gradient", "No gradient can pass through the result.")


def need_gradients(record: Record, key: str, expected: dict[str, Array]) -> None:
    """Compare the gradient with respect to each argument with the right answer's."""
    for name, right in expected.items():
        got = np.asarray(record[f"{key}.grad.{name}"])
        if close(got, right, 1e-3):
            continue
        if not got.any():
            seen = f"The number is right, but no gradient of it reaches {name}."
            raise wrong("loss-without-gradient", seen)
        raise Stop(
            f"The number is right, but its gradient with respect to {name} isn't: a part of it was computed "
            "without a graph. Look for `.detach()`, `.data`, `.item()`, `no_grad`, or a rounding or clamp on the "
            "way."
        )


def need_finite(record: Record, keys: list[str], call: str) -> None:
    """A comparison with NaN is false, so that NaN would pass the bounds that are looked at after this."""
    values = [np.asarray(record[key]) for key in keys if key in record]
    if not all(finite(value) for value in values):
        raise wrong("not-finite", f"{call} gave numbers that aren't finite.")


def need_inputs_kept(record: Record) -> None:
    """Stop where the answer wrote into what it was given."""
    if record.get("inputs changed"):
        raise wrong("inputs-changed", "The call changed the numbers in its inputs.")


def finite(value: Array) -> bool:
    """Whether all numbers are finite; texts, which come back from a file as arrays, are."""
    return value.dtype.kind not in "biufc" or bool(np.isfinite(value).all())


def close(a: Array | float, b: Array | float, rtol: float = RTOL) -> bool:
    """Equal to a share of the largest number in `b`."""
    a, b = np.asarray(a), np.asarray(b)
    if a.shape != b.shape or not finite(a):
        return False
    return bool(np.abs(a - b).max(initial=0) <= rtol * max(np.abs(b).max(initial=0), 1e-3))


def near(a: float, b: float, rtol: float = 2e-3) -> bool:
    """Equal to a share of `b`."""
    return abs(a - b) <= rtol * abs(b)


def shape(value: Array | tuple[int, ...]) -> str:
    """A shape as Python prints it."""
    sizes = value if isinstance(value, tuple) else value.shape
    return str(tuple(int(n) for n in sizes))


def listed(values: Array) -> str:
    """The first numbers of an array."""
    return ", ".join(f"{v:.3g}" for v in np.asarray(values).ravel()[:5])


# --- the mistakes that any exercise can meet ----------------------------------------------------

MISTAKES = {
    "nothing-returned": Mistake(
        "A function without a return statement gives back None.", "Add the `return`."
    ),
    "wrong-shape": Mistake(
        "The rest of the program counts on the shape that the exercise names.",
        "Follow the shape of each step, on paper or printed in a cell, from the first line on.",
    ),
    "inputs-changed": Mistake(
        "A method whose name ends in _ writes into the tensor it is called on, and the encoder's output is still "
        "needed: by the KL term, and by the gradient.",
        "Use the form without the _, which makes a new tensor.",
    ),
    "not-finite": Mistake(
        "One such number spoils every weight at the next step.",
        "Look for a logarithm of something that can be 0 or negative, or an exponential of something large.",
    ),
    "loss-without-gradient": Mistake(
        "What comes back has no graph, or only a part of it, so `backward` has nothing to follow there, and "
        "nothing is learned.",
        "Give back the tensor itself: look for `.item()`, `.detach()`, `.data`, `float()` or `no_grad`.",
    ),
    "fixed-batch": Mistake(
        "It works for one batch size but not for another, and the last batch of an epoch is often smaller.",
        "Don't write the batch size as a number: -1 stands for it in view and reshape.",
    ),
    "layers-not-registered": Mistake(
        "PyTorch finds layers that are attributes of the module, but not those in a Python list, tuple or "
        "dictionary: `parameters()` leaves them out, so no optimizer trains them.",
        "Make them attributes, or hold them in an `nn.ModuleList`, an `nn.ModuleDict` or an `nn.Sequential`.",
    ),
    "layer-made-in-call": Mistake(
        "Its weights are random at each call, and no optimizer ever sees them.",
        "Make every layer once, in `__init__`, and use it in the method.",
    ),
}

# What Python and PyTorch say when something classic went wrong (a pattern for the message, one for the line that it
# came from), and what it means. The first that fits is said.
CLASSIC = (
    (r"mat1 and mat2 shapes.*\(\d+x28 and 784x", "", "The images must be flattened to (B, 784) before a linear layer: "
     "`x.flatten(1)`."),
    (r"mat1 and mat2 shapes", "", "A layer got a tensor of a different width than it was made for: each layer takes "
     "as many numbers as the one before gives. Print the shape just before this line."),
    (r"Expected 3D \(unbatched\) or 4D \(batched\) input to conv", "", "A convolution takes images as (B, 1, 28, 28), "
     "but got another shape: put `x.view(-1, 1, 28, 28)` before it."),
    (r"[Gg]iven groups=.*expected input.*channels", "", "A convolution got a different number of channels than it was "
     "made for. Print the shape just before this line: (B, channels, 28, 28)."),
    (r"before Module\.__init__\(\) call", "", "The first line of the class's own `__init__` must be "
     "`super().__init__()`."),
    (r"Boolean value of Tensor with more than one value", r"nn\.[A-Z]\w+\(", "A class of `torch.nn` takes settings and "
     "makes a layer or a loss; the tensors go to what it makes, in a second pair of brackets, or to the function of "
     "the same use in `torch` or `torch.nn.functional`."),
    (r"Boolean value of Tensor with more than one value", "", "A tensor of many numbers stands where a single yes or "
     "no is needed, as in an `if`, an `and`, or a setting."),
    (r"Torch not compiled with CUDA|No CUDA GPUs|Found no NVIDIA driver", "", "This computer has no graphics card that "
     'PyTorch can use. Leave out `.cuda()` and `.to("cuda")`, or take `x.device`, where the tensor is already.'),
    (r"all tensors to be on the same device", "", "Some tensors are on a different device than others. Make new ones "
     "where the old ones are: `torch.randn_like(std)`, or device=x.device."),
    (r"Expected parameter (scale|covariance_matrix|scale_tril)", "", "A standard deviation must be positive, but this "
     "argument wasn't. Is it log σ², or negative, or NaN?"),
    (r"Expected parameter (probs|loc|logits|rate)", "", "A distribution refused its parameter: it must be finite, and "
     "a probability between 0 and 1."),
    (r"Expected value argument.*to be within the support", "", "A distribution refused a value outside its support. "
     "Pixels between 0 and 1 aren't draws from a Bernoulli; `validate_args=False` allows them."),
    (r"(too many|not enough) values to unpack", r",\s*_\w*\s*=|=\s*(batch|x|data)\b", "A line takes a tensor apart row "
     "by row. The function is handed the images alone, without labels."),
    (r"(too many|not enough) values to unpack", "", "The number of names before the `=` differs from the number of "
     "things after it. Look at what the function on the right gives back."),
    (r"'(float|int)' object has no attribute '(backward|detach|item)'", "", "`.item()` and `float()` give a plain "
     "number, which has no graph. Call `backward` on the tensor, and take the number afterwards."),
    (r"'(tuple|list)' object has no attribute", "", "A function gave back several things, and they were used as one "
     "tensor. Take them apart first: `a, b = …`."),
    (r"'numpy\.ndarray' object has no attribute|must be Tensor, not numpy", "", "A NumPy array stands where a tensor "
     "is needed. Stay with torch, which keeps the gradients."),
    (r"Can't call numpy\(\) on Tensor that requires grad", "", "NumPy keeps no gradients. Use torch's function of "
     "the same name."),
    (r"modified by an inplace operation", "", "A tensor that the gradient still needs was overwritten, by a method "
     "with _ at its end, by +=, or by an optimizer's step between the loss and its `backward`."),
    (r"leaf Variable that requires grad", "", "A weight or an input was overwritten in place. Make a new tensor "
     "instead."),
    (r"must have the same dtype|expected scalar type|Found dtype", "", "float32 and float64 were mixed. PyTorch makes "
     "float32, NumPy float64; `.float()` or dtype=mu.dtype brings them together."),
    (r"all elements of input should be between 0 and 1", "", "The prediction of binary_cross_entropy must be a "
     "probability. Is it the first argument, and does the decoder end in a sigmoid?"),
    (r"all elements of target should be between 0 and 1", "", "The target of binary_cross_entropy must be an image in "
     "[0, 1]. Is it the second argument, and was it left as it is?"),
    (r"Using a target size .* that is different to the input size|must match the size of tensor|"
     r"shapes cannot be broadcast", "", "Two tensors of different shapes met in one operation. Print both shapes just "
     "before this line."),
    (r"invalid for input of size", "", "A view or reshape asks for a different number of elements than there are. Is a "
     "batch size written as a number?"),
    (r"can be converted to Python scalars|only one element tensors can be converted|"
     r"must be real number, not Tensor", "", "Functions of `math` take single numbers. `torch.exp` and its kin take "
     "tensors."),
    (r"'NoneType' object|not NoneType|NoneType found", "", "Something is None: often a function whose `return` is "
     "missing."),
    (r"^NameError", "", "Python does not know this name. Run the cell that defines it, look for a typing mistake, or "
     "for a `self.` that is missing in front of a layer."),
    (r"'Tensor' object has no attribute", "", "A tensor has nothing of that name. Look for a typing mistake, or for a "
     "function of `torch` that does it."),
    (r"^AttributeError: module ", "", "This module has nothing of that name. Look for a typing mistake."),
    (r"^AttributeError", "", "Look for a typing mistake in the name, and for a layer that __init__ does not make."),
    (r"does not require grad", "", "The loss depends on no weight: somewhere on the way the gradient was cut, by "
     "`.detach()`, `.item()` or `no_grad`."),
    (r"grad can be implicitly created only for scalar", "", "`backward` starts from one number. Sum the loss over the "
     "batch first."),
    (r"backward through the graph a second time", "", "The same graph was used twice. Compute the loss anew for each "
     "step."),
    (r"missing \d+ required positional argument|positional arguments? but \d+ (was|were) given", "", "The function "
     "takes a different number of arguments than it's called with; the exercise says which."),
)  # fmt: skip


def meaning(text: str, line: str = "") -> str:
    """What a classic exception means; '' for any other."""
    for said, where, means in CLASSIC:
        if re.search(said, text) and re.search(where, line):
            return means
    return ""
