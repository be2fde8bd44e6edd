import { parseQuantity } from './fields.ts';

/** Where a number is in an answer: KEDA's valueLocation, less the queries of GJSON. */

/** The steps of a path, or what is wrong with it. "a.b\.c.0.#": names, indices, and the length of a list at the end. */
export function parsePath(path: string): string[] | string {
  const steps = [''];
  for (const [sign] of path.matchAll(/\\.|./gs)) {
    if (sign === '.') steps.push('');
    else steps[steps.length - 1] += sign;
  }
  if (steps.some((step) => step === '')) return `${JSON.stringify(path)} has an empty name between its dots`;
  // GJSON's wildcards, modifiers, queries and lists of paths.
  const foreign = steps
    .map((step) => step.replace(/\\./g, ''))
    .find((step, index) => /[*?|@!{}[\]()]/.test(step) || (step.includes('#') && (step !== '#' || index !== steps.length - 1)));
  if (foreign !== undefined) return `${JSON.stringify(foreign)} is not supported: names, indices and a last # are`;
  return steps.map((step) => step.replace(/\\(.)/g, '$1'));
}

export function valueAtPath(document: unknown, path: string): number {
  const steps = parsePath(path);
  if (typeof steps === 'string') throw new Error(steps);
  let here = document;
  for (const [index, step] of steps.entries()) {
    if (Array.isArray(here) && step === '#' && index === steps.length - 1) return here.length;
    const there = Array.isArray(here) ? (/^\d+$/.test(step) ? here[Number(step)] : undefined) : own(here, step);
    if (there === undefined) throw new Error(`the answer has no ${steps.slice(0, index + 1).join('.')}`);
    here = there;
  }
  const value = typeof here === 'string' ? parseQuantity(here) : here;
  if (typeof value === 'number' && Number.isFinite(value)) return value;
  throw new Error(`${path} is ${kindOf(here)}, not a number`);
}

function own(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null && Object.hasOwn(value, name) ? (value as Record<string, unknown>)[name] : undefined;
}

function kindOf(value: unknown): string {
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'a list';
  return typeof value === 'object' ? 'an object' : typeof value === 'string' ? 'a text' : `${value}`;
}

export interface MetricSelector {
  name: string;
  labels: Record<string, string>;
}

const NAME = '[a-zA-Z_:][a-zA-Z0-9_:]*';
const LABEL = '[a-zA-Z_][a-zA-Z0-9_]*\\s*=\\s*"(?:\\\\.|[^"\\\\])*"';
const LABELS = `\\{\\s*(?:${LABEL}\\s*(?:,\\s*${LABEL}\\s*)*,?\\s*)?\\}`;

/** `name{label="value"}`, or what is wrong with it. */
export function parseMetricSelector(text: string): MetricSelector | string {
  const match = new RegExp(`^\\s*(${NAME})\\s*(${LABELS})?\\s*$`).exec(text);
  if (!match) return 'expected a metric, with labels that are compared by = if it has any: jobs{queue="mail"}';
  return { name: match[1] as string, labels: labelsOf(match[2] ?? '') };
}

function labelsOf(text: string): Record<string, string> {
  const pairs = [...text.matchAll(/([a-zA-Z_][a-zA-Z0-9_]*)\s*=\s*"((?:\\.|[^"\\])*)"/g)];
  return Object.fromEntries(
    pairs.map(([, name, value = '']) => [name, value.replace(/\\(.)/g, (_, next) => (next === 'n' ? '\n' : next))]),
  );
}

/** The first sample of a Prometheus exposition that has the selector's name and labels. */
export function valueAtMetric(body: string, location: string): number {
  const selector = parseMetricSelector(location);
  if (typeof selector === 'string') throw new Error(selector);
  const sample = new RegExp(`^(${NAME})\\s*(${LABELS})?\\s+(\\S+)(?:\\s+-?[\\d.]+)?\\s*$`);
  for (const line of body.split('\n')) {
    const match = sample.exec(line.trim());
    if (match?.[1] !== selector.name) continue;
    const labels = labelsOf(match[2] ?? '');
    if (!Object.entries(selector.labels).every(([name, value]) => labels[name] === value)) continue;
    const value = Number(match[3]);
    if (!Number.isFinite(value)) throw new Error(`${location} is ${match[3]}`);
    return value;
  }
  throw new Error(`the answer has no ${location}`);
}
