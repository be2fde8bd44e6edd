import { Failure } from '../kit/errors.ts';

/** Metric values by trigger name; undefined: that trigger has none now. */
export type Values = (name: string) => number | undefined;
type Value = number | boolean | undefined | Value[];
type Node = (values: Values) => Value;

export interface Formula {
  text: string;
  /** Trigger names it uses. */
  names: string[];
  /** Undefined: a value that it needs is missing, or the result is no number (a division by zero). */
  evaluate(values: Values): number | undefined;
}

/** Above this a formula is not one that a person wrote. */
const LONGEST = 2000;

const FUNCTIONS: Record<string, (numbers: number[]) => number> = {
  min: (numbers) => Math.min(...numbers),
  max: (numbers) => Math.max(...numbers),
  sum: (numbers) => numbers.reduce((total, number) => total + number, 0),
  mean: (numbers) => numbers.reduce((total, number) => total + number, 0) / numbers.length,
  median: (numbers) => {
    const sorted = [...numbers].sort((left, right) => left - right);
    const middle = Math.floor(sorted.length / 2);
    return sorted.length % 2 === 1 ? (sorted[middle] ?? 0) : ((sorted[middle - 1] ?? 0) + (sorted[middle] ?? 0)) / 2;
  },
  len: (numbers) => numbers.length,
};
const OF_ONE: Record<string, (number: number) => number> = {
  abs: Math.abs,
  ceil: Math.ceil,
  floor: Math.floor,
  round: Math.round,
  float: (number) => number,
  int: Math.trunc,
};

/** Operators of two sides by how tightly they bind; `**` and `^` bind to the right. */
const BINDING: Record<string, number> = {
  '??': 1,
  '||': 2,
  or: 2,
  '&&': 3,
  and: 3,
  '==': 4,
  '!=': 4,
  '<': 5,
  '<=': 5,
  '>': 5,
  '>=': 5,
  '+': 6,
  '-': 6,
  '*': 7,
  '/': 7,
  '%': 7,
  '**': 8,
  '^': 8,
};

/**
 * Reads the formula of scalingModifiers: of KEDA's expr language the part that works on numbers: + - * / % ** ^, comparisons, and or not
 * (&& || !), c ? a : b, a ?? b, lists, and the functions min max sum mean median len abs ceil floor round float int. Nothing is executed but
 * these. Failure CONFIG_INVALID names the place of what is not understood, and a name that is no trigger's.
 */
export function parseFormula(text: string, triggers: readonly string[]): Formula {
  const tokens = tokenize(text);
  const names = new Set<string>();
  let position = 0;
  const peek = (): Token => tokens[position] ?? { kind: 'end', text: '', at: text.length };
  const take = (): Token => {
    const token = peek();
    position += 1;
    return token;
  };
  const expect = (symbol: string): void => {
    const token = take();
    if (token.text !== symbol) refuse(text, token, `expected "${symbol}"`);
  };

  const ternary = (): Node => {
    const condition = binary(1);
    if (peek().text !== '?') return condition;
    take();
    const yes = ternary();
    expect(':');
    const no = ternary();
    return (values) => {
      const held = condition(values);
      return held === undefined ? undefined : held === true ? yes(values) : held === false ? no(values) : undefined;
    };
  };
  const binary = (least: number): Node => {
    let left = unary();
    for (;;) {
      const operator = peek();
      const binding = operator.kind === 'end' ? undefined : BINDING[operator.text];
      if (binding === undefined || binding < least) return left;
      take();
      const right = binary(binding === 8 ? binding : binding + 1);
      left = combine(operator.text, left, right);
    }
  };
  const unary = (): Node => {
    const token = peek();
    if (token.text === '-' || token.text === '+') {
      take();
      // -2 ** 2 is -(2 ** 2).
      const operand = binary(8);
      return (values) => {
        const value = operand(values);
        return typeof value === 'number' ? (token.text === '-' ? -value : value) : undefined;
      };
    }
    if (token.text === '!' || token.text === 'not') {
      take();
      const operand = unary();
      return (values) => {
        const value = operand(values);
        return typeof value === 'boolean' ? !value : undefined;
      };
    }
    return primary();
  };
  const list = (end: string): Node[] => {
    const items: Node[] = [];
    if (peek().text === end) {
      take();
      return items;
    }
    for (;;) {
      items.push(ternary());
      const token = take();
      if (token.text === end) return items;
      if (token.text !== ',') refuse(text, token, `expected "," or "${end}"`);
    }
  };
  const primary = (): Node => {
    const token = take();
    if (token.kind === 'number') {
      const value = Number(token.text);
      return () => value;
    }
    if (token.text === '(') {
      const inner = ternary();
      expect(')');
      return inner;
    }
    if (token.text === '[') {
      const items = list(']');
      return (values) => items.map((item) => item(values));
    }
    if (token.kind !== 'name') return refuse(text, token, 'expected a number, a trigger or "("');
    if (token.text === 'true') return () => true;
    if (token.text === 'false') return () => false;
    if (token.text === 'nil') return () => undefined;
    if (peek().text === '(') {
      take();
      return call(text, token, list(')'));
    }
    if (!triggers.includes(token.text))
      refuse(text, token, `there is no trigger "${token.text}" (${triggers.join(', ') || 'none has a name'})`);
    names.add(token.text);
    return (values) => values(token.text);
  };

  const root = ternary();
  if (peek().kind !== 'end') refuse(text, peek(), 'is not understood here');
  return {
    text,
    names: [...names],
    evaluate(values) {
      const result = root(values);
      return typeof result === 'number' && Number.isFinite(result) ? result : undefined;
    },
  };
}

function call(text: string, name: Token, items: Node[]): Node {
  const one = Object.hasOwn(OF_ONE, name.text) ? OF_ONE[name.text] : undefined;
  if (one) {
    const [item, ...more] = items;
    if (!item || more.length > 0) refuse(text, name, `${name.text}() takes one number`);
    return (values) => {
      const value = item(values);
      return typeof value === 'number' ? one(value) : undefined;
    };
  }
  const many = Object.hasOwn(FUNCTIONS, name.text) ? FUNCTIONS[name.text] : undefined;
  if (!many)
    return refuse(
      text,
      name,
      `there is no function ${name.text}() here (${[...Object.keys(FUNCTIONS), ...Object.keys(OF_ONE)].join(', ')})`,
    );
  return (values) => {
    const numbers = items.flatMap((item) => item(values)) as Value[];
    if (!numbers.every((number) => typeof number === 'number') || (numbers.length === 0 && name.text !== 'sum' && name.text !== 'len'))
      return undefined;
    return many(numbers);
  };
}

function combine(operator: string, left: Node, right: Node): Node {
  if (operator === '??') return (values) => left(values) ?? right(values);
  if (operator === '||' || operator === 'or' || operator === '&&' || operator === 'and') {
    const decisive = operator === '||' || operator === 'or';
    return (values) => {
      const first = left(values);
      if (typeof first !== 'boolean') return undefined;
      if (first === decisive) return first;
      const second = right(values);
      return typeof second === 'boolean' ? second : undefined;
    };
  }
  const arithmetic = ARITHMETIC[operator];
  return (values) => {
    const first = left(values);
    const second = right(values);
    if (typeof first === 'boolean' && typeof second === 'boolean')
      return operator === '==' ? first === second : operator === '!=' ? first !== second : undefined;
    return typeof first === 'number' && typeof second === 'number' ? arithmetic?.(first, second) : undefined;
  };
}

const ARITHMETIC: Record<string, (left: number, right: number) => number | boolean> = {
  '+': (left, right) => left + right,
  '-': (left, right) => left - right,
  '*': (left, right) => left * right,
  '/': (left, right) => left / right,
  '%': (left, right) => left % right,
  '**': (left, right) => left ** right,
  '^': (left, right) => left ** right,
  '==': (left, right) => left === right,
  '!=': (left, right) => left !== right,
  '<': (left, right) => left < right,
  '<=': (left, right) => left <= right,
  '>': (left, right) => left > right,
  '>=': (left, right) => left >= right,
};

interface Token {
  kind: 'number' | 'name' | 'symbol' | 'end';
  text: string;
  at: number;
}

function tokenize(text: string): Token[] {
  if (text.length > LONGEST) throw new Failure('CONFIG_INVALID', `The formula is longer than ${LONGEST} characters.`);
  const tokens: Token[] = [];
  const pattern = /\s+|(\d+(?:\.\d+)?(?:e[+-]?\d+)?|\.\d+)|([A-Za-z_]\w*)|(\?\?|\*\*|&&|\|\||[<>=!]=|[-+*/%^<>!?:,()[\]])/y;
  while (pattern.lastIndex < text.length) {
    const at = pattern.lastIndex;
    const match = pattern.exec(text);
    if (!match) return refuse(text, { kind: 'symbol', text: text[at] ?? '', at }, 'is not understood');
    const [whole, number, name, symbol] = match;
    if (number !== undefined) tokens.push({ kind: 'number', text: whole, at });
    else if (name !== undefined) tokens.push({ kind: 'name', text: whole, at });
    else if (symbol !== undefined) tokens.push({ kind: 'symbol', text: whole, at });
  }
  return tokens;
}

function refuse(text: string, token: Token, why: string): never {
  const what = token.kind === 'end' ? 'its end' : `"${token.text}"`;
  throw new Failure('CONFIG_INVALID', `The formula is not understood at ${what}, character ${token.at + 1}: ${why}.`, {
    details: [text, `${' '.repeat(token.at)}^`],
    next: 'Use trigger names, numbers, + - * / % **, comparisons, ?: and ??, and min, max, sum, mean, median, abs, ceil, floor, round.',
  });
}
