import { expect, test } from 'vitest';
import { mayLeave } from './edge.ts';

const [mine, other] = ['a'.repeat(64), 'b'.repeat(64)];
const row = (backend: string, id: string, status: string) => ({ backend, server: id.slice(0, 12), status });

test.each([
  ['another one answers', [row('web', mine, 'UP'), row('web', other, 'UP')], [other], true],
  ['another one answers and is not checked', [row('web', mine, 'UP'), row('web', other, 'no check')], [other], true],
  ['the other one still boots', [row('web', mine, 'UP'), row('web', other, 'DOWN')], [other], false],
  ['the other one is not at the edge yet', [row('web', mine, 'UP')], [other], false],
  ['the other one drains', [row('web', mine, 'UP'), row('web', other, 'DRAIN')], [other], false],
  ['the other one answers on one of two routes', [row('web', mine, 'UP'), row('web', other, 'UP'), row('api', mine, 'UP')], [other], false],
  ['it has no place at the edge itself', [row('web', other, 'DOWN')], [other], true],
  ['none stays: the service goes to zero', [row('web', mine, 'UP'), row('web', other, 'UP')], [], true],
])('whether one may leave when %s', (_title, stats, staying, expected) => {
  expect(mayLeave(stats, mine, staying)).toBe(expected);
});
