/**
 * What a store leaves out, in restic's patterns with the store's folder as their root: "cache" is anything of that name, "/cache" only the one
 * directly in the folder, "**" any number of folders; "!" takes back.
 */

/**
 * The patterns for `restic backup --exclude`. restic compares with the whole path on the host, where the bare pattern "volumes" would match
 * /var/lib/docker/volumes and leave out everything. Pure.
 */
export function resticExcludes(folder: string, patterns: readonly string[]): string[] {
  const root = folder === '/' ? '' : literalPattern(folder);
  return patterns.map((pattern) => {
    const { isNegated, body, isAnchored } = read(pattern);
    return `${isNegated ? '!' : ''}${root}${isAnchored ? '' : '/**'}/${body}`;
  });
}

/** The pattern that matches this text and nothing else. Pure. */
export const literalPattern = (path: string): string => path.replace(/[\\*?[]/g, '\\$&');

/** Whether restic would leave out a path, relative to the folder, with those patterns. Pure. */
export function excluder(patterns: readonly string[]): (path: string) => boolean {
  const compiled = patterns.map((pattern) => {
    const { isNegated, body, isAnchored } = read(pattern);
    return { isNegated, expression: new RegExp(`^${isAnchored ? '' : ANY_FOLDERS}${body.split('/').map(component).join('')}`, 'su') };
  });
  return (path) => {
    let isOut = false;
    for (const { isNegated, expression } of compiled) if (isOut === isNegated && expression.test(`${path}/`)) isOut = !isNegated;
    return isOut;
  };
}

const ANY_FOLDERS = '(?:[^/]+/)*';

function read(pattern: string): { isNegated: boolean; isAnchored: boolean; body: string } {
  const isNegated = pattern.startsWith('!');
  const rest = isNegated ? pattern.slice(1) : pattern;
  const body = rest
    .split('/')
    .filter((part) => part !== '' && part !== '.')
    .join('/');
  return { isNegated, isAnchored: rest.startsWith('/'), body };
}

/** One component as Go's filepath.Match reads it, as part of an expression; what it cannot read, restic refuses itself. */
function component(text: string): string {
  if (text === '**') return ANY_FOLDERS;
  let expression = '';
  for (let at = 0; at < text.length; at += 1) {
    const character = text[at] ?? '';
    if (character === '*') expression += '[^/]*';
    else if (character === '?') expression += '[^/]';
    else if (character === '[') {
      const end = text.indexOf(']', at + 2);
      if (end < 0) return '(?!)';
      const body = text.slice(at + 1, end);
      const isNot = body.startsWith('^');
      const set = (isNot ? body.slice(1) : body).replace(/\\(.)/gs, '$1').replace(/[\\[\]^&|~]/g, '\\$&');
      expression += `(?!/)[${isNot ? '^' : ''}${set}]`;
      at = end;
    } else {
      const taken = character === '\\' ? (text[++at] ?? '') : character;
      expression += taken.replace(/[\\^$.*+?()[\]{}|/]/g, '\\$&');
    }
  }
  return `${expression}/`;
}
