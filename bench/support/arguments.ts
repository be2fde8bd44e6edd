import { parseArgs } from 'node:util';

export interface BenchArguments {
  json: string | undefined;
  /** A whole number given as --<name>, or its default. */
  count(name: string): number;
  /** A list given as --<name> a,b, or its default. */
  list(name: string): string[];
}

/** Reads a measurement's command line: --json FILE and the named values, each with its default. A wrong one ends the process with 2. */
export function readArguments(defaults: Record<string, string>): BenchArguments {
  const options = Object.fromEntries([...Object.keys(defaults), 'json'].map((name) => [name, { type: 'string' as const }]));
  let values: Record<string, string | boolean | undefined> = {};
  try {
    ({ values } = parseArgs({ options }));
  } catch (error) {
    refuse((error as Error).message, defaults);
  }
  const text = (name: string): string => String(values[name] ?? defaults[name]);
  return {
    json: values.json === undefined ? undefined : String(values.json),
    count(name) {
      const value = Number(text(name));
      if (!Number.isInteger(value) || value < 0) refuse(`--${name} takes a whole number`, defaults);
      return value;
    },
    list: (name) => text(name).split(',').filter(Boolean),
  };
}

function refuse(reason: string, defaults: Record<string, string>): never {
  const known = Object.entries(defaults).map(([name, value]) => `--${name} ${value}`);
  process.stderr.write(`${reason}\noptions: ${[...known, '--json FILE'].join(', ')}\n`);
  process.exit(2);
}
