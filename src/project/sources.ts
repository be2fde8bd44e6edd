import { dirname, relative, resolve } from 'node:path';
import { type Document, isAlias, isMap, isPair, isScalar, isSeq, LineCounter, type Node, parseDocument } from 'yaml';
import { readFileIfThere } from '../kit/files.ts';

/** One YAML file of the project, parsed for positions only: what it means is Compose's business. */
export interface Source {
  file: string;
  text: string;
  document: Document;
  lines: LineCounter;
}

export type Path = readonly (string | number)[];

export interface Found {
  source: Source;
  /** Where the key stands; for an item of a list, the item. */
  offset: number;
  node: Node | undefined;
  /** The whole path was found; otherwise this is its nearest ancestor. */
  exact: boolean;
}

export function parseSource(file: string, text: string): Source {
  const lines = new LineCounter();
  return { file, text, lines, document: parseDocument(text, { lineCounter: lines, uniqueKeys: false, logLevel: 'silent' }) };
}

/**
 * The project's files in merge order, preceded by what they bring in with `include` and `extends` (as far as that is
 * said in plain paths). Files that are not there are left out: Compose reports them.
 */
export async function readSources(files: readonly string[]): Promise<Source[]> {
  const sources: Source[] = [];
  const seen = new Set<string>();
  async function add(file: string): Promise<void> {
    if (seen.has(file)) return;
    seen.add(file);
    const text = await readFileIfThere(file).catch(() => undefined);
    if (text === undefined) return;
    const source = parseSource(file, text);
    for (const other of referencedFiles(source)) await add(other);
    sources.push(source);
  }
  for (const file of files) await add(file);
  return sources;
}

function referencedFiles(source: Source): string[] {
  const root = source.document.contents;
  const found: string[] = [];
  const addText = (node: unknown): void => {
    if (isScalar(node) && typeof node.value === 'string' && !node.value.includes('$'))
      found.push(resolve(dirname(source.file), node.value));
    if (isSeq(node)) for (const item of node.items) addText(item);
  };
  if (!isMap(root)) return found;
  const include = root.get('include', true);
  if (isSeq(include)) for (const item of include.items) addText(isMap(item) ? item.get('path', true) : item);
  const services = root.get('services', true);
  if (isMap(services)) {
    for (const pair of services.items) {
      const extended = isMap(pair.value) ? pair.value.get('extends', true) : undefined;
      if (isMap(extended)) addText(extended.get('file', true));
    }
  }
  return found;
}

/** Where a path of the merged model is written: in the last file that has it. Undefined when no file has even its first part. */
export function locate(sources: readonly Source[], path: Path): Found | undefined {
  let best: { found: Found; depth: number } | undefined;
  for (const source of sources.toReversed()) {
    const { found, depth } = walk(source, path);
    if (found?.exact) return found;
    if (found && (!best || depth > best.depth)) best = { found, depth };
  }
  const extended = path[0] === 'services' && path.length > 2 ? extendedService(sources, String(path[1])) : undefined;
  if (extended !== undefined && extended !== path[1]) {
    const found = locate(sources, ['services', extended, ...path.slice(2)]);
    if (found?.exact) return found;
  }
  return best?.found;
}

function extendedService(sources: readonly Source[], service: string): string | undefined {
  for (const source of sources.toReversed()) {
    const node = walk(source, ['services', service, 'extends']).found;
    if (!node?.exact) continue;
    if (isScalar(node.node)) return String(node.node.value);
    const name = isMap(node.node) ? node.node.get('service') : undefined;
    if (typeof name === 'string') return name;
  }
  return undefined;
}

function walk(source: Source, path: Path): { found: Found | undefined; depth: number } {
  let node: Node | undefined = source.document.contents ?? undefined;
  let found: Found | undefined;
  let depth = 0;
  for (const step of path) {
    const next = child(source, node, step);
    if (!next) return { found: found ? { ...found, exact: false } : undefined, depth };
    node = next.node;
    depth++;
    found = { source, offset: next.offset, node: node && resolved(source, node), exact: true };
  }
  return { found, depth };
}

function resolved(source: Source, node: Node): Node | undefined {
  return isAlias(node) ? node.resolve(source.document) : node;
}

function child(source: Source, node: Node | undefined, step: string | number): { node: Node | undefined; offset: number } | undefined {
  const parent = node && resolved(source, node);
  if (isSeq(parent) && typeof step === 'number') {
    const item = parent.items[step] as Node | undefined;
    return item ? { node: item, offset: item.range?.[0] ?? 0 } : undefined;
  }
  if (!isMap(parent)) return undefined;
  for (const pair of parent.items) {
    if (isPair(pair) && isScalar(pair.key) && String(pair.key.value) === String(step)) {
      return { node: (pair.value as Node | null) ?? undefined, offset: pair.key.range?.[0] ?? 0 };
    }
  }
  // A merge key brings in what an anchor defines elsewhere in the file.
  for (const pair of parent.items) {
    if (!isScalar(pair.key) || pair.key.value !== '<<') continue;
    const merged = isSeq(pair.value) ? pair.value.items : [pair.value];
    for (const item of merged) {
      const inside = child(source, item as Node, step);
      if (inside) return inside;
    }
  }
  return undefined;
}

/** "file:line:column", the file relative to `folder` when it lies inside it. */
export function position(source: Source, offset: number, folder: string): string {
  const { line, col } = source.lines.linePos(offset);
  return `${shortPath(source.file, folder)}:${line}:${col}`;
}

export function shortPath(file: string, folder: string): string {
  const inside = relative(folder, file);
  return inside && !inside.startsWith('..') ? inside : file;
}

/** Where a path stands, as "file:line:column", or the nearest ancestor's; undefined when nothing is found. */
export function placeOf(sources: readonly Source[], path: Path, folder: string): string | undefined {
  const found = locate(sources, path);
  return found && position(found.source, found.offset, folder);
}

/** What a scalar looks like in the file, before variables are filled in: safe to show. Undefined for anything else. */
export function sourceText(sources: readonly Source[], path: Path): string | undefined {
  const found = locate(sources, path);
  return found?.exact && isScalar(found.node) ? String(found.node.value) : undefined;
}

/** Where a variable is used first, "$NAME" or "${NAME…}"; escaped dollars and comment lines do not count. */
export function firstUse(sources: readonly Source[], name: string, folder: string): string | undefined {
  const use = new RegExp(`(?<!\\$)(?:\\$\\$)*\\$(?:\\{${name}(?![A-Za-z0-9_])|${name}(?![A-Za-z0-9_]))`, 'g');
  for (const source of sources) {
    for (const match of source.text.matchAll(use)) {
      const lineStart = source.text.lastIndexOf('\n', match.index) + 1;
      const before = source.text.slice(lineStart, match.index);
      if (/^\s*#|\s#/.test(before)) continue;
      return position(source, match.index, folder);
    }
  }
  return undefined;
}
