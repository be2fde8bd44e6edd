import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { parseMetricSelector, parsePath, valueAtMetric, valueAtPath } from './value-location.ts';

describe('a place in a document', () => {
  const document = {
    count: 3,
    text: '1500m',
    size: '2Ki',
    word: 'many',
    none: null,
    'dotted.name': 9,
    queues: [{ waiting: 4 }, { waiting: 5 }],
    nested: { deep: { er: 2 }, '0': 7 },
    tags: {},
  };
  test.each([
    ['count', 3],
    ['text', 1.5],
    ['size', 2048],
    ['dotted\\.name', 9],
    ['queues.1.waiting', 5],
    ['queues.#', 2],
    ['nested.deep.er', 2],
    ['nested.0', 7],
    ['word', /word is a text, not a number/],
    ['none', /none is null/],
    ['queues', /queues is a list/],
    ['tags', /tags is an object/],
    ['queues.2.waiting', /has no queues\.2$/],
    ['queues.waiting', /has no queues\.waiting/],
    ['nowhere.at.all', /has no nowhere$/],
    ['toString', /has no toString/],
    ['count.more', /has no count\.more/],
  ])('%s', (path, expected) => {
    if (typeof expected === 'number') expect(valueAtPath(document, path)).toBe(expected);
    else expect(() => valueAtPath(document, path)).toThrow(expected);
  });

  test.each(['a..b', '.a', 'a.', '', 'queues.#.waiting', 'queues.#(waiting>4)', 'a|b', 'a*', '@reverse', '{a,b}'])(
    '%j is refused',
    (path) => {
      expect(parsePath(path)).toBeTypeOf('string');
    },
  );

  test('every name can be reached', () => {
    fc.assert(
      fc.property(
        fc.array(
          fc.string({ minLength: 1 }).filter((name) => name !== '__proto__'),
          { minLength: 1, maxLength: 4 },
        ),
        fc.integer(),
        (names, value) => {
          const document = names.reduceRight<unknown>((inner, name) => ({ [name]: inner }), value);
          const path = names.map((name) => name.replace(/[^\p{L}\p{N}]/gu, (sign) => `\\${sign}`)).join('.');
          expect(valueAtPath(document, path)).toBe(value);
        },
      ),
    );
  });
});

describe('a Prometheus exposition', () => {
  const body = [
    '# HELP jobs Jobs that wait.',
    '# TYPE jobs gauge',
    'jobs{queue="mail",state="ready"} 4',
    'jobs{queue="a \\"b\\", c}",state="ready"} 5 1700000000000',
    'jobs_total 12.5',
    'broken NaN',
    '',
  ].join('\r\n');
  test.each([
    ['jobs_total', 12.5],
    ['jobs{queue="mail"}', 4],
    ['jobs{ state = "ready", queue="mail", }', 4],
    ['jobs', 4],
    ['jobs{queue="a \\"b\\", c}"}', 5],
    ['jobs{queue="sms"}', /has no jobs\{queue="sms"\}/],
    ['job', /has no job/],
    ['broken', /broken is NaN/],
  ])('%s', (location, expected) => {
    if (typeof expected === 'number') expect(valueAtMetric(body, location)).toBe(expected);
    else expect(() => valueAtMetric(body, location)).toThrow(expected);
  });

  test.each(['jobs{queue!="mail"}', 'jobs{queue=~"m.*"}', 'sum(jobs)', '', '{queue="mail"}', 'jobs{queue=mail}'])(
    '%j is refused',
    (location) => {
      expect(parseMetricSelector(location)).toBeTypeOf('string');
    },
  );
});
