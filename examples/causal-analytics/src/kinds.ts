/** The tiers, their kinds of jobs, and the parameters of each with default and limits. */
export const kinds = {
  light: {
    rollup: { days: [30, 1, 365] },
  },
  medium: {
    refutation: {
      individuals: [2_000, 50, 200_000],
      effect: [2, -100, 100],
      bootstraps: [200, 10, 100_000],
      placebos: [100, 10, 100_000],
      seed: [1, 0, 2 ** 48],
    },
  },
  heavy: {
    shapley: {
      rows: [20, 1, 100_000],
      features: [6, 2, 20],
      background: [100, 1, 1_000],
      permutations: [64, 1, 10_000],
      seed: [1, 0, 2 ** 48],
    },
    twins: { count: [100_000, 1, 1_000_000], seed: [1, 0, 2 ** 48], store: [0, 0, 1] },
  },
} as const satisfies Record<string, Record<string, Record<string, readonly [fallback: number, least: number, most: number]>>>;

export type Tier = keyof typeof kinds;
export type Params = Record<string, number>;

export const tiers = Object.keys(kinds) as Tier[];

/** Checks a request for a job and fills in defaults; returns what is wrong as a sentence. */
export function readJobRequest(body: unknown): { tier: Tier; kind: string; params: Params } | string {
  if (typeof body !== 'object' || body === null) return 'expected {"tier", "kind", "params"}';
  const { tier, kind, params = {} } = body as { tier?: unknown; kind?: unknown; params?: unknown };
  if (typeof tier !== 'string' || !Object.hasOwn(kinds, tier)) return `tier must be one of ${tiers.join(', ')}`;
  const offered: Record<string, Record<string, readonly [number, number, number]>> = kinds[tier as Tier];
  if (typeof kind !== 'string' || !Object.hasOwn(offered, kind))
    return `kind of tier ${tier} must be one of ${Object.keys(offered).join(', ')}`;
  if (typeof params !== 'object' || params === null) return 'params must be an object of numbers';
  const known = offered[kind] ?? {};
  const unknown = Object.keys(params).find((name) => !Object.hasOwn(known, name));
  if (unknown !== undefined) return `${kind} has no parameter ${unknown}; it has ${Object.keys(known).join(', ')}`;
  const filled: Params = {};
  for (const [name, [fallback, least, most]] of Object.entries(known)) {
    const given = (params as Record<string, unknown>)[name] ?? fallback;
    const value = typeof given === 'boolean' ? Number(given) : given;
    if (typeof value !== 'number' || !(value >= least && value <= most)) return `${name} must be a number from ${least} to ${most}`;
    if (name !== 'effect' && !Number.isInteger(value)) return `${name} must be a whole number`;
    filled[name] = value;
  }
  return { tier: tier as Tier, kind, params: filled };
}
