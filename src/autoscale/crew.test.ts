import { expect, test } from 'vitest';
import type { WorkerMark } from '../state/workers.ts';
import { type Crew, currentIdentity, freeNumber, type Member, phaseOf, workerOf } from './crew.ts';

const member = (changes: Partial<Member> = {}): Member => ({
  id: 'a'.repeat(64),
  name: 'shop-worker-1',
  number: 1,
  configHash: 'new',
  imageId: 'sha256:1',
  state: 'running',
  health: 'none',
  created: 100,
  addresses: {},
  ...changes,
});
const released = { configHash: 'new', imageId: 'sha256:1' };
const model = { configHash: 'model', imageId: '' };
const draining = (signalled: boolean): WorkerMark => ({
  kind: 'draining',
  service: 'worker',
  sinceMs: 5,
  signalled,
  // biome-ignore lint/suspicious/noThenProperty: what follows the exit; nobody awaits a mark
  then: 'remove',
  why: '',
});

test.each([
  ['no container: the release', [], released, 'new by release'],
  ['no container and no release: the files', [], undefined, 'model by release'],
  ['one that carries the release is enough', [member({ configHash: 'old', created: 200 }), member()], released, 'new by release'],
  [
    'none carries it: what was made last',
    [member({ configHash: 'older', created: 1 }), member({ configHash: 'hand', created: 2 })],
    released,
    'hand by hand',
  ],
  ['the same files with a newer image', [member({ imageId: 'sha256:2' })], released, 'new by hand'],
  ['never released: what was made last', [member({ configHash: 'hand' })], undefined, 'hand by release'],
])('what the service is now, %s', (_title, members, release, expected) => {
  const { configHash, byHand } = currentIdentity(members, release, model);
  expect(`${configHash} by ${byHand ? 'hand' : 'release'}`).toBe(expected);
});

test.each([
  ['created', undefined, 'stopped'],
  ['exited', draining(true), 'stopped'],
  ['paused', undefined, 'frozen'],
  ['restarting', undefined, 'starting'],
  ['running', undefined, 'running'],
  ['running', draining(true), 'draining'],
  ['running', draining(false), 'running'],
] as const)('a container that is %s with the mark %j is %s', (state, mark, expected) => {
  expect(phaseOf({ state, health: 'none' }, mark)).toBe(expected);
});

test('until its health check has passed it is starting; one that fails later runs', () => {
  expect(phaseOf({ state: 'running', health: 'starting' }, undefined)).toBe('starting');
  expect(phaseOf({ state: 'running', health: 'unhealthy' }, undefined)).toBe('running');
});

const crew = (changes: Partial<Crew> = {}) =>
  ({ current: released, workers: new Map(), networks: ['shop_front', 'shop_back'], containers: new Map(), ...changes }) as Crew;

test('a stopped container of an older release stands by for a rollback; a running one is a worker that goes first', () => {
  const retired = new Set(['a'.repeat(64)]);
  const old = member({ configHash: 'old', state: 'exited' });
  expect(workerOf(old, crew(), { mark: undefined, retired, nowMs: 9 })).toBeUndefined();
  expect(workerOf({ ...old, state: 'running' }, crew(), { mark: undefined, retired, nowMs: 9 })).toMatchObject({
    obsolete: true,
    phase: 'running',
  });
  expect(workerOf(member({ state: 'exited' }), crew(), { mark: undefined, retired, nowMs: 9 })).toMatchObject({
    obsolete: false,
    phase: 'stopped',
  });
});

test('its address is the one on the network that the source is reached on', () => {
  const both = member({ addresses: { shop_front: '10.0.1.2', shop_back: '10.0.2.2', other: '10.0.3.2' } });
  const address = (changes: Partial<Crew>) => workerOf(both, crew(changes), { mark: undefined, retired: new Set(), nowMs: 9 })?.address;
  expect([address({}), address({ seenOn: 'shop_back' }), address({ networks: [] })]).toEqual(['10.0.1.2', '10.0.2.2', undefined]);
});

test('a phase keeps its beginning as long as it lasts, and over a restart of the agent', () => {
  const worker = member();
  const known = crew({ workers: new Map([[worker.id, { id: worker.id, number: 1, phase: 'running', sinceMs: 3, obsolete: false }]]) });
  const at = (mark: WorkerMark | undefined) => workerOf(worker, known, { mark, retired: new Set(), nowMs: 9 })?.sinceMs;
  expect([at(undefined), at(draining(true))]).toEqual([3, 5]);
});

test('a number is free when neither a container nor one in the making has it', () => {
  const containers = new Map([1, 2, 4].map((number) => [String(number), member({ number })]));
  expect(freeNumber({ containers }, new Set([3]), 2)).toBe(5);
  expect(freeNumber({ containers }, new Set(), 7)).toBe(7);
});
