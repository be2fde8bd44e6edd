/** Numbers in [0, 1) from a seed, the same on every machine (sfc32, started from the seed by splitmix32). */
export function seededRandom(seed: number): () => number {
  let state = seed >>> 0;
  const next = (): number => {
    state = (state + 0x9e3779b9) >>> 0;
    let z = state;
    z = Math.imul(z ^ (z >>> 16), 0x21f0aaad);
    z = Math.imul(z ^ (z >>> 15), 0x735a2d97);
    return (z ^ (z >>> 15)) >>> 0;
  };
  let a = next();
  let b = next();
  let c = next();
  let counter = 1;
  const draw = (): number => {
    const sum = (a + b + counter) >>> 0;
    counter = (counter + 1) >>> 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) >>> 0;
    c = ((c << 21) | (c >>> 11)) >>> 0;
    c = (c + sum) >>> 0;
    return sum / 2 ** 32;
  };
  for (let index = 0; index < 12; index += 1) draw();
  return draw;
}

export const exponential = (random: () => number, mean: number): number => -mean * Math.log(1 - random());

/** Pareto with the given mean; `alpha` above 1, the smaller the heavier its tail. No value above `cap`. */
export function pareto(random: () => number, mean: number, alpha: number, cap: number): number {
  const least = (mean * (alpha - 1)) / alpha;
  return Math.min(cap, least / (1 - random()) ** (1 / alpha));
}
