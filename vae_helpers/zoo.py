"""The bug zoo: what goes wrong in VAEs that people write, by name. The texts say what to change, and no more."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Bug:
    """One wrong behaviour: what it does to the training, and what to change."""

    why: str
    change: str


ZOO = {
    # any exercise
    "nothing-returned": Bug(
        "A function without a return statement gives back None.", "Add the `return`."
    ),
    "wrong-shape": Bug(
        "The rest of the program counts on the shape that the exercise names.",
        "Print the shape of each step on paper or in a cell, from the first line on.",
    ),
    "inputs-changed": Bug(
        "A method whose name ends in _ writes into the tensor it is called on, and the encoder's output is still "
        "needed: by the KL term, and by the gradient.",
        "Use the form without the _, which makes a new tensor.",
    ),
    "not-finite": Bug(
        "One such number spoils every weight at the next step.",
        "Look for a logarithm of something that can be 0 or negative, or an exponential of something large.",
    ),
    # the KL divergence
    "kl-mean-over-latents": Bug(
        "Every latent costs something of its own. A mean makes the price of z depend on how many latents there "
        "are, and weakens the KL term by that factor.",
        "Add up over the latents.",
    ),
    "kl-wrong-axis": Bug(
        "Adding over the batch mixes different images, and leaves one number for each latent.",
        "Add over the latents of each image: check which axis is which.",
    ),
    "kl-over-batch": Bug(
        "Asked for is one number for each image, so that the batch can be summed or averaged later, in one place.",
        "Reduce over the latents only.",
    ),
    "kl-not-summed": Bug(
        "These are the costs of single latents. An image pays for all of its latents together.",
        "Add them up for each image.",
    ),
    "kl-sign": Bug(
        "A KL divergence is never negative. With the sign turned, training is paid for moving q(z|x) away from "
        "the prior, without end: the loss falls to −∞.",
        "Turn the sign of the whole term.",
    ),
    "kl-half-missing": Bug(
        "It is twice the KL divergence, as with a β of 2. Either the factor in front was forgotten, or the term "
        "was added twice.",
        "Look at the factor in front of the sum.",
    ),
    "kl-mu-not-squared": Bug(
        "Then a negative mean is paid for: the more negative, the better.",
        "Look at how the mean enters the formula.",
    ),
    "kl-sigma-for-variance": Bug(
        "The formula holds the variance σ², and this holds the standard deviation σ in its place.",
        "Ask what the exponential of log σ² is.",
    ),
    "kl-sigma-cancels": Bug(
        "The formula holds both σ² and its logarithm. Here both are the same number, and cancel: the spread of "
        "q(z|x) costs nothing.",
        "One of the two is what the encoder gives; the other needs an exponential.",
    ),
    "kl-exponential-misplaced": Bug(
        "The formula holds both σ² and its logarithm. Here they have changed places.",
        "Ask which of the two is positive, and what the exponential of log σ² is.",
    ),
    "kl-log-sigma": Bug(
        "The formula holds log σ², which is twice log σ; here it is log σ. The cheapest σ is then not 1.",
        "Look at the factor of the logarithm.",
    ),
    "kl-variance-squared": Bug(
        "The exponential of log σ² is σ² already; here it was squared again.",
        "Ask what the exponential of log σ² is.",
    ),
    "kl-logvar-is-log-sigma": Bug(
        "The second argument was taken for log σ. It is log σ², so σ² is counted as if it were σ.",
        "Look at the factor 2 between log σ and log σ².",
    ),
    "kl-logvar-is-std": Bug(
        "The second argument was taken for σ. It is log σ², and may be negative.",
        "Turn the log-variance into what your formula takes.",
    ),
    "kl-logvar-is-variance": Bug(
        "The second argument was taken for σ². It is log σ², and may be negative, where a logarithm gives NaN.",
        "Turn the log-variance into what your formula takes.",
    ),
    "kl-swapped-arguments": Bug(
        "It is right with the two arguments exchanged.",
        "Look at the order of mu and logvar, in the definition and in the call.",
    ),
    "kl-reversed": Bug(
        "This is KL(p ‖ q), from the prior to q. The ELBO needs KL(q ‖ p), the expectation under q.",
        "Exchange the two distributions.",
    ),
    "kl-mu-missing": Bug(
        "Then a mean costs nothing: codes may lie anywhere, and the prior no longer finds them.",
        "Let the mean enter the formula.",
    ),
    "kl-variance-missing": Bug(
        "Then a large variance is free, even paid for.",
        "Let σ² enter the formula.",
    ),
    "kl-logvar-missing": Bug(
        "Then a variance of 0 is cheapest: the VAE turns into an autoencoder whose codes are held near 0.",
        "Let log σ² enter the formula.",
    ),
    "kl-term-sign": Bug(
        "One of the terms has the wrong sign, so that the cheapest q(z|x) is not the prior.",
        "Compare the sign of each term with the formula.",
    ),
    "kl-scaled": Bug(
        "It is the KL divergence times a number. That number is a hidden β.",
        "Look at the factor in front of the sum.",
    ),
    # the reconstruction
    "recon-averaged": Bug(
        "The mean over the pixels makes the image weigh as much as one pixel. The KL term then has its way: all "
        "reconstructions become one blur, and the KL goes to 0.",
        "Add up over the pixels; the function you use has an option for it.",
    ),
    "recon-averaged-over-batch": Bug(
        "The reconstruction is divided by the number of images. Beside a KL term that is summed over them, this "
        "makes the KL term heavier, by a factor that depends on the batch size.",
        "Sum over the batch, as the KL term will be.",
    ),
    "recon-scaled": Bug(
        "It is the cross-entropy times a number. Beside the KL term that number is a hidden weight.",
        "Look for a factor or a division.",
    ),
    "recon-per-image": Bug(
        "Asked for is one number, summed over the batch.", "Add the images' losses up."
    ),
    "recon-not-reduced": Bug(
        "These are the losses of single pixels. Asked for is one number, summed over pixels and batch.",
        "Add them up; the function you use has an option for it.",
    ),
    "recon-sign": Bug(
        "This is a log-likelihood, which is to grow. A loss is what is made small.",
        "Turn the sign.",
    ),
    "recon-swapped": Bug(
        "The cross-entropy is not symmetric: the first argument is the prediction, the second the target. "
        "Exchanged, it takes the logarithm of the image, whose pixels are mostly 0.",
        "Exchange the two arguments.",
    ),
    "recon-half-missing": Bug(
        "One half of the cross-entropy is missing: only bright pixels are judged, or only dark ones. A white image, "
        "or a black one, would be a perfect reconstruction of everything.",
        "A pixel must count whether it is bright or dark: the cross-entropy has two terms.",
    ),
    "two-sigmoids": Bug(
        "A second sigmoid is applied to what are probabilities already. It squeezes them into [0.5, 0.73]: no "
        "pixel can be black. (A loss that takes logits is right where decode gives logits. Here it gives "
        "probabilities.)",
        "Keep one sigmoid, in the decoder, and the loss that takes probabilities.",
    ),
    "targets-rescaled": Bug(
        "The images were shifted or scaled. Targets outside [0, 1] have no meaning in a cross-entropy, which can fall "
        "below 0; targets divided by 255 once more make every image nearly black.",
        "Leave the images as they are, in [0, 1].",
    ),
    # the loss as a whole
    "loss-not-one-number": Bug(
        "`backward` starts from one number, summed over the batch.", "Add the images' losses up."
    ),
    "loss-sign": Bug(
        "This is the ELBO, which is to grow. A loss is what is made small.",
        "Turn the sign of the whole.",
    ),
    "kl-too-weak": Bug(
        "The price of z is too low. The lower it is, the sharper the reconstructions, and the more codes from the "
        "prior decode to junk. Likely "
        "causes: a mean over the batch in the KL term alone, or a small factor in front of it.",
        "Sum both terms over the batch in the same way, and weight the KL term with 1.",
    ),
    "kl-too-strong": Bug(
        "The price of z is too high. The higher it is, the less the decoder reads of z, and the more "
        "reconstructions blur.",
        "Weight the KL term with 1, and look for a mean in the reconstruction.",
    ),
    "kl-missing": Bug(
        "Without it the VAE is an autoencoder: nothing ties the codes to the prior, and samples are junk.",
        "Add the KL term.",
    ),
    "recon-missing": Bug(
        "Without it nothing asks z to know the image.", "Add the reconstruction term."
    ),
    "weight-on-reconstruction": Bug(
        "The weight stands on the reconstruction, where it acts as a β below 1. Multiplied there or divided "
        "here, only the ratio of the two terms counts.",
        "Weight the KL term, and by 1 in this exercise.",
    ),
    "terms-multiplied": Bug(
        "The two terms are not added: how much the KL counts depends on the reconstruction.",
        "Add the two terms.",
    ),
    "loss-without-gradient": Bug(
        "What comes back holds no graph, so `backward` would find nothing to follow, and nothing would be learned.",
        "Give back the tensor itself: look for `.item()`, `.detach()`, `float()` or `no_grad`.",
    ),
    # z
    "std-is-exp-logvar": Bug(
        "exp(log σ²) is the variance σ². What scales ε is the standard deviation σ.",
        "σ is the square root of σ². Look for the factor that a root puts into the exponent.",
    ),
    "std-is-logvar": Bug(
        "The log-variance itself scales ε. It can be negative, and it is 0 where σ is 1.",
        "Turn log σ² into σ first.",
    ),
    "std-is-softplus": Bug(
        "Softplus is a good way to make a positive number, and with a KL term that takes it the same way it "
        "would be right. In this course the second output is log σ², and the KL term takes it so.",
        "Turn log σ² into σ as its name says.",
    ),
    "std-is-sqrt": Bug(
        "The second argument was taken for the variance. It is its logarithm, and may be negative.",
        "Undo the logarithm before, or instead of, the square root.",
    ),
    "std-ignored": Bug(
        "The spread of z does not depend on logvar, so the encoder's second output is never used.",
        "Scale ε with σ.",
    ),
    "std-sign": Bug(
        "The spread falls where the variance grows.", "Look at the sign in the exponent."
    ),
    "mu-sigma-exchanged": Bug(
        "μ scales the noise and σ shifts it.", "Exchange the two: μ shifts, σ scales."
    ),
    "noise-forgotten": Bug(
        "Then σ has no effect on the image, and the VAE is an autoencoder whose codes cost something. (At "
        "evaluation z = μ is a fair choice; this is the training's step.)",
        "Add σ·ε, with ε ~ N(0, 1).",
    ),
    "noise-uniform": Bug(
        "ε is uniform, not normal: `rand` for `randn`, for example. Then q(z|x) is no Gaussian, and the KL "
        "formula is that of another distribution.",
        "Draw ε from the standard normal.",
    ),
    "noise-not-normal": Bug(
        "ε has the mean and the spread of a standard normal, and another shape.",
        "Draw ε from the standard normal.",
    ),
    "noise-shifted": Bug(
        "ε has not the mean 0, so z lies beside μ on average.",
        "Draw ε from N(0, 1).",
    ),
    "mu-ignored": Bug(
        "The codes lie around 0 and not around μ, so all images share one place.",
        "Shift the noise by μ.",
    ),
    "noise-scale": Bug(
        "ε has the wrong standard deviation, so z has not the σ that the KL term charges for.",
        "Draw ε from N(0, 1), with nothing in front but σ.",
    ),
    "noise-one-for-batch": Bug(
        "Each image needs its own, or the batch's gradients share one error.",
        "Give ε the whole shape of σ.",
    ),
    "noise-one-for-latents": Bug(
        "So they move together. q(z|x) has independent latents.",
        "Give ε the whole shape of σ.",
    ),
    "noise-repeats": Bug(
        "Each call draws the same ε: the random numbers are seeded inside. The decoder then learns one fixed "
        "noise.",
        "Seed once, outside.",
    ),
    "gradient-to-mu-lost": Bug(
        "No gradient reaches μ through z, so the encoder never learns where to put an image.",
        "Look for `.detach()`, `.item()`, `.data` or `no_grad` on the way.",
    ),
    "gradient-to-sigma-lost": Bug(
        "No gradient reaches log σ² through z, so the encoder never learns how sure to be.",
        "Look for `.detach()`, `.item()`, `.data` or `no_grad` on the way.",
    ),
    "gradient-lost": Bug(
        "No gradient passes z: the encoder learns nothing from the image. `.sample()` does this, and so do "
        "`.detach()` and `no_grad`.",
        "Let the random part be ε alone, and compute z from μ, σ and ε.",
    ),
    # the encoder and the decoder
    "one-output": Bug(
        "A VAE's encoder describes a distribution, and a Gaussian needs two numbers for each latent.",
        "Return two tensors: mu and logvar.",
    ),
    "one-layer-for-both": Bug(
        "μ and log σ² come from the same layer, so they are the same numbers: an image at μ = 3 would be unsure, "
        "one at −3 sure.",
        "Give each its own layer.",
    ),
    "mu-logvar-exchanged": Bug(
        "Everything after it expects the mean first.",
        "Return mu first, then logvar.",
    ),
    "activation-on-mu": Bug(
        "A mean may be any number. This one is bent before it is returned, so some values cannot be reached.",
        "Return the layer's output as it is.",
    ),
    "activation-on-logvar": Bug(
        "A log-variance may be any number, which is why it is the log. This one is bent before it is returned; "
        "with a relu, for example, σ can never be below 1.",
        "Return the layer's output as it is.",
    ),
    "encode-random": Bug(
        "In evaluation mode the same image must get the same μ and log σ². The draw belongs into reparameterize. "
        "A dropout must be a layer, `nn.Dropout`, so that evaluation mode switches it off.",
        "Leave random numbers out of encode.",
    ),
    "fixed-batch": Bug(
        "It works for one batch size and not for another; the last batch of an epoch is a smaller one.",
        "Let the batch size be what it is: -1 stands for it in view and reshape.",
    ),
    "layout-mixed-up": Bug(
        "Exchanging two images of the batch does not exchange their results: rows were mixed.",
        "Look at each view and reshape: the first axis is the batch, and stays so.",
    ),
    "input-ignored": Bug(
        "Different inputs give the same output.", "Use the argument, and each layer's result."
    ),
    "no-sigmoid": Bug(
        "A probability lies between 0 and 1. (Numbers of any size, logits, are right with a loss that takes "
        "logits; here `decode` promises probabilities.)",
        "End in a sigmoid.",
    ),
    "softmax-over-pixels": Bug(
        "The pixels of an image add up to 1, as if only one of them could be lit.",
        "Each pixel has a probability of its own: end in a sigmoid.",
    ),
    "decode-without-gradient": Bug(
        "The encoder learns through z, and so the image must change smoothly with z.",
        "Look for a rounding, a threshold, `.detach()` or `no_grad`.",
    ),
    "decode-random": Bug(
        "Two calls with the same z give different images. A decoder gives p(x|z), the probabilities, which are "
        "the same each time; pixels are drawn from them elsewhere, if at all.",
        "Leave the drawing of random numbers to reparameterize.",
    ),
    # the training step
    "zero-grad-forgotten": Bug(
        "`backward` adds to the gradients that are there. Without clearing them each step follows the sum of all "
        "steps before.",
        "Clear the gradients once a step.",
    ),
    "step-before-backward": Bug(
        "The step is taken with the gradients of the batch before, or with none.",
        "First the loss, then its gradients, then the step.",
    ),
    "gradients-cleared-too-late": Bug(
        "The gradients are computed and cleared again before the step, so that nothing is learned.",
        "Clear them before `backward`, or after the step.",
    ),
    "backward-missing": Bug(
        "Without one the weights stay as they are.", "Call `backward` on the loss."
    ),
    "optimizer-ignored": Bug(
        "An optimizer made anew at each step forgets its running means, and a learning rate that was set "
        "elsewhere has no effect.",
        "Use the optimizer that is handed over.",
    ),
    "step-missing": Bug(
        "The gradients are there, and nobody uses them: the weights stay as they are.",
        "Let the optimizer take its step.",
    ),
    "step-uphill": Bug(
        "What is made smaller is not the loss that comes back: it grows. A minus before `backward` does this.",
        "Compute the gradients of the loss itself.",
    ),
    "steps-too-many": Bug("One call should take one step.", "Take one step for a batch."),
    "loss-keeps-graph": Bug(
        "The loss still holds the graph of its computation. Adding such losses up over an epoch keeps every "
        "batch's graph in memory.",
        "Return a plain number: `.item()` gives it.",
    ),
    "batch-ignored": Bug(
        "The loss is the same for two different batches, so x is not what is used.",
        "Use the argument x, not a variable from another cell.",
    ),
    "model-ignored": Bug(
        "The model that was handed over was never called.",
        "Use the arguments, not variables from another cell.",
    ),
    "images-not-flattened": Bug(
        "Images come out of the DataLoader as (B, 1, 28, 28), and the layers and the loss take (B, 784).",
        "Flatten them: `x.flatten(1)` or `x.view(-1, 784)`.",
    ),
    "code-from-other-arguments": Bug(
        "The code must be drawn from the q(z|x) that the KL term charges for.",
        "Hand mu and logvar to reparameterize, in this order.",
    ),
    "forward-wrong": Bug(
        "The loss needs all three: the reconstruction, mu and logvar.",
        "Return the reconstruction, mu and logvar, in this order.",
    ),
    # the mini project
    "grid-evenly-spaced": Bug(
        "The steps are equal in z. Then the outer pictures stand for codes that the prior almost never draws, "
        "and the crowded middle gets few.",
        "Make the steps equal in the share of the prior. The normal distribution's icdf turns shares into codes.",
    ),
    "grid-at-infinity": Bug(
        "The shares 0 and 1 lie at −∞ and ∞.", "Take the middle of each share: (i + ½) / side."
    ),
    "grid-turned": Bug(
        "The codes are right, in another order: the picture would be mirrored or turned beside the map.",
        "Row by row from the top: z[0] grows to the right, and z[1] falls downwards.",
    ),
    "plane-not-centred": Bug(
        "The directions were taken from 0 and not from the mean of the codes, so the first one points at the mean.",
        "Subtract the mean before you look for directions.",
    ),
    "plane-weakest": Bug(
        "These are not the directions in which the codes spread most. Some functions sort from small to large.",
        "Take the two directions of the largest variance, the larger one first.",
    ),
    "plane-not-orthonormal": Bug(
        "The two directions must be at right angles and of length 1, or a step in the plane is no step in z.",
        "Give back the unit vectors themselves, without their variance.",
    ),
    "walk-misses-the-end": Bug(
        "The path does not begin at the first point and end at the last.",
        "Let both ends count: torch.linspace does.",
    ),
    "walk-skips-points": Bug(
        "The path goes straight from the first point to the last, past those between.",
        "Go from each point to the next.",
    ),
    # the importance-weighted bound
    "bound-mean-of-logs": Bug(
        "The mean of the logarithms is an ELBO. However many codes you draw, it comes no nearer to log p(x).",
        "Average the weights first, and take the logarithm last.",
    ),
    "bound-codes-not-counted": Bug(
        "The weights are added up and not averaged, so the result grows by log k whatever the codes are, and can lie "
        "above log p(x).",
        "Ask what a sum has to be divided by to be a mean, and what that is in the logarithm.",
    ),
    "bound-best-code": Bug(
        "This is the largest weight alone. The mean of the weights is what estimates p(x).",
        "Let all codes of an image count.",
    ),
    "bound-wrong-axis": Bug(
        "There is one number for each code. Different images must not be mixed.",
        "Average over the codes of each image: check which axis is which.",
    ),
    "bound-sign": Bug(
        "The sign is turned: this is a loss, and the exercise asks for the bound.",
        "Turn the sign of the result.",
    ),
    "bound-no-logarithm": Bug(
        "This is the mean weight, an estimate of p(x). Asked for is its logarithm, in nats.",
        "Take the logarithm of the mean, without ever leaving the logarithms.",
    ),
    "bound-underflow": Bug(
        "The exponential of such a number is 0 on a computer, and its logarithm −∞. Images of 784 pixels have "
        "log-weights like these.",
        "PyTorch has a function for the logarithm of a sum of exponentials that avoids this.",
    ),
}

# What Python and PyTorch say when something classic went wrong, and what it means.
CLASSIC = (
    (
        ("mat1 and mat2 shapes",),
        "A layer got a tensor of another width than it was made for. Images must be flattened to (B, 784) before "
        "a linear layer, and each layer takes what the one before gives.",
    ),
    (
        (
            "must match the size of tensor",
            "shapes cannot be broadcast",
        ),
        "Two tensors of different shapes met in one operation. Print both shapes just before this line.",
    ),
    (
        ("modified by an inplace operation",),
        "A tensor that the gradient still needs was overwritten, by a method with _ at its end or by +=. Make a "
        "new tensor instead.",
    ),
    (
        ("leaf Variable that requires grad",),
        "A weight or an input was overwritten in place. Make a new tensor instead.",
    ),
    (
        (
            "must have the same dtype",
            "expected scalar type",
            "Found dtype",
        ),
        "float32 and float64 met. PyTorch makes float32, NumPy float64; `.float()` or dtype=mu.dtype brings them "
        "together.",
    ),
    (
        ("all elements of input should be between 0 and 1",),
        "The prediction of binary_cross_entropy must be a probability. Is it the first argument, and does the "
        "decoder end in a sigmoid?",
    ),
    (
        ("all elements of target should be between 0 and 1",),
        "The target of binary_cross_entropy must be an image in [0, 1]. Is it the second argument, and was it "
        "left as it is?",
    ),
    (
        ("invalid for input of size",),
        "A view or reshape asks for another number of elements than there are. Is a batch size written as a "
        "number?",
    ),
    (
        ("Boolean value of Tensor with more than one value",),
        "A tensor stands where one yes or no is asked for. `nn.ReLU(h)` makes a layer; `torch.relu(h)` applies it.",
    ),
    (
        ("can be converted to Python scalars",),
        "Functions of `math` take single numbers. `torch.exp` and its kin take tensors.",
    ),
    (("NoneType",), "Something is None: often a function whose `return` is missing."),
    (
        ("is not defined",),
        "Python does not know this name. Run the cell that defines it, look for a typing mistake, or for a "
        "`self.` that is missing in front of a layer.",
    ),
    (
        ("has no attribute",),
        "Look for a typing mistake in the name, and for a layer that __init__ does not make.",
    ),
    (
        ("does not require grad",),
        "The loss hangs on no weight: somewhere on the way the gradient was cut, by `.detach()`, `.item()` or "
        "`no_grad`.",
    ),
    (
        ("grad can be implicitly created only for scalar",),
        "`backward` starts from one number. Sum the loss over the batch first.",
    ),
    (
        ("backward through the graph a second time",),
        "The same graph was used twice. Compute the loss anew for each step.",
    ),
    (
        ("positional argument",),
        "The function takes another number of arguments than it is called with; the exercise says how.",
    ),
)

# More telling at each step; the last one stops short of the line itself.
HINTS = {
    "encode": (
        "The encoder is one hidden layer with two layers on top of it, side by side.",
        "The hidden layer is followed by a relu. The two layers on top are followed by nothing.",
        "Apply fc1 and torch.relu to x; call the result h. Return fc_mu of h and fc_logvar of h, as two tensors.",
    ),
    "decode": (
        "The decoder takes z alone: neither the image nor mu.",
        "Its last step makes each number a probability.",
        "fc_dec holds all the layers already, the sigmoid included. Apply it to z.",
    ),
    "reparameterize": (
        "z has three ingredients: μ, σ, and a random number ε that depends on neither.",
        "σ is the square root of σ², and logvar is the logarithm of σ². A square root is a ½ in the exponent.",
        "torch.randn_like(std) gives ε, one number for each entry. Scale it, shift it, and return it.",
    ),
    "kl_divergence": (
        "The KL divergence of one latent has three parts: one for the mean, one for σ², one for its logarithm.",
        "At μ = 0 and σ = 1 the divergence must be 0, and everywhere else above 0. Test your formula there.",
        "Lesson 03 derives ½ (μ² + σ² − 1 − log σ²). Get σ² from logvar, and add over the latents: dim=1.",
    ),
    "reconstruction_loss": (
        "The decoder gives a probability for each pixel. The loss says how badly these predict the image.",
        "torch.nn.functional has the binary cross-entropy. Its first argument is the prediction, its second the "
        "target.",
        "Its option `reduction` decides between a mean, a sum, and no reduction. Here all pixels of all images "
        "are added.",
    ),
    "loss_function": (
        "It is the sum of two terms that you have already written.",
        "Both must be summed over the batch in the same way, or a hidden weight stands between them.",
        "kl_divergence gives one number for each image. Add them up, and add the reconstruction loss.",
    ),
    "training_step": (
        "A step has an order: old gradients away, loss, new gradients, step.",
        "The model returns what the loss function takes, except for x.",
        "optimizer.zero_grad(), then the model, the loss, loss.backward(), optimizer.step(); and loss.item() is "
        "a plain number.",
    ),
    "vae": (
        "The class has four methods: encode, reparameterize, decode, and forward, which calls the other three.",
        "forward returns three tensors, in the order that the loss function takes them.",
        "In forward: encode the flattened image, draw z, decode it. Return the reconstruction, mu and logvar.",
    ),
    "prior_grid": (
        "Each row and each column of the grid stands for the same share of the prior: 1/side of it.",
        "torch.distributions.Normal(0.0, 1.0).icdf turns a share, such as 0.5, into a code, such as 0.",
        "Turn the shares (i + ½)/side into one list of numbers. Combine it with itself, the second coordinate "
        "flipped.",
    ),
    "principal_plane": (
        "You look for the two directions, at right angles, along which the codes spread most.",
        "torch.linalg.svd of the centred codes gives them, sorted from large to small.",
        "Of U, S, Vh the rows of Vh are the directions. Give back the mean, (D,), and the first two rows, (2, D).",
    ),
    "walk": (
        "Number the points 0, 1, 2, … and let a position run from 0 to the last number in equal steps.",
        "At the position 1.25 you are a quarter of the way from point 1 to point 2.",
        "Split each position into its whole part and the rest, and mix the two neighbouring points. At the very "
        "end there is no next point: clamp the whole part.",
    ),
    "importance_weighted": (
        "What is averaged are the weights themselves, and you are given their logarithms.",
        "The logarithm of a mean over k is the logarithm of a sum, less log k.",
        "torch.logsumexp(log_w, dim=0) adds the weights of each image, and gives the logarithm of the sum.",
    ),
}
