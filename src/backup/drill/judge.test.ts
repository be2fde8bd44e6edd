import { expect, test } from 'vitest';
import { judge } from './judge.ts';

const T = Date.parse('2026-11-24T06:00:00Z');
const at = (seconds: number): string => new Date(T + seconds * 1000).toISOString();
const state = (more: object) => ({
  State: { Status: 'running', Running: true, OOMKilled: false, ExitCode: 0, StartedAt: at(0), FinishedAt: '0001-01-01T00:00:00Z', ...more },
  Config: {},
});
const ended = (code: number, more: object = {}) => state({ Status: 'exited', Running: false, ExitCode: code, FinishedAt: at(3), ...more });
const health = (status: string, output?: string) =>
  state({
    Health: { Status: status, FailingStreak: 0, Log: output === undefined ? null : [{ Start: '', End: '', ExitCode: 1, Output: output }] },
  });
const of = (container: object, more: { isJob?: boolean; mayEnd?: boolean; seconds?: number } = {}) =>
  judge('app', container as Parameters<typeof judge>[1], {
    isJob: more.isJob ?? false,
    mayEnd: more.mayEnd ?? false,
    now: T + (more.seconds ?? 20) * 1000,
  });

test.each<[string, ReturnType<typeof of>, string, string]>([
  ['healthy by its own check', of(health('healthy')), 'healthy', 'healthy after 20.0 s'],
  ['unhealthy, with the check’s last word', of(health('unhealthy', 'first\nno greeting\n')), 'failed', 'unhealthy: no greeting'],
  ['unhealthy without a word', of(health('unhealthy')), 'failed', 'unhealthy: its check ended with nothing'],
  ['without a check and up for 10 s', of(state({})), 'running', 'has no health check; still running after 10.0 s'],
  ['ended with an error', of(ended(3)), 'failed', 'ended with 3 after 3.0 s'],
  ['ended with 0, though it should serve', of(ended(0)), 'failed', 'ended with 0 after 3.0 s'],
  ['a job that ended with 0', of(ended(0), { isJob: true }), 'ended', 'ended with 0 after 3.0 s'],
  ['a job that failed', of(ended(1), { isJob: true }), 'failed', 'ended with 1 after 3.0 s'],
  ['ended with 0 and never started again', of(ended(0), { mayEnd: true }), 'ended', 'ended with 0 after 3.0 s'],
  ['killed for its memory', of(ended(137, { OOMKilled: true })), 'failed', 'ran out of its memory limit after 3.0 s'],
])('%s', (_title, judged, kind, text) => {
  expect(judged).toMatchObject({ done: true, service: { service: 'app', kind, text } });
  if (judged.done) expect(judged.readyAt === undefined).toBe(kind === 'failed');
});

test.each([
  ['created', of(state({ Status: 'created' }))],
  ['up for less than 10 s without a check', of(state({}), { seconds: 9 })],
  ['starting', of(health('starting'))],
  ['a job at work', of(state({}), { isJob: true })],
  ['a job at work that has a check', of(health('healthy'), { isJob: true })],
])('%s: not decided', (_title, judged) => {
  expect(judged).toEqual({ done: false });
});
