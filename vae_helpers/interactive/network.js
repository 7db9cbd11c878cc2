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

/** Run layers on a vector. A layer is ["linear", inputs, outputs, place of its weights], or the name of an activation. */
export function run(layers, weights, input) {
  let values = input;
  for (const [kind, inputs, outputs, start] of layers) {
    if (kind === "linear") {
      const found = new Float32Array(outputs);
      const biases = start + inputs * outputs;
      for (let row = 0, at = start; row < outputs; row++) {
        let sum = weights[biases + row];
        for (let column = 0; column < inputs; column++) sum += weights[at++] * values[column];
        found[row] = sum;
      }
      values = found;
    } else if (kind === "relu") {
      values = values.map((v) => (v > 0 ? v : 0));
    } else if (kind === "sigmoid") {
      values = values.map((v) => 1 / (1 + Math.exp(-v)));
    } else if (kind === "tanh") {
      values = values.map(Math.tanh);
    } else {
      throw new Error(`There is no layer ${kind}.`);
    }
  }
  return values;
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

/** KL(N(mu, exp(logvar)) || N(0, I)), in nats. */
export function divergence(mu, logvar) {
  return mu.reduce((sum, m, d) => sum + 0.5 * (m * m + Math.exp(logvar[d]) - 1 - logvar[d]), 0);
}

export function normal() {
  return Math.sqrt(-2 * Math.log(1 - Math.random())) * Math.cos(2 * Math.PI * Math.random());
}
