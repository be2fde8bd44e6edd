import { Failure } from '../kit/errors.ts';
import { firstUse, locate, type Path, placeOf, position, type Source, shortPath } from './sources.ts';

/** What Docker says about a project that it refuses, with the place in the user's files where that can be found. Pure. */
export function refusal(reason: string, sources: readonly Source[], files: readonly string[], folder: string): Failure {
  const required = /required variable (\S+) is missing a value(?::\s*(.*))?/.exec(reason);
  if (required) {
    const [, name = '', text] = required;
    const where = placeOfReason(reason, sources, folder) ?? firstUse(sources, name, folder);
    return new Failure('VARIABLE_UNSET', `the variable ${name} is needed and not set${text ? `: ${text}` : ''}`, {
      ...(where === undefined ? {} : { where }),
      next: `set ${name} in the environment, or in .env beside the compose file`,
      details: withPlace(where, linesOf(reason)),
    });
  }
  const where = placeOfReason(reason, sources, folder) ?? (files[0] === undefined ? undefined : shortPath(files[0], folder));
  return new Failure('PROJECT_INVALID', `Docker refuses the project: ${firstLine(reason)}`, {
    ...(where === undefined ? {} : { where }),
    next: 'correct the file; `docker compose config` says the same until it is accepted',
    details: withPlace(where, linesOf(reason)),
  });
}

function withPlace(where: string | undefined, lines: string[]): string[] {
  return lines.map((line, index) => (index === 0 && where !== undefined ? `${where}: ${line}` : line));
}

function linesOf(reason: string): string[] {
  return reason
    .split('\n')
    .map((line) => line.trim())
    .filter(Boolean)
    .slice(0, 12);
}

function firstLine(reason: string): string {
  const lines = linesOf(reason);
  return (lines[0]?.endsWith(':') && lines[1] ? `${lines[0]} ${lines[1]}` : lines[0]) ?? 'no reason given';
}

/** "file:line:column" of what the reason is about, as near as its words allow. */
export function placeOfReason(reason: string, sources: readonly Source[], folder: string): string | undefined {
  const syntax = syntaxPlace(reason, sources, folder);
  if (syntax !== undefined) return syntax;
  const named = sources.filter((source) => reason.includes(source.file));
  for (const among of named.length > 0 ? [named, sources] : [sources]) {
    for (const path of pathsIn(reason)) {
      const found = locate(among, path);
      if (found && (found.exact || path.length > 1)) return position(found.source, found.offset, folder);
    }
  }
  return quotedPlace(reason, sources, folder) ?? (named[0] && shortPath(named[0].file, folder));
}

/** A file that is no YAML: our own parser gives the column, which Docker does not; its line counts where both are silent. */
function syntaxPlace(reason: string, sources: readonly Source[], folder: string): string | undefined {
  if (!/\byaml\b|failed to parse|mapping key/i.test(reason)) return undefined;
  const mentioned = sources.filter((source) => reason.includes(source.file));
  const candidates = mentioned.length > 0 ? mentioned : sources;
  const line = Number(/line (\d+)/.exec(reason)?.[1]);
  if (/already defined/.test(reason) && line > 0 && candidates[0])
    return `${shortPath(candidates[0].file, folder)}:${line}:${firstColumn(candidates[0], line)}`;
  for (const source of candidates) {
    const error = source.document.errors[0];
    if (error) return position(source, Math.min(error.pos[0], source.text.length), folder);
  }
  const anchor = /unknown anchor '([^']+)'/.exec(reason)?.[1];
  for (const source of anchor === undefined ? [] : candidates) {
    const at = source.text.search(new RegExp(`\\*${escapePattern(anchor ?? '')}(?![\\w-])`));
    if (at >= 0) return position(source, at, folder);
  }
  const source = candidates.at(-1);
  if (source && line > 0) return `${shortPath(source.file, folder)}:${line}:${firstColumn(source, line)}`;
  return undefined;
}

function firstColumn(source: Source, line: number): number {
  return (source.text.split('\n')[line - 1]?.search(/\S/) ?? 0) + 1 || 1;
}

function escapePattern(text: string): string {
  return text.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&');
}

const ROOTS = 'services|networks|volumes|configs|secrets|include|models|name|version';

/** The paths of the model that a reason speaks of, the most telling first. */
export function pathsIn(reason: string): Path[] {
  const paths: Path[] = [];
  const text = reason.replaceAll(/'(\w+)\[([^\]]+)\]\./g, "'$1.$2.");
  const additional = /(?:validating [^:]+:)?\s*(\S*)\s+additional propert(?:y|ies) '?([^',\s]+)'?.* not allowed/i.exec(text);
  if (additional) paths.push([...splitPath(additional[1] ?? ''), additional[2] ?? '']);
  for (const match of text.matchAll(new RegExp(`(?:^|[\\s'":])((?:${ROOTS})(?:\\.[^\\s:'",]+|\\[[^\\]]+\\])+)`, 'g')))
    paths.push(splitPath(match[1] ?? ''));
  const extended = /cannot extend service "([^"]+)"/.exec(reason);
  if (extended?.[1]) paths.push(['services', extended[1], 'extends']);
  const service = /^\s*service "?([\w.-]+?)"?[: ]/m.exec(reason)?.[1];
  if (service) {
    for (const [words, field] of FIELDS) if (words.test(reason)) paths.push(['services', service, field]);
    paths.push(['services', service]);
  }
  return paths;
}

const FIELDS: [RegExp, string][] = [
  [/depends on/, 'depends_on'],
  [/undefined network/, 'networks'],
  [/undefined volume/, 'volumes'],
  [/undefined config/, 'configs'],
  [/undefined secret/, 'secrets'],
];

/** "services.web.ports.[0].target" and "services.web.ports[0]" as steps. */
function splitPath(text: string): (string | number)[] {
  return text
    .replace(/[.:]$/, '')
    .replaceAll(/\[([^\]]*)\]/g, '.$1')
    .split('.')
    .filter(Boolean)
    .map((step) => (/^\d+$/.test(step) ? Number(step) : step));
}

/** Where a name or value that the reason quotes stands in the files: a missing env file, a service in a cycle, a bad port. */
function quotedPlace(reason: string, sources: readonly Source[], folder: string): string | undefined {
  const cycle = /cycle detected: (\S+)/.exec(reason)?.[1];
  if (cycle) return placeOf(sources, ['services', cycle, 'depends_on'], folder);
  const words = [...reason.matchAll(/"([^"\s]+)"|'([^'\s]+)'|(\/[^\s:]+)|:\s+(\S+)$/gm)].flatMap((match) =>
    match.slice(1).filter((word) => word !== undefined),
  );
  for (const word of words) {
    const tail = word.includes('/') ? (word.split('/').at(-1) ?? word) : word;
    for (const source of sources.toReversed()) {
      if (tail.length < 2 || source.file === word) continue;
      const at = source.text.search(new RegExp(`(?<![\\w.-])${escapePattern(tail)}(?![\\w-])`));
      if (at >= 0) return position(source, at, folder);
    }
  }
  return undefined;
}
