import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { openDocker } from '../../docker/api.ts';
import { type ErrorCode, Failure } from '../../kit/errors.ts';
import type { Project } from '../../project/model.ts';
import type { BackupWorld } from '../model.ts';
import { historyPath, metricsPath } from '../places.ts';
import { readResults } from '../proven.ts';
import { recorded, withoutSecrets } from './record.ts';

let state: string;
let said: string[];
beforeEach(async () => {
  state = await mkdtemp(join(tmpdir(), 'composure-record-'));
  said = [];
});
afterEach(() => rm(state, { recursive: true, force: true }));

const world = (stateFolder = state): BackupWorld => ({
  project: { name: 'shop', settings: {} } as Project,
  docker: openDocker('/nowhere.sock'),
  stateFolder,
  secrets: { RESTIC_PASSWORD: 'correct horse' },
  addresses: { HOOK: 'https://chat.example.com/token-1234' },
  report: (event) => void ('text' in event && said.push(event.text)),
  signal: new AbortController().signal,
  version: '0.0.0',
  host: 'server1',
});
const fails = (code: ErrorCode, message: string, where?: string) => (): Promise<never> =>
  Promise.reject(new Failure(code, message, where === undefined ? {} : { where }));

test('what went well is noted with its figures, and its answer given back', async () => {
  const done = await recorded(world(), { kind: 'run', scheduled: true }, async () => ({ set: 'a', numbers: { bytes: 5 }, more: 'kept' }));
  expect(done.more).toBe('kept');
  expect(await readResults(state, 'shop')).toMatchObject([{ kind: 'run', scheduled: true, ok: true, set: 'a', numbers: { bytes: 5 } }]);
  expect(await readFile(metricsPath(state), 'utf8')).toContain('success{project="shop",kind="run"} 1');
});

test('what failed is noted with code, words and the set that it had begun, and thrown on', async () => {
  const failing = recorded(world(), { kind: 'drill', scheduled: false }, async (known) => {
    known.set = 'b';
    return fails('RESTORE_FAILED', 'counts differ', 'db/postgres/app')();
  });
  await expect(failing).rejects.toMatchObject({ code: 'RESTORE_FAILED' });
  expect(await readResults(state, 'shop')).toMatchObject([
    { kind: 'drill', ok: false, set: 'b', code: 'RESTORE_FAILED', message: 'counts differ (db/postgres/app)' },
  ]);
});

test('what was refused before it began is no attempt, unless it was planned', async () => {
  for (const code of ['LOCKED', 'DECLINED', 'USAGE', 'STORE_UNKNOWN', 'RESTORE_REFUSED', 'SERVICE_UNKNOWN'] as const)
    await expect(recorded(world(), { kind: 'run', scheduled: false }, fails(code, 'no'))).rejects.toMatchObject({ code });
  expect(await readResults(state, 'shop')).toEqual([]);
  await expect(recorded(world(), { kind: 'run', scheduled: true }, fails('LOCKED', 'no'))).rejects.toMatchObject({ code: 'LOCKED' });
  expect(await readResults(state, 'shop')).toMatchObject([{ ok: false, code: 'LOCKED' }]);
});

test('an error that is no Failure is noted too', async () => {
  await expect(recorded(world(), { kind: 'run', scheduled: false }, () => Promise.reject(new TypeError('x is not y')))).rejects.toThrow(
    'x is not y',
  );
  expect(await readResults(state, 'shop')).toMatchObject([{ ok: false, message: 'x is not y' }]);
});

test('no value of a secret is noted, whatever a tool says', async () => {
  const words = 'Fatal: correct horse is wrong for https://chat.example.com/token-1234';
  await expect(recorded(world(), { kind: 'run', scheduled: false }, fails('REPOSITORY_FAILED', words))).rejects.toThrow();
  const noted = await readFile(historyPath(state, 'shop'), 'utf8');
  expect(noted).toContain('Fatal: [secret] is wrong for [secret]');
  expect(noted).not.toMatch(/correct horse|token-1234/);
});

test('a secret that holds another one goes first', () => {
  const result = {
    kind: 'run',
    scheduled: false,
    startedAt: '',
    endedAt: '',
    ok: false,
    numbers: {},
    message: 'a passwords-2 b passwords',
  } as const;
  expect(withoutSecrets(result, ['passwords', 'passwords-2', 'b']).message).toBe('a [secret] b [secret]');
});

test('what cannot be noted stops nothing', async () => {
  await writeFile(join(state, 'file'), '');
  const done = await recorded(world(join(state, 'file')), { kind: 'run', scheduled: false }, async () => ({ set: 'a', numbers: {} }));
  expect(done.set).toBe('a');
  expect(said.join()).toContain('how it ended could not be noted');
});
