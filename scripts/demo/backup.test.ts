import { expect, test } from 'vitest';
import type { DrillEvidence } from '../../src/backup/drill/model.ts';
import type { SavedStore } from '../../src/backup/model.ts';
import { drillText, proofOf, type SavedSet, savedText } from './backup.ts';

const store = (facts: SavedStore['facts']): SavedStore => ({ facts }) as SavedStore;

const set: SavedSet = {
  stores: 3,
  bytes: 1_572_864,
  manifest: {
    stores: [
      store({
        kind: 'tables',
        tables: [
          { name: 'public.events', rows: 20_000 },
          { name: 'public.results', rows: 1_234 },
        ],
      }),
      store({ kind: 'keys', keys: 12, expiring: 2 }),
      store(undefined),
    ],
  },
};

const evidence = (differences: string[]): DrillEvidence => ({
  project: 'demo',
  set: '20261124T061200Z-abcd',
  startedAt: '2026-11-24T06:12:00.000Z',
  endedAt: '2026-11-24T06:12:30.000Z',
  passed: differences.length === 0,
  stores: [{ id: 'redis/redis', bytes: 1, seconds: 1, counted: '12 keys', differences }],
  services: [
    { service: 'api', kind: 'healthy', text: 'healthy after 1.0 s', log: [] },
    { service: 'migrate', kind: 'ended', text: 'ended with 0 after 0.5 s', log: [] },
  ],
  left: [],
  missing: [],
  numbers: { rtoSeconds: 21.4, rpoSeconds: 3 },
});

test('what was saved, by what was counted', () => {
  expect(savedText(set)).toBe('one set, 3 stores, 1.5 MiB: 21,234 rows of PostgreSQL, 12 keys of Redis, the project’s own files');
});

test('the proof counts every difference', () => {
  expect(proofOf(set, evidence([]))).toEqual({ stores: 3, bytes: 1_572_864, differences: 0, rtoSeconds: 21.4, rpoSeconds: 3 });
  expect(proofOf(set, evidence(['11 keys, the manifest says 12'])).differences).toBe(1);
});

test('what the drill came to', () => {
  expect(drillText(evidence([]), proofOf(set, evidence([])))).toBe(
    'compared, 0 differences; 2 services well on the restored data after 21.4 s; all of it removed again',
  );
});
