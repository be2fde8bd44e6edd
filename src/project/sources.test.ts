import { expect, test } from 'vitest';
import { parseSize } from '../kit/fields.ts';
import { pathsIn } from './refusals.ts';
import { firstUse, parseSource, placeOf, sourceText } from './sources.ts';
import { closest } from './suggest.ts';

const base = parseSource(
  '/p/compose.yaml',
  `x-common: &common
  x-edge: {port: 80, health: {path: /h}}
services:
  api:
    <<: *common
    image: base
  child:
    extends: api
    command: x
`,
);
const over = parseSource('/p/compose.prod.yaml', 'services:\n  api:\n    image: over\n    ports:\n      - 80\n      - 81\n');

test('a path is placed in the last file that has it, and else at its nearest ancestor', () => {
  const place = (...path: (string | number)[]) => placeOf([base, over], path, '/p');
  expect(place('services', 'api', 'image')).toBe('compose.prod.yaml:3:5');
  expect(place('services', 'api', 'ports', 1)).toBe('compose.prod.yaml:6:9');
  expect(place('services', 'api', 'x-edge', 'health', 'path')).toBe('compose.yaml:2:31');
  expect(place('services', 'api', 'x-edge', 'nope')).toBe('compose.yaml:2:3');
  expect(place('services', 'child', 'x-edge', 'port')).toBe('compose.yaml:2:12');
  expect(place('services', 'child', 'command')).toBe('compose.yaml:9:5');
  expect(place('nothing')).toBeUndefined();
  expect(sourceText([base, over], ['services', 'api', 'image'])).toBe('over');
});

test('files that are not valid YAML still give places', () => {
  const broken = parseSource('/p/compose.yaml', 'services:\n  a: {image: x\n  b: y\n');
  expect(broken.document.errors.length).toBeGreaterThan(0);
  expect(() => placeOf([broken], ['services', 'a', 'image'], '/p')).not.toThrow();
});

test('the first use of a variable: escaped dollars, comments and longer names do not count', () => {
  const source = parseSource('/p/compose.yaml', '# $NAME\na: $$NAME ${NAMES}\nb: x # $NAME\nc: $$${NAME:-1}\n');
  expect(firstUse([source], 'NAME', '/p')).toBe('compose.yaml:4:4');
  expect(firstUse([source], 'OTHER', '/p')).toBeUndefined();
});

test.each([
  ["validating /p/c.yaml: services.web additional properties 'foo' not allowed", ['services', 'web', 'foo']],
  [
    "validating /p/c.yaml: services.web.volumes.1 additional properties 'mode', 'content' not allowed",
    ['services', 'web', 'volumes', 1, 'mode'],
  ],
  ["validating /p/c.yaml:  additional properties 'servces' not allowed", ['servces']],
  ['services.web.ports must be a array', ['services', 'web', 'ports']],
  ["'services[web].stop_grace_period' time: unknown unit", ['services', 'web', 'stop_grace_period']],
  ['error while interpolating services.web.image: required variable V is missing a value', ['services', 'web', 'image']],
  ['service "web" refers to undefined network foo: invalid compose project', ['services', 'web', 'networks']],
])('the path in Docker’s words: %s', (reason, path) => {
  expect(pathsIn(reason)[0]).toEqual(path);
});

test('suggestions: near names only', () => {
  expect(closest('helth', ['health', 'host', 'path'])).toBe('health');
  expect(closest('egde', ['edge', 'release'])).toBe('edge');
  expect(closest('hots', ['host', 'port'])).toBe('host');
  expect(closest('logging', ['edge', 'release'])).toBeUndefined();
  expect(closest('db', ['tls', 'port'])).toBeUndefined();
});

test('sizes', () => {
  expect(['10m', '512k', '1g', '1.5kb', '0', '77', '5 mb'].map(parseSize)).toEqual([
    10_485_760, 524_288, 1_073_741_824, 1536, 0, 77, 5_242_880,
  ]);
  expect(['m', '10x', '-1', '', '1 0'].map(parseSize)).toEqual(Array(5).fill(undefined));
});
