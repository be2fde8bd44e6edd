import type { z } from 'zod';
import { keyJsonSchema } from './schema.ts';
import { locate, type Path, position, type Source, sourceText } from './sources.ts';
import { closest } from './suggest.ts';

/** One thing wrong in our keys. */
export interface Problem {
  /** From the root of the compose model. */
  path: Path;
  message: string;
}

export interface PlacedProblem {
  /** "file:line:column". */
  where: string;
  message: string;
}

/** Checks one of our keys; every problem found goes into `problems`, and then there is no value. */
export function checkKey<T extends z.ZodType>(
  schema: T,
  value: unknown,
  path: Path,
  sources: readonly Source[],
  problems: Problem[],
): z.output<T> | undefined {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  for (const issue of result.error.issues) problems.push(...explain(issue, value, path, schema, sources));
  return undefined;
}

function explain(
  issue: z.core.$ZodIssue,
  value: unknown,
  base: Path,
  schema: z.ZodType,
  sources: readonly Source[],
  inner: Path = [],
): Problem[] {
  const path = [...inner, ...issue.path] as (string | number)[];
  const full = [...base, ...path];
  if ((issue.code === 'invalid_type' || issue.code === 'invalid_union') && at(value, path) === undefined) {
    return [{ path: full, message: `${fieldName(full.slice(0, -1))} needs the field "${String(full.at(-1))}"` }];
  }
  if (issue.code === 'invalid_union') {
    return bestBranch(issue.errors, at(value, path)).flatMap((one) => explain(one, value, base, schema, sources, path));
  }
  if (issue.code === 'unrecognized_keys') {
    const known = knownFields(keyJsonSchema(schema), path);
    return issue.keys.map((key) => {
      const guess = closest(key, known);
      const hint = guess ? `did you mean "${guess}"?` : `known fields: ${known.join(', ')}`;
      return { path: [...full, key], message: `${fieldName(full)} has no field "${key}"; ${hint}` };
    });
  }
  return [{ path: full, message: `${fieldName(full)}: ${expectation(issue)}${foundText(sources, full)}` }];
}

/** Our own scalars say themselves what they expect. */
function expectation(issue: z.core.$ZodIssue): string {
  if (issue.code !== 'invalid_type' || issue.message.startsWith('expected')) return issue.message;
  return `expected ${TYPES[issue.expected] ?? issue.expected}`;
}

const TYPES: Record<string, string> = {
  object: 'a mapping',
  array: 'a list',
  string: 'a text',
  number: 'a number',
  boolean: 'true or false',
};

/** What the file says there. Variables stay as written: what they hold may be secret. */
function foundText(sources: readonly Source[], path: Path): string {
  const text = sourceText(sources, path);
  if (text === undefined) return '';
  return text === '' || text === 'null' ? ', found nothing' : `, found "${text.length > 60 ? `${text.slice(0, 60)}…` : text}"`;
}

/** Of the forms that a field may have, the one that was meant: the one whose type the value has. */
function bestBranch(branches: readonly (readonly z.core.$ZodIssue[])[], value: unknown): readonly z.core.$ZodIssue[] {
  const typed = branches.filter((issues) => !issues.some((issue) => issue.path.length === 0 && issue.code === 'invalid_type'));
  const found = typed.find((issues) => issues.every((issue) => issue.code !== 'invalid_union')) ?? typed[0];
  if (found) return found;
  const forms = new Set(branches.flat().map((issue) => expectation(issue).replace(/^expected /, '')));
  return [{ code: 'custom', path: [], message: `expected ${[...forms].join(', or ')}`, input: value }];
}

function at(value: unknown, path: Path): unknown {
  return path.reduce<unknown>(
    (inside, step) => (inside !== null && typeof inside === 'object' ? (inside as Record<string | number, unknown>)[step] : undefined),
    value,
  );
}

/** The fields that a mapping at `path` below a key may have. */
export function knownFields(schema: z.core.JSONSchema.JSONSchema, path: Path): string[] {
  let forms = [schema];
  for (const step of path) {
    forms = forms.flatMap(alternatives).flatMap((form) => {
      const next = typeof step === 'number' ? form.items : form.properties?.[step];
      return next && typeof next === 'object' && !Array.isArray(next) ? [next as z.core.JSONSchema.JSONSchema] : [];
    });
  }
  return [...new Set(forms.flatMap(alternatives).flatMap((form) => Object.keys(form.properties ?? {})))];
}

function alternatives(schema: z.core.JSONSchema.JSONSchema): z.core.JSONSchema.JSONSchema[] {
  return [schema, ...((schema.anyOf ?? []) as z.core.JSONSchema.JSONSchema[]).flatMap(alternatives)];
}

/** A path as a person writes it: services.api.x-edge[1].health → "x-edge[1].health of service api". */
export function fieldName(path: Path): string {
  const inService = path[0] === 'services' && path.length > 2;
  const rest = inService ? path.slice(2) : path;
  const text = rest.map((step, index) => (typeof step === 'number' ? `[${step}]` : index === 0 ? step : `.${step}`)).join('');
  return inService ? `${text} of service ${path[1]}` : text;
}

/** Problems with their places, in the order of the files and lines. */
export function placeProblems(problems: readonly Problem[], sources: readonly Source[], folder: string): PlacedProblem[] {
  const placed = problems.map(({ path, message }) => {
    const found = locate(sources, path);
    return {
      where: found ? position(found.source, found.offset, folder) : fieldName(path),
      message,
      file: found ? sources.indexOf(found.source) : sources.length,
      offset: found?.offset ?? 0,
    };
  });
  return placed.sort((a, b) => a.file - b.file || a.offset - b.offset).map(({ where, message }) => ({ where, message }));
}
