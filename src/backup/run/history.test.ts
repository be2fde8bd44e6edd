import { appendFile, mkdir, mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { run } from '../../kit/spawn.ts';
import type { BackupResult } from '../model.ts';
import { historyPath, metricsPath } from '../places.ts';
import { provenSets, readResults } from '../proven.ts';
import { appendHistory, timeOfSet, worthKeeping } from './history.ts';
import { metricsText, writeMetrics } from './metrics.ts';

let state: string;
beforeEach(async () => {
  state = await mkdtemp(join(tmpdir(), 'composure-history-'));
});
afterEach(() => rm(state, { recursive: true, force: true }));

const SET = '20261124T061200Z-9f3a';
const result = (kind: BackupResult['kind'], more: Partial<BackupResult> = {}): BackupResult => ({
  kind,
  scheduled: false,
  startedAt: '2026-11-24T06:12:00.000Z',
  endedAt: '2026-11-24T06:13:00.000Z',
  ok: true,
  numbers: {},
  ...more,
});

test('what is noted at once is all there, and a line that a crash cut short is passed over', async () => {
  expect(await readResults(state, 'shop')).toEqual([]);
  await appendHistory(state, 'shop', result('run', { set: 'first' }));
  await appendFile(historyPath(state, 'shop'), '{"kind":"run","ok":tr');
  await Promise.all(Array.from({ length: 5 }, (_, index) => appendHistory(state, 'shop', result('verify', { set: `${index}` }))));
  const sets = (await readResults(state, 'shop')).map(({ set }) => set);
  expect(sets[0]).toBe('first');
  expect(sets.slice(1).sort()).toEqual(['0', '1', '2', '3', '4']);
});

test('the newest are kept, and of older ones what proved the newest proven set', () => {
  const runs = Array.from({ length: 5 }, (_, index) => result('run', { set: `${index}` }));
  const drill = result('drill', { set: '0' });
  const short = (results: BackupResult[]): string[] => results.map(({ kind, set }) => `${kind} ${set}`);
  expect(short(worthKeeping([drill, ...runs], 3))).toEqual(['drill 0', 'run 3', 'run 4']);
  expect(short(worthKeeping([...runs, drill], 3))).toEqual(['run 3', 'run 4', 'drill 0']);
  expect(short(worthKeeping([result('drill', { ok: false, set: '0' }), ...runs], 3))).toEqual(['run 2', 'run 3', 'run 4']);
});

test('a set is proven by a drill or a rebuild that went well, and by nothing else', () => {
  const history = [
    result('run', { set: 'a' }),
    result('drill', { set: 'b', ok: false }),
    result('restore', { set: 'c' }),
    result('verify', { set: 'd' }),
    result('drill', { set: 'e' }),
    result('rebuild', { set: 'f' }),
    result('drill', {}),
    // Of a set of chosen services, such as one that a restore made of what it replaced.
    result('drill', { set: 'g', only: ['db'] }),
  ];
  expect([...provenSets(history).keys()]).toEqual(['e', 'f']);
});

test('a set says by its id when it was made', () => {
  expect(timeOfSet(SET)?.toISOString()).toBe('2026-11-24T06:12:00.000Z');
  expect(timeOfSet('latest')).toBeUndefined();
});

test('metrics are points in time, by project and kind; what never was has none', () => {
  const history = [
    result('run', { set: SET, numbers: { bytes: 1000, addedBytes: 10, stores: 3 } }),
    result('drill', { set: SET, startedAt: '2026-11-24T07:00:00.000Z', endedAt: '2026-11-24T07:01:00.000Z', numbers: { rtoSeconds: 42 } }),
    result('run', { ok: false, startedAt: '2026-11-25T06:12:00.000Z', endedAt: '2026-11-25T06:12:30.000Z' }),
    // Of chosen services: no sample is of it.
    result('run', { only: ['db'], startedAt: '2026-11-26T06:12:00.000Z', endedAt: '2026-11-26T06:12:30.000Z', numbers: { bytes: 1 } }),
  ];
  const text = metricsText([
    { project: 'shop', history },
    { project: 'blog', history: [] },
  ]);
  expect(text.replace(/^# HELP.*\n/gm, '')).toMatchInlineSnapshot(`
    "# TYPE composure_backup_last_set_timestamp_seconds gauge
    composure_backup_last_set_timestamp_seconds{project="shop"} 1795500720
    # TYPE composure_backup_last_proven_set_timestamp_seconds gauge
    composure_backup_last_proven_set_timestamp_seconds{project="shop"} 1795500720
    # TYPE composure_backup_last_attempt_timestamp_seconds gauge
    composure_backup_last_attempt_timestamp_seconds{project="shop",kind="run"} 1795587150
    composure_backup_last_attempt_timestamp_seconds{project="shop",kind="drill"} 1795503660
    # TYPE composure_backup_last_attempt_success gauge
    composure_backup_last_attempt_success{project="shop",kind="run"} 0
    composure_backup_last_attempt_success{project="shop",kind="drill"} 1
    # TYPE composure_backup_set_bytes gauge
    composure_backup_set_bytes{project="shop"} 1000
    # TYPE composure_backup_set_added_bytes gauge
    composure_backup_set_added_bytes{project="shop"} 10
    # TYPE composure_backup_set_stores gauge
    composure_backup_set_stores{project="shop"} 3
    # TYPE composure_backup_restore_seconds gauge
    composure_backup_restore_seconds{project="shop"} 42
    "
  `);
});

test('the file of metrics is replaced as a whole and may be read by others', async () => {
  await appendHistory(state, 'shop', result('run', { set: SET }));
  await writeMetrics(state);
  expect(await readFile(metricsPath(state), 'utf8')).toContain('composure_backup_last_attempt_success{project="shop",kind="run"} 1');
  expect((await run('stat', ['-c', '%a', metricsPath(state)])).stdout.trim()).toBe('644');
});

test('the file of metrics goes where COMPOSURE_METRICS_DIR says, and that folder stays as it is', async () => {
  const shared = join(state, 'shared');
  await appendHistory(state, 'shop', result('run', { set: SET }));
  await expect(writeMetrics(state, { COMPOSURE_METRICS_DIR: shared })).rejects.toThrow('ENOENT');
  await mkdir(shared, { mode: 0o750 });
  await writeMetrics(state, { COMPOSURE_METRICS_DIR: shared });
  expect(await readdir(shared)).toEqual(['composure-backup.prom']);
  const modes = await run('stat', ['-c', '%a', shared, join(shared, 'composure-backup.prom')]);
  expect(modes.stdout).toBe('750\n644\n');
});
