/** A source of random numbers that gives the same sequence for the same seed on every machine. */
export interface Random {
  /** Uniform in [0, 1). */
  uniform(): number;
  /** Standard normal. */
  normal(): number;
  /** Whole number in [0, below). */
  below(below: number): number;
  /** Shuffles in place, every order equally likely. */
  shuffle<T extends { length: number; [index: number]: number }>(items: T): T;
}

/** sfc32 behind a seed of any whole number; fast, 128 bits of state, good enough for simulation and not for secrets. */
export function createRandom(seed: number): Random {
  let a = seed >>> 0;
  let b = Math.floor(seed / 2 ** 32) >>> 0;
  let c = 0x9e3779b9;
  let counter = 1;
  let spare: number | undefined;

  function next(): number {
    const result = (a + b + counter) >>> 0;
    counter = (counter + 1) >>> 0;
    a = (b ^ (b >>> 9)) >>> 0;
    b = (c + (c << 3)) >>> 0;
    c = (((c << 21) | (c >>> 11)) + result) >>> 0;
    return result;
  }
  // Neighbouring seeds start with nearly the same state: the first outputs mix it.
  for (let i = 0; i < 16; i++) next();

  const uniform = () => next() / 2 ** 32;
  return {
    uniform,
    normal() {
      if (spare !== undefined) {
        const value = spare;
        spare = undefined;
        return value;
      }
      // Marsaglia's polar method: two normals from one accepted point.
      for (;;) {
        const u = 2 * uniform() - 1;
        const v = 2 * uniform() - 1;
        const square = u * u + v * v;
        if (square === 0 || square >= 1) continue;
        const factor = Math.sqrt((-2 * Math.log(square)) / square);
        spare = v * factor;
        return u * factor;
      }
    },
    below: (below) => Math.floor(uniform() * below),
    shuffle(items) {
      for (let i = items.length - 1; i > 0; i--) {
        const j = Math.floor(uniform() * (i + 1));
        const held = items[i] as number;
        items[i] = items[j] as number;
        items[j] = held;
      }
      return items;
    },
  };
}
