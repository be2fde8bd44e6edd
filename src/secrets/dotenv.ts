import { SECRET_NAME } from './model.ts';

export interface Dotenv {
  values: Record<string, string>;
  /** Lines that are no plain value, by number, each with the reason. Values are not repeated. */
  problems: { line: number; text: string }[];
}

const ESCAPES: Record<string, string> = { a: '\x07', b: '\b', f: '\f', n: '\n', r: '\r', t: '\t', v: '\v', '"': '"', '\\': '\\' };

/**
 * Reads an env file as Compose does: NAME=value or NAME: value, "export" before it, comments, quotes over several lines, escapes in double
 * quotes. Compose fills in variables outside of single quotes; a secret is one fixed value, so such a line is a problem. Pure.
 */
export function parseDotenv(text: string): Dotenv {
  const values: Record<string, string> = {};
  const problems: Dotenv['problems'] = [];
  const source = text.replace(/^\uFEFF/, '').replaceAll('\r\n', '\n');
  let at = 0;
  while (at < source.length) {
    const line = source.slice(0, at).split('\n').length;
    const end = source.indexOf('\n', at) < 0 ? source.length : source.indexOf('\n', at);
    const head = /^[ \t]*(?:export[ \t]+)?([^\s=:#]+)[ \t]*[=:][ \t]*/.exec(source.slice(at, end));
    if (!head) {
      const rest = source.slice(at, end).trim();
      if (rest !== '' && !rest.startsWith('#')) problems.push({ line, text: 'no value stands here' });
      at = end + 1;
      continue;
    }
    const name = head[1] ?? '';
    const read = readValue(source, at + head[0].length);
    at = read.next;
    if (!SECRET_NAME.test(name)) problems.push({ line, text: 'the name is not one of an environment variable' });
    else if ('problem' in read) problems.push({ line, text: `${name}: ${read.problem}` });
    else values[name] = read.value;
  }
  return { values, problems };
}

type Read = { next: number } & ({ value: string } | { problem: string });

function readValue(source: string, start: number): Read {
  const lineEnd = source.indexOf('\n', start) < 0 ? source.length : source.indexOf('\n', start);
  const quote = source[start];
  if (quote !== '"' && quote !== "'") {
    const bare = source
      .slice(start, lineEnd)
      .replace(/(^|[ \t])#.*$/, '')
      .trim();
    return checked(bare, bare, lineEnd + 1);
  }
  let close = start + 1;
  while (close < source.length && source[close] !== quote) close += source[close] === '\\' ? 2 : 1;
  if (close >= source.length) return { next: lineEnd + 1, problem: 'a quote is not closed' };
  const inside = source.slice(start + 1, close);
  const after = source.indexOf('\n', close) < 0 ? source.length : source.indexOf('\n', close);
  if (!/^[ \t]*(#.*)?$/.test(source.slice(close + 1, after)))
    return { next: after + 1, problem: 'something stands after the closing quote' };
  if (quote === "'") return { next: after + 1, value: inside.replaceAll("\\'", "'") };
  const unescaped = inside.replaceAll(/\\([abfnrtv"\\$])/g, (_, letter: string) => ESCAPES[letter] ?? letter);
  return checked(inside.replaceAll(/\\[\\$]/g, ''), unescaped, after + 1);
}

/** `written` is the text in which a dollar would begin a variable. */
function checked(written: string, value: string, next: number): Read {
  return written.includes('$') ? { next, problem: 'Compose would fill in a variable ("$"); set this one by hand' } : { next, value };
}
