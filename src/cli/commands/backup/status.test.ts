import { expect, test } from 'vitest';
import type { BackupResult } from '../../../backup/model.ts';
import { age, type BackupStatus, statusText } from './status.ts';

const result = (kind: BackupResult['kind'], startedAt: string, more: Partial<BackupResult> = {}): BackupResult => ({
  kind,
  scheduled: true,
  startedAt,
  endedAt: startedAt,
  ok: true,
  numbers: {},
  ...more,
});

const status = (more: Partial<BackupStatus> = {}): BackupStatus => ({
  project: 'shop',
  history: [],
  agent: true,
  held: [],
  now: new Date('2026-11-25T12:00:00Z'),
  ...more,
});

const registration = {
  project: 'shop',
  folder: '/srv/shop',
  args: [],
  since: '2026-11-01T00:00:00Z',
  settings: {
    repository: '/mnt/backup',
    schedule: '15 3 * * *',
    timezone: 'UTC',
    verify: { schedule: '30 5 * * *', parts: 7 },
    drill: { schedule: '0 6 * * 0' },
    keep: {},
    secrets: [],
  },
};

test('a project whose backups run', () => {
  const history = [
    result('drill', '2026-11-22T06:00:00.000Z', { set: '20261122T031500Z-1111' }),
    result('run', '2026-11-25T03:15:00.000Z', { set: '20261125T031500Z-2222', numbers: { bytes: 3 * 2 ** 30, stores: 6 } }),
    result('verify', '2026-11-25T05:30:00.000Z', { ok: false, code: 'REPOSITORY_FAILED', message: 'pack 1234 is damaged' }),
  ];
  expect(statusText(status({ history, registration }))).toMatchInlineSnapshot(`
    "last set    20261125T031500Z-2222  8 h old, 3 GiB in 6 stores
    proven      20261122T031500Z-1111  3 days old, restored 2026-11-22 06:00:00 UTC

    WHAT    LAST (UTC)                   NEXT (UTC)
    run     2026-11-25 03:15:00  well    2026-11-26 03:15:00
    prune   -                    -       due now
    verify  2026-11-25 05:30:00  FAILED  2026-11-26 05:30:00  pack 1234 is damaged
    drill   2026-11-22 06:00:00  well    2026-11-29 06:00:00
    "
  `);
});

test('a service that is saved alone besides', () => {
  const history = [
    result('run', '2026-11-25T03:15:00.000Z', { set: '20261125T031500Z-2222', numbers: { bytes: 3 * 2 ** 30, stores: 6 } }),
    result('run', '2026-11-25T11:00:00.000Z', { ok: false, only: ['db'], code: 'BACKUP_FAILED', message: 'db does not run' }),
  ];
  expect(statusText(status({ history, registration: { ...registration, services: { db: '0 * * * *' } } }))).toMatchInlineSnapshot(`
    "last set    20261125T031500Z-2222  8 h old, 3 GiB in 6 stores
    proven      none: composure backup drill restores one and compares

    WHAT    LAST (UTC)                   NEXT (UTC)
    run     2026-11-25 03:15:00  well    2026-11-26 03:15:00
    run db  2026-11-25 11:00:00  FAILED  due now              db does not run
    prune   -                    -       due now
    verify  -                    -       due now
    drill   -                    -       due now
    "
  `);
});

test('a project that has none, and nobody to make one', () => {
  expect(statusText(status())).toMatchInlineSnapshot(`
    "shop has no backup yet that was made on this host: composure backup run makes one
    proven      none: composure backup drill restores one and compares
    nothing is planned: x-composure.backup has no schedule, or no command has read it yet
    "
  `);
  expect(statusText(status({ agent: false, registration }))).toContain('no agent runs on this host, so nothing of this starts by itself');
});

test('who is at work, and what stands still', () => {
  const held = [
    { containers: ['web-1', 'web-2'], alive: true },
    { containers: ['mail-1'], alive: false },
  ];
  const text = statusText(status({ busy: 'backup by root (pid 12)', held }));
  expect(text).toContain('at work     backup by root (pid 12)\n');
  expect(text).toContain('still       web-1, web-2, while their files are read\n');
  expect(text).toContain('still       mail-1, left by a backup that was killed');
});

test.each([
  [0, '0 min'],
  [119, '119 min'],
  [120, '2 h'],
  [47 * 60, '47 h'],
  [48 * 60, '2 days'],
])('%i minutes are %s', (minutes, text) => {
  const now = new Date('2026-11-25T12:00:00Z');
  expect(age(new Date(now.getTime() - minutes * 60_000), now)).toBe(text);
});
