import { expect, test } from 'vitest';
import { Failure } from '../kit/errors.ts';
import { container, edgeSpec, observed, project, service, updateConfig } from './fixtures.ts';
import { unfinishedOf } from './journal.ts';
import { servicesToInspect, serviceToLeave, stepsAfter, withoutService } from './leave.ts';
import { planRelease } from './plan.ts';
import { planLeave } from './undo.ts';

const bad = (where?: string) => new Failure('RELEASE_FAILED', 'it was not healthy', where === undefined ? {} : { where });
const three = (action: 'rollback' | 'pause' | 'continue', order: 'start-first' | 'stop-first' = 'start-first') =>
  project(
    service('api', { edge: [edgeSpec()], update: updateConfig({ failureAction: action, order, monitorMs: 5000 }) }),
    service('mailer', { update: updateConfig({ order: 'start-first' }) }),
    service('web', { edge: [edgeSpec({ hosts: ['other.example.com'] })] }),
  );
const running = observed([container('api', 1), container('mailer', 1), container('web', 1)]);
const options = { kind: 'deploy' as const, only: [], force: true, reusable: {} };

test('a release goes on without a service only where its file says so, before the commit, and when others move', () => {
  const stack = three('continue');
  const plan = planRelease(stack, running, options);
  expect(serviceToLeave(plan, stack, 'gate:api', bad())).toBe('api');
  expect(serviceToLeave(plan, stack, 'watch', bad('api'))).toBe('api');
  expect(serviceToLeave(plan, stack, 'gate:mailer', bad())).toBeUndefined();
  expect(serviceToLeave(plan, stack, 'watch', bad('mailer'))).toBeUndefined();
  expect(serviceToLeave(plan, stack, 'switch', bad())).toBeUndefined();
  expect(serviceToLeave(plan, stack, 'stop:api', bad())).toBeUndefined();
  expect(serviceToLeave(plan, stack, 'gate:api', new Error('a bug'))).toBeUndefined();
  expect(serviceToLeave(plan, three('rollback'), 'gate:api', bad())).toBeUndefined();
  const alone = planRelease(stack, running, { ...options, only: ['api'] });
  expect(serviceToLeave(alone, stack, 'gate:api', bad())).toBeUndefined();
});

test('the rest of the release does not touch the service that was left, and goes on where it stopped', () => {
  const plan = planRelease(three('continue'), running, options);
  const rest = withoutService(plan, 'api', 'it was not healthy');
  for (const step of rest.steps) {
    if ('service' in step) expect(step.service).not.toBe('api');
    if (step.kind === 'route') expect(step.routings.map((routing) => routing.service)).not.toContain('api');
    if (step.kind === 'watch') expect(step.drains.map((drain) => drain.service)).toEqual(['web']);
  }
  expect(rest.services.map(({ service, left }) => [service, left])).toEqual([
    ['api', 'it was not healthy'],
    ['mailer', undefined],
    ['web', undefined],
  ]);
  expect(stepsAfter(plan, 'gate:api', rest)[0]?.id).toBe('start:mailer');
  expect(stepsAfter(plan, 'watch', rest)[0]?.id).toBe('watch');
  expect(stepsAfter(plan, 'watch', rest).map(({ kind }) => kind)).toContain('commit');
});

test('leaving a service removes what was made for it and routes it to what ran, and a journal tells of it', () => {
  const plan = planRelease(three('continue'), running, options);
  const begun = plan.steps.slice(0, plan.steps.findIndex(({ id }) => id === 'gate:api') + 1);
  const entries = [{ at: '', kind: 'plan' as const, plan }, ...begun.map(({ id }) => ({ at: '', kind: 'begin' as const, step: id }))];
  const unfinished = unfinishedOf(entries);
  if (!unfinished) throw new Error('the journal tells of no release');
  const made = container('api', 2, { id: 'made-api', state: 'running' });
  const other = container('mailer', 2, { id: 'made-mailer', state: 'running' });
  const steps = planLeave(unfinished, 'api', {
    containers: [...running.containers, made, other],
    snapshots: new Set(),
    gateTimeoutMs: {},
  });
  expect(steps?.map(({ kind }) => kind)).toEqual(['route', 'drain', 'stop', 'remove', 'route']);
  expect(JSON.stringify(steps)).not.toContain('made-mailer');
  expect(steps?.at(-1)).toMatchObject({ routings: [{ service: 'api', ready: plan.before.api, drain: [], hold: false }] });
  const told = unfinishedOf([...entries, { at: '', kind: 'left', service: 'api', why: 'bad' }]);
  expect(told?.plan.services.find(({ service }) => service === 'api')?.left).toBe('bad');
  expect(told?.plan.steps.some((step) => 'service' in step && step.service === 'api')).toBe(false);
});

test('pause keeps new containers only where old and new may run side by side', () => {
  for (const [action, order, expected] of [
    ['pause', 'start-first', ['api']],
    ['pause', 'stop-first', []],
    ['rollback', 'start-first', []],
  ] as const) {
    const stack = three(action, order);
    expect([...servicesToInspect(planRelease(stack, running, options), stack)]).toEqual(expected);
  }
});
