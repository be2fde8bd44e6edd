import { z } from 'zod';
import { parseDurationMs } from './duration.ts';

/**
 * Scalars of the keys that people write in their compose file. Variables are filled in by Compose as text, so every number and switch is
 * taken as text too.
 */

/** A scalar written as text (or a bare number or switch) and turned into what the program works with. */
export function scalar<T>(
  expected: string,
  read: (text: string) => T | undefined,
  kinds: 'text' | 'number' | 'switch' = 'text',
  form = kinds === 'switch' ? 'true or false' : kinds,
) {
  const error = `expected ${expected}`;
  const words = z.string({ error });
  const input =
    kinds === 'number' ? z.union([z.number({ error }), words]) : kinds === 'switch' ? z.union([z.boolean({ error }), words]) : words;
  return (input as z.ZodType<string | number | boolean>)
    .transform((value, context): T => {
      const result = read(String(value));
      if (result !== undefined) return result;
      context.addIssue({ code: 'custom', message: `expected ${expected}` });
      return z.NEVER;
    })
    .meta({ form });
}

const whole = (min: number, max: number) => (text: string) => {
  const value = Number(text);
  return /^\d+$/.test(text) && value >= min && value <= max ? value : undefined;
};

export const duration = () => scalar('a duration with its unit, such as 15s or 1m30s', parseDurationMs, 'text', 'duration');
export const port = () => scalar('a port number from 1 to 65535', whole(1, 65_535), 'number');
export const count = (min: number, max = 1_000_000_000) => scalar(`a whole number, at least ${min}`, whole(min, max), 'number');
export const share = (min: number, max: number) =>
  scalar(
    `a number from ${min} to ${max}`,
    (text) => {
      const value = Number(text);
      return text.trim() !== '' && value >= min && value <= max ? value : undefined;
    },
    'number',
  );
export const flag = () => scalar('true or false', (text) => (text === 'true' ? true : text === 'false' ? false : undefined), 'switch');
export const word = <T extends string>(...words: T[]) =>
  scalar(
    words.map((one) => `"${one}"`).join(' or '),
    (text) => ((words as string[]).includes(text) ? (text as T) : undefined),
    'text',
    words.map((one) => `\`${one}\``).join(' or '),
  );

/** "10m" in bytes: b, k, m, g and kb, mb, gb, powers of 1024, as Compose writes sizes. */
export function parseSize(text: string): number | undefined {
  const match = /^(\d+(?:\.\d+)?)\s*([bkmg]?)b?$/i.exec(text);
  if (!match) return undefined;
  const power = ['', 'k', 'm', 'g'].indexOf((match[2] ?? '').toLowerCase().replace('b', ''));
  return Math.round(Number(match[1]) * 1024 ** power);
}
export const size = () => scalar('a size such as 10m or 512k', parseSize, 'number', 'size');

export const text = (expected: string) => scalar(expected, (value) => (value.trim() === '' || /[\n\r]/.test(value) ? undefined : value));
