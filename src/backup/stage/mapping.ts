/** Values of a Compose model, whatever they are. */
export type Mapping = Record<string, unknown>;

/** Empty for what is none. */
export const mapping = (value: unknown): Mapping =>
  typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Mapping) : {};

export const list = (value: unknown): Mapping[] => (Array.isArray(value) ? value.map(mapping) : []);
