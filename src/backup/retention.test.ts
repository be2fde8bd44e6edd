import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { BackupSet } from './model.ts';
import { type ForgetDecision, keepArgs, planPrune, printPrune } from './retention.ts';
import { findSet, isWhole, missingStores, readSets, tagsOf } from './sets.ts';

const NOW = new Date('2026-11-24T12:00:00Z');
const ago = (hours: number): string => new Date(NOW.getTime() - hours * 3_600_000).toISOString();

const set = (name: string, hours: number, rest: Partial<BackupSet> = {}): BackupSet => ({
  project: 'shop',
  set: name,
  at: ago(hours),
  complete: true,
  safety: false,
  host: 'web-1',
  ...(rest.complete === false ? {} : { manifest: `${name}-manifest` }),
  snapshots: [
    { id: `${name}-db`, stores: ['db/postgres'], at: ago(hours) },
    ...(rest.complete === false ? [] : [{ id: `${name}-manifest`, stores: ['manifest'], at: ago(hours) }]),
  ],
  ...rest,
});

const snapshot = (name: string) => ({ id: `${name}-manifest`, time: '', hostname: '' });
const decided = (keep: Record<string, string[]>, remove: string[]): ForgetDecision => ({
  keep: Object.keys(keep).map(snapshot),
  remove: remove.map(snapshot),
  reasons: Object.entries(keep).map(([name, matches]) => ({ snapshot: snapshot(name), matches })),
});

describe('what a prune does', () => {
  test('counts the sets of a service with rules of its own by those, and keeps the newest of them', () => {
    const sets = [
      set('today', 2),
      set('db-1', 3, { only: ['db'] }),
      set('db-2', 5, { only: ['db'] }),
      set('db-3', 40, { only: ['db'] }),
      set('both', 41, { only: ['db', 'web'] }),
      set('web', 900, { only: ['web'] }),
      set('safety', 50, { only: ['db'], safety: true }),
    ];
    const services = { db: decided({ 'db-2': ['hourly snapshot'] }, ['db-1', 'db-3']) };
    expect(
      printPrune(planPrune(sets, decided({ today: ['daily snapshot'] }, []), { proven: new Map(), services, now: NOW })),
    ).toMatchInlineSnapshot(`
      "  keep    today  2026-11-24 10:00:00  daily snapshot, newest
        keep    db-1  2026-11-24 09:00:00  newest
        keep    db-2  2026-11-24 07:00:00  hourly snapshot
        keep    both  2026-11-22 19:00:00  of db, web only, younger than 30 days
        keep    safety  2026-11-22 10:00:00  made before a restore, younger than 30 days
      - remove  db-3  2026-11-22 20:00:00  no rule keeps it (2 snapshots)
      - remove  web  2026-10-18 00:00:00  of web only, older than 30 days (2 snapshots)
      5 sets kept, 2 removed
      "
    `);
  });

  test('says for each set what restic says, and what stays on top of it', () => {
    const sets = [
      set('today', 2),
      set('safety', 5, { safety: true }),
      set('running', 6, { complete: false }),
      set('failed', 30, { complete: false }),
      set('old', 48),
      set('proven', 72),
      set('older', 96),
      set('db-only', 800, { only: ['db'] }),
    ];
    const plan = planPrune(sets, decided({ today: ['daily snapshot', 'weekly snapshot'] }, ['old', 'proven', 'older']), {
      proven: new Map([
        ['proven', ago(70)],
        ['older', ago(90)],
        ['gone', ago(1)],
      ]),
      now: NOW,
    });
    expect(printPrune(plan)).toMatchInlineSnapshot(`
      "  keep    today  2026-11-24 10:00:00  daily snapshot, weekly snapshot, newest
        keep    safety  2026-11-24 07:00:00  made before a restore, younger than 30 days
        keep    running  2026-11-24 06:00:00  younger than a day and without a manifest: its run may be at work
        keep    proven  2026-11-21 12:00:00  newest that was restored for proof
      - remove  failed  2026-11-23 06:00:00  it has no manifest: its run failed or was killed (1 snapshot)
      - remove  old  2026-11-22 12:00:00  no rule keeps it (2 snapshots)
      - remove  older  2026-11-20 12:00:00  no rule keeps it (2 snapshots)
      - remove  db-only  2026-10-22 04:00:00  of db only, older than 30 days (2 snapshots)
      4 sets kept, 4 removed
      "
    `);
    expect(plan.remove.flatMap(({ snapshots }) => snapshots)).toEqual([
      'failed-db',
      'old-db',
      'old-manifest',
      'older-db',
      'older-manifest',
      'db-only-db',
      'db-only-manifest',
    ]);
  });

  test('what restic was not asked about stays', () => {
    const plan = planPrune([set('new', 0), set('old', 30)], decided({ old: ['last snapshot'] }, []), { proven: new Map(), now: NOW });
    expect(plan.remove).toEqual([]);
  });

  test('a set that is dated in the future stops it: rules that count from it would remove the real ones', () => {
    expect(() =>
      planPrune([set('future', -48), set('real', 3)], decided({ future: ['within 14d'] }, ['real']), { proven: new Map(), now: NOW }),
    ).toThrow(expect.objectContaining({ code: 'RETENTION_REFUSED', message: expect.stringContaining('future is dated in the future') }));
  });

  test.each([[{}], [{ last: 0 }], [{ daily: 0, weekly: 0 }]])('rules %j, which keep nothing, are refused', (keep) => {
    expect(() => keepArgs(keep)).toThrow(expect.objectContaining({ code: 'RETENTION_REFUSED' }));
  });

  test('rules are restic’s own options', () => {
    expect(keepArgs({ last: 3, daily: 0, within: '1y6m' })).toEqual(['--keep-last', '3', '--keep-within', '1y6m']);
  });

  test('whatever restic decides: the newest whole set and the newest proven one stay, and every set is kept or removed', () => {
    const anySet = fc.record({
      hours: fc.integer({ min: 0, max: 3000 }),
      complete: fc.boolean(),
      safety: fc.boolean(),
      only: fc.boolean(),
      isProven: fc.boolean(),
      isKept: fc.boolean(),
    });
    fc.assert(
      fc.property(fc.array(anySet, { maxLength: 12 }), (given) => {
        const sets = given.map(({ hours, complete, safety, only }, index) =>
          set(`s${index}`, hours, { complete, safety, ...(only ? { only: ['db'] } : {}) }),
        );
        const whole = sets.filter(isWhole).sort((a, b) => Date.parse(b.at) - Date.parse(a.at));
        const named = (one: BackupSet) => given[Number(one.set.slice(1))];
        const kept = whole.filter((one) => named(one)?.isKept).map((one): [string, string[]] => [one.set, ['daily snapshot']]);
        const removed = whole.filter((one) => !named(one)?.isKept).map((one) => one.set);
        const proven = new Map(sets.filter((one) => named(one)?.isProven).map((one) => [one.set, ago(0)]));
        const plan = planPrune(sets, decided(Object.fromEntries(kept), removed), { proven, now: NOW });
        const stays = new Set(plan.keep.map((one) => one.set));
        expect(stays.size + plan.remove.length).toBe(sets.length);
        if (whole[0]) expect(whole.filter(({ at }) => at === whole[0]?.at).some((one) => stays.has(one.set))).toBe(true);
        const newestProven = whole.find((one) => proven.has(one.set));
        if (newestProven) expect(stays).toContain(newestProven.set);
        for (const one of plan.remove) {
          const source = sets.find((other) => other.set === one.set);
          if (source && !source.complete) expect(NOW.getTime() - Date.parse(source.at)).toBeGreaterThan(86_400_000);
        }
      }),
    );
  });
});

describe('sets', () => {
  const snapshots = (name: string, time: string, stores: string[], extra: string[] = []) =>
    stores.map((store) => ({ id: `${name}-${store}`, time, hostname: 'web-1', tags: [...tagsOf('shop', name, store), ...extra] }));

  test('are read from tags, newest first; what has no tags of ours is not', () => {
    const sets = readSets([
      { id: 'foreign', time: '2026-11-24T00:00:00Z', hostname: 'x', tags: ['composure'] },
      { id: 'untagged', time: '2026-11-24T00:00:00Z', hostname: 'x' },
      ...snapshots('b', '2026-11-23T04:15:00.5+01:00', ['project', 'db/postgres/shop', 'manifest']),
      {
        id: 'c-made',
        time: '2026-11-24T03:15:00Z',
        hostname: 'web-1',
        tags: [...tagsOf('shop', 'c', 'project', 'db/postgres-roles'), 'only=db'],
      },
      ...snapshots('a', '2026-11-22T03:15:00Z', ['manifest'], ['safety']),
    ]);
    expect(sets.map(({ set: name, at, complete, safety, only }) => ({ name, at, complete, safety, only }))).toEqual([
      { name: 'c', at: '2026-11-24T03:15:00.000Z', complete: false, safety: false, only: ['db'] },
      { name: 'b', at: '2026-11-23T03:15:00.500Z', complete: true, safety: false, only: undefined },
      { name: 'a', at: '2026-11-22T03:15:00.000Z', complete: true, safety: true, only: undefined },
    ]);
    expect(sets[1]?.manifest).toBe('b-manifest');
    expect(sets[0]?.snapshots).toEqual([{ id: 'c-made', stores: ['project', 'db/postgres-roles'], at: '2026-11-24T03:15:00.000Z' }]);
  });

  const sets = [
    set('20261124T031500Z-aaaa', 9, { complete: false }),
    set('20261124T010000Z-eeee', 11, { only: ['db'] }),
    set('20261123T150000Z-bbbb', 21, { safety: true }),
    set('20261123T031500Z-cccc', 33),
    set('20261122T031500Z-dddd', 57),
  ];

  test.each([
    ['the latest whole one', {}, 'cccc'],
    ['the latest at or before a time', { at: '2026-11-22T23:00:00Z' }, 'dddd'],
    ['one by its id, also one from before a restore', { set: '20261123T150000Z-bbbb' }, 'bbbb'],
    ['one by the beginning of its id', { set: '20261122' }, 'dddd'],
    ['of a service alone, the newest that has it', { only: ['db'] }, 'eeee'],
    ['a store of that service', { only: ['db/postgres/shop'] }, 'eeee'],
    ['with what that set has not', { only: ['db', 'uploads'] }, 'cccc'],
    ['of a service alone at a time', { only: ['db'], at: '2026-11-23T12:00:00Z' }, 'cccc'],
  ])('%s is found', (_title, wanted, suffix) => {
    expect(findSet(sets, wanted).set).toMatch(new RegExp(`${suffix}$`));
  });

  test.each([
    ['an unknown id', { set: 'x' }, 'there is no set x'],
    ['a beginning that two have', { set: '20261123' }, 'several sets begin with 20261123'],
    ['one without a manifest', { set: '20261124T031500Z-aaaa' }, 'has no manifest'],
    ['a time before the first', { at: '2026-01-01T00:00:00Z' }, 'no backup is as old as'],
  ])('%s is refused with what there is', (_title, wanted, message) => {
    expect(() => findSet(sets, wanted)).toThrow(
      expect.objectContaining({
        code: 'SET_UNKNOWN',
        message: expect.stringContaining(message),
        details: expect.arrayContaining([expect.stringContaining('20261123T031500Z-cccc')]),
      }),
    );
  });

  test('what is no time is not taken for one', () => {
    expect(() => findSet(sets, { at: 'yesterday' })).toThrow(expect.objectContaining({ code: 'USAGE' }));
  });

  test('a store whose snapshot is gone is missed', () => {
    const store = {
      id: 'db/postgres',
      kind: 'postgres',
      service: 'db',
      name: '',
      tool: '',
      path: '',
      bytes: 0,
      added: 0,
      startedAt: '',
      endedAt: '',
      contentAt: '',
    } as const;
    const manifest = {
      version: 1,
      project: 'shop',
      set: 's',
      startedAt: '',
      endedAt: '',
      composure: '',
      host: '',
      images: {},
      composeHash: '',
      stores: [
        { ...store, snapshot: 's-db' },
        { ...store, id: 'cache/redis', snapshot: 's-cache' },
      ],
    } as const;
    expect(missingStores({ ...manifest, stores: [...manifest.stores] }, set('s', 1)).map(({ id }) => id)).toEqual(['cache/redis']);
  });
});
