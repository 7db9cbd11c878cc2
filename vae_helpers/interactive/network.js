// A fully connected network in the page: its arithmetic, forward and back, and what a picture costs in nats.

/** float16 numbers, little-endian in a DataView, as a Float32Array. */
export function fromHalf(view) {
  const found = new Float32Array(view.byteLength >> 1);
  for (let i = 0; i < found.length; i++) {
    const bits = view.getUint16(2 * i, true);
    const exponent = (bits >> 10) & 31;
    const fraction = bits & 1023;
    const size = exponent === 0 ? fraction * 2 ** -24 : exponent === 31 ? (fraction ? NaN : Infinity) : (1 + fraction / 1024) * 2 ** (exponent - 15);
    found[i] = bits & 32768 ? -size : size;
  }
  return found;
}

/** What one layer makes of a vector. A layer is ["linear", inputs, outputs, place of its weights], or an activation's name. */
function step([kind, inputs, outputs, start], weights, values) {
  if (kind === "linear") {
    const found = new Float32Array(outputs);
    const biases = start + inputs * outputs;
    for (let row = 0, at = start; row < outputs; row++) {
      let sum = weights[biases + row];
      for (let column = 0; column < inputs; column++) sum += weights[at++] * values[column];
      found[row] = sum;
    }
    return found;
  }
  if (kind === "relu") return values.map((v) => (v > 0 ? v : 0));
  if (kind === "sigmoid") return values.map((v) => 1 / (1 + Math.exp(-v)));
  if (kind === "tanh") return values.map(Math.tanh);
  throw new Error(`There is no layer ${kind}.`);
}

/** Run layers on a vector. */
export function run(layers, weights, input) {
  return layers.reduce((values, layer) => step(layer, weights, values), input);
}

/** The input, and the values after each layer. */
export function trace(layers, weights, input) {
  const values = [input];
  for (const layer of layers) values.push(step(layer, weights, values.at(-1)));
  return values;
}

/** The gradients of a number with respect to the values of a trace, where `last` is that for the last of them. */
export function back(layers, weights, values, last) {
  const gradients = [last];
  for (let i = layers.length - 1; i >= 0; i--) {
    const [[kind, inputs, outputs, start], after, gradient] = [layers[i], values[i + 1], gradients[0]];
    if (kind === "linear") {
      const found = new Float32Array(inputs);
      for (let row = 0, at = start; row < outputs; row++) for (let column = 0; column < inputs; column++) found[column] += weights[at++] * gradient[row];
      gradients.unshift(found);
    } else {
      const slopes = { relu: (v) => Number(v > 0), sigmoid: (v) => v * (1 - v), tanh: (v) => 1 - v * v };
      gradients.unshift(gradient.map((g, k) => g * slopes[kind](after[k])));
    }
  }
  return gradients;
}

/** -log p(x|z) of pixels that are Bernoulli with these probabilities, in nats. */
export function reconstruction(probabilities, x) {
  let nats = 0;
  for (let i = 0; i < x.length; i++) {
    const p = Math.min(Math.max(probabilities[i], 1e-7), 1 - 1e-7);
    nats -= x[i] * Math.log(p) + (1 - x[i]) * Math.log(1 - p);
  }
  return nats;
}

/** KL(N(mu, exp(logvar)) || N(0, I)) in nats, latent by latent. */
export function divergences(mu, logvar) {
  return mu.map((m, d) => 0.5 * (m * m + Math.exp(logvar[d]) - 1 - logvar[d]));
}

/** The same for all latents together. */
export function divergence(mu, logvar) {
  return divergences(mu, logvar).reduce((sum, part) => sum + part, 0);
}

export function normal() {
  return Math.sqrt(-2 * Math.log(1 - Math.random())) * Math.cos(2 * Math.PI * Math.random());
}
