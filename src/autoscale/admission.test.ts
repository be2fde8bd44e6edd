import { describe, expect, test } from 'vitest';
import { explainTier } from './explain.ts';
import type { Action, HostBudget, Tier } from './model.ts';
import { createState, decide } from './policy/decide.ts';
import { decisionOf } from './policy/decision.ts';
import { type Course, course, GIB, tier, worker } from './policy/fixtures.ts';
import { actionText, printReplay, type Recorded, replay } from './replay.ts';

const texts = (actions: Action[]): string[] => actions.map((action) => actionText(action));
const limits = (run: Course, id: string): string[] => decisionOf(run.state, run.tier(id)).limits;
const host = (cpus: number, gib: number, cores = 16): HostBudget => ({ cpus, memoryBytes: gib * GIB, cores });
const need = (cpus: number, gib = 0.5): Pick<Tier, 'need'> => ({ need: { cpus, memoryBytes: gib * GIB } });

function jobs(run: Course, seconds: number, service: string, waiting: number, active = 0): Action[] {
  return run.at(seconds, {
    kind: 'reading',
    tier: `shop/${service}`,
    trigger: 'queue',
    reading: { value: waiting + active, queue: { waiting, active } },
  });
}

/** Workers of a service, numbered from 1, by whether each is busy. */
function crew(run: Course, seconds: number, service: string, busy: boolean[]): void {
  const workers = busy.map((isBusy, index) => worker(index + 1, { id: `${service}${index + 1}`, busy: isBusy }));
  run.at(seconds, { kind: 'workers', tier: `shop/${service}`, workers });
}

describe('the ledger', () => {
  test('grants what fits and says what does not', () => {
    const run = course([tier('mail', need(0.5, 1))], host(4, 3));
    run.reading(0, 9, 0);
    expect(run.actions).toHaveLength(3);
    expect(limits(run, 'shop/mail')).toEqual(["the host's budget has no room for another 0.5 CPU, 1 GiB"]);
  });

  test('tenths of a core add up exactly', () => {
    const run = course([tier('mail', { ...need(0.1, 0.01), max: 100 })], host(0.7, 8));
    run.reading(0, 50, 0);
    expect(run.actions).toHaveLength(7);
  });

  test('draining counts with all it has, frozen with its memory, stopped with nothing; its own limits count where it has some', () => {
    const run = course([tier('mail', need(1, 1))], host(8, 8));
    run.at(0, {
      kind: 'workers',
      workers: [
        worker(1),
        worker(2, { phase: 'starting' }),
        worker(3, { phase: 'draining', need: { cpus: 2, memoryBytes: 2 * GIB } }),
        worker(4, { phase: 'stopped' }),
      ],
    });
    expect(run.tier().counts).toMatchObject({ nanoCpus: 4e9, bytes: 4 * GIB });
    const cold = course(
      [
        tier('mail', {
          ...need(1, 1),
          warm: { kind: 'frozen', count: 1 },
          pause: { paused: true, pausedScaleIn: false, pausedScaleOut: false },
        }),
      ],
      host(0.5, 8),
    );
    cold.at(0, { kind: 'workers', workers: [worker(1, { phase: 'frozen' })] });
    expect(cold.tier().counts).toMatchObject({ nanoCpus: 0, bytes: GIB });
  });

  test('nothing starts before the host and the containers of all tiers are known', () => {
    const run = course([tier('mail'), tier('video')], null);
    run.reading(0, 1, 0);
    expect(limits(run, 'shop/mail')).toEqual(["the host's budget is not known yet"]);
    run.at(1, { kind: 'tier', tier: tier('late') });
    run.at(1, { kind: 'host', budget: host(4, 8) });
    expect(run.actions).toEqual([]);
    expect(limits(run, 'shop/mail')).toEqual(['the containers of some tier have not been listed yet']);
    run.at(2, { kind: 'workers', tier: 'shop/late', workers: [] });
    expect(texts(run.actions)).toEqual(['create shop/mail/new-1 of shop/mail as number 1']);
  });

  test('under memory pressure nothing starts, and what is frozen is still thawed', () => {
    const run = course([tier('mail'), tier('video', { warm: { kind: 'frozen', count: 1 } })], {
      ...host(4, 8),
      pressure: 'memory stalls 7 % of the time',
    });
    run.at(0, { kind: 'workers', tier: 'shop/video', workers: [worker(1, { phase: 'frozen' })] });
    run.reading(0, 1, 0);
    expect(texts(run.actions)).toEqual(['thaw c1 of shop/video']);
    expect(limits(run, 'shop/mail')).toEqual(['memory pressure: memory stalls 7 % of the time']);
  });

  test('a frozen worker is thawed only when there is CPU for it', () => {
    const run = course([tier('mail', need(2)), tier('video', { ...need(1), warm: { kind: 'frozen', count: 1 } })], host(2.5, 8));
    crew(run, 0, 'mail', [true]);
    run.at(0, { kind: 'workers', tier: 'shop/video', workers: [worker(1, { phase: 'frozen' })] });
    jobs(run, 1, 'video', 1);
    expect(run.actions).toEqual([]);
    run.at(2, { kind: 'worker-gone', tier: 'shop/mail', worker: 'mail1' });
    expect(texts(run.actions)).toEqual(['thaw c1 of shop/video']);
  });

  test('twice as many starts as cores are in flight, and one that is stuck does not count for ever', () => {
    const run = course([tier('mail', { ...need(0.1), max: 20 })], host(100, 100, 2));
    run.reading(0, 9, 0);
    expect(run.actions).toHaveLength(4);
    expect(limits(run, 'shop/mail')).toEqual(['starts in flight: two a core']);
    run.at(1, { kind: 'worker', worker: worker(1), replaces: 'shop/mail/new-1' });
    expect(run.actions).toHaveLength(5);
    run.reading(31, 9, 0);
    expect(run.actions).toHaveLength(9);
  });

  test('a tier of which one worker is more than the host has keeps nobody waiting', () => {
    const run = course([tier('video', need(9)), tier('mail')], host(4, 8));
    jobs(run, 0, 'video', 1);
    jobs(run, 500, 'mail', 1);
    expect(limits(run, 'shop/video')).toEqual(['one worker (9 CPU, 512 MiB) is more than the whole budget']);
    expect(texts(run.actions)).toEqual(['create shop/mail/new-1 of shop/mail as number 1']);
  });
});

describe('whose turn it is', () => {
  test('the lowest dominant share, one worker at a time', () => {
    // CPU dominates for one, memory for the other: 1/8 against 1/4 for each worker.
    const run = course([tier('mail', { ...need(1, 0.5), max: 20 }), tier('video', { ...need(0.5, 2), max: 20 })], null);
    jobs(run, 0, 'mail', 20);
    jobs(run, 0, 'video', 20);
    run.at(0, { kind: 'host', budget: host(8, 8) });
    expect(run.actions.map(({ tier: id }) => id.slice(5))).toEqual([
      'mail',
      'video',
      'mail',
      'mail',
      'video',
      'mail',
      'mail',
      'mail',
      'mail',
    ]);
    // A third of the other would have been next, but 2 GiB are no longer free.
    expect(run.tier('shop/mail').counts.nanoCpus + run.tier('shop/video').counts.nanoCpus).toBeLessThanOrEqual(8e9);
  });

  test('a tier that waits longer than its target reserves what is free, though others would fit', () => {
    const run = course(
      [tier('heavy', { ...need(3), drainTargetMs: 30_000 }), tier('mail', { ...need(1), drainTargetMs: 60_000 })],
      host(4, 8),
    );
    crew(run, 0, 'mail', [true, true]);
    jobs(run, 0, 'mail', 0, 2);
    jobs(run, 0, 'heavy', 1);
    jobs(run, 20, 'mail', 1, 2);
    expect(texts(run.actions)).toEqual(['create shop/mail/new-1 of shop/mail as number 3']);
    run.at(21, { kind: 'worker', tier: 'shop/mail', worker: worker(3, { id: 'mail3', busy: true }), replaces: 'shop/mail/new-1' });
    run.actions.length = 0;
    jobs(run, 31, 'mail', 1, 3);
    expect(run.actions).toEqual([]);
    expect(limits(run, 'shop/mail')).toEqual(['room is kept for a tier that has waited longer over its target']);
    for (const number of [1, 2]) run.at(40, { kind: 'worker-gone', tier: 'shop/mail', worker: `mail${number}` });
    expect(texts(run.actions)).toEqual(['create shop/heavy/new-2 of shop/heavy as number 1']);
  });

  test('lateness is counted in targets: two light ones late come before one heavy', () => {
    const run = course(
      [tier('heavy', { ...need(2), drainTargetMs: 100_000 }), tier('mail', { ...need(2), drainTargetMs: 5000 }), tier('busy', need(2))],
      host(2, 8),
    );
    crew(run, 0, 'busy', [true]);
    jobs(run, 0, 'busy', 0, 1);
    jobs(run, 0, 'heavy', 1);
    jobs(run, 90, 'mail', 1);
    run.at(110, { kind: 'worker-gone', tier: 'shop/busy', worker: 'busy1' });
    expect(texts(run.actions)).toEqual(['create shop/mail/new-1 of shop/mail as number 1']);
  });

  test('a late tier that was given one waits anew: two that are late take turns', () => {
    const run = course([tier('heavy', need(1)), tier('mail', need(1)), tier('video', need(1))], host(3, 8));
    crew(run, 0, 'video', [true, true, true]);
    jobs(run, 0, 'video', 0, 3);
    jobs(run, 0, 'heavy', 5);
    jobs(run, 1, 'mail', 5);
    jobs(run, 20, 'video', 0);
    for (const number of [1, 2, 3]) run.at(20 + number, { kind: 'worker-gone', tier: 'shop/video', worker: `video${number}` });
    expect(run.actions.map(({ tier: id }) => id)).toEqual(['shop/heavy', 'shop/mail', 'shop/heavy']);
  });

  test('in spite of a reservation that only the end of a job can serve, a tier without any worker gets its first', () => {
    const run = course(
      [tier('heavy', { ...need(2), drainTargetMs: 10_000 }), tier('mail', { ...need(0.5), drainTargetMs: 60_000 })],
      host(3.5, 8),
    );
    crew(run, 0, 'heavy', [true]);
    jobs(run, 0, 'heavy', 1, 1);
    jobs(run, 30, 'mail', 5);
    expect(texts(run.actions)).toEqual(['create shop/mail/new-1 of shop/mail as number 1']);
    expect(limits(run, 'shop/mail')).toContain('room is kept for a tier that has waited longer over its target');
  });

  test('not even its first, when the reserved room is about to be complete', () => {
    const run = course(
      [
        tier('heavy', { ...need(2), drainTargetMs: 10_000 }),
        tier('mail', { ...need(0.5), drainTargetMs: 600_000 }),
        tier('video', need(2)),
      ],
      host(3, 8),
    );
    crew(run, 0, 'video', [true]);
    jobs(run, 0, 'video', 0, 1);
    jobs(run, 0, 'heavy', 1);
    crew(run, 30, 'video', [false]);
    jobs(run, 30, 'video', 0);
    expect(texts(run.actions)).toEqual(['retire video1 of shop/video, then remove']);
    jobs(run, 31, 'mail', 1);
    expect(run.actions).toHaveLength(1);
    run.at(32, { kind: 'worker-gone', tier: 'shop/video', worker: 'video1' });
    expect(texts(run.actions).slice(1)).toEqual([
      'create shop/heavy/new-1 of shop/heavy as number 1',
      'create shop/mail/new-2 of shop/mail as number 1',
    ]);
  });

  test('what never leaves is no reason to reserve', () => {
    const run = course([tier('heavy', { ...need(3), drainTargetMs: 10_000 }), tier('mail', { ...need(1), min: 2 })], host(4, 8));
    crew(run, 0, 'mail', [true, true]);
    run.actions.length = 0;
    jobs(run, 0, 'heavy', 1);
    jobs(run, 60, 'mail', 5, 2);
    expect(run.actions.map(({ tier: id }) => id)).toEqual(['shop/mail', 'shop/mail']);
  });
});

describe('room is made', () => {
  const both = (more: Partial<Tier> = {}, budget = host(4, 8)): Course =>
    course([tier('heavy', { ...need(2, 4), drainTargetMs: 120_000 }), tier('mail', { ...need(1, 1), max: 6, ...more })], budget);

  test('by idle workers above what their tier needs, as many as it takes, and what is already leaving is not taken twice', () => {
    const run = both();
    crew(run, 0, 'mail', [false, false, true, false]);
    jobs(run, 0, 'mail', 0, 4);
    jobs(run, 10, 'mail', 0, 1);
    expect(run.actions).toEqual([]);
    jobs(run, 11, 'heavy', 1);
    expect(texts(run.actions)).toEqual(['retire mail4 of shop/mail, then remove', 'retire mail2 of shop/mail, then remove']);
    expect(run.actions[0]?.why).toBe('heavy waits for room');
    jobs(run, 12, 'heavy', 1);
    jobs(run, 12, 'mail', 0, 1);
    expect(run.actions).toHaveLength(2);
    run.at(13, { kind: 'worker-gone', tier: 'shop/mail', worker: 'mail4' });
    run.at(13, { kind: 'worker-gone', tier: 'shop/mail', worker: 'mail2' });
    expect(texts(run.actions).slice(2)).toEqual(['create shop/heavy/new-1 of shop/heavy as number 1']);
  });

  test('never by busy ones, by those of a minimum, of a tier whose metric is lost, of a held project or of a paused tier, and never in vain', () => {
    const cases: [string, Partial<Tier>, boolean[], (run: Course) => void][] = [
      ['busy', {}, [true, true, true, true], () => {}],
      ['minimum', { min: 4 }, [false, false, false, false], () => {}],
      ['in vain', {}, [false, true, true, true], () => {}],
      [
        'lost',
        {},
        [false, false, false, false],
        (run) => run.at(10, { kind: 'reading-failed', tier: 'shop/mail', trigger: 'queue', message: 'gone' }),
      ],
      ['held', { project: 'other' }, [false, false, false, false], (run) => run.at(10, { kind: 'held', project: 'other', by: 'deploy' })],
      ['paused', { pause: { paused: true, pausedScaleIn: false, pausedScaleOut: false } }, [false, false, false, false], () => {}],
      ['noticed', {}, [false, false, false, false], (run) => run.at(10, { kind: 'notice', tier: 'shop/mail', trigger: 'queue' })],
    ];
    for (const [name, more, busy, happens] of cases) {
      const run = both(more);
      crew(run, 0, 'mail', busy);
      jobs(run, 0, 'mail', 0, 4);
      jobs(run, 1, 'mail', 0, busy.filter(Boolean).length);
      happens(run);
      run.actions.length = 0;
      jobs(run, 11, 'heavy', 1);
      expect(texts(run.actions), name).toEqual([]);
    }
  });

  test('by a frozen pool where memory is short, which is not filled again within a minute', () => {
    const run = both({ warm: { kind: 'frozen', count: 1 }, ...need(1, 5) });
    crew(run, 0, 'mail', [false]);
    for (let at = 0; at <= 60; at += 5) jobs(run, at, 'mail', 0);
    run.at(61, { kind: 'worker', tier: 'shop/mail', worker: worker(1, { id: 'mail1', phase: 'frozen' }) });
    run.actions.length = 0;
    jobs(run, 62, 'heavy', 1);
    expect(texts(run.actions)).toEqual(['retire mail1 of shop/mail, then remove']);
    run.at(63, { kind: 'worker-gone', tier: 'shop/mail', worker: 'mail1' });
    expect(texts(run.actions).slice(1)).toEqual(['create shop/heavy/new-1 of shop/heavy as number 1']);
    run.at(64, { kind: 'worker', tier: 'shop/heavy', worker: worker(1, { id: 'heavy1', busy: true }), replaces: 'shop/heavy/new-1' });
    run.at(70, { kind: 'host', budget: host(40, 80) });
    run.actions.length = 0;
    for (let at = 70; at <= 121; at += 5) jobs(run, at, 'mail', 0);
    expect(run.actions).toEqual([]);
    jobs(run, 123, 'mail', 0);
    expect(texts(run.actions)).toEqual(['create shop/mail/new-2 of shop/mail as number 1']);
  });

  test('what does not leave within half a minute is not counted on', () => {
    const run = both();
    crew(run, 0, 'mail', [true, false, false, false]);
    jobs(run, 0, 'mail', 0, 4);
    jobs(run, 1, 'mail', 0, 1);
    jobs(run, 11, 'heavy', 1);
    expect(run.actions).toHaveLength(2);
    run.at(20, { kind: 'worker-gone', tier: 'shop/mail', worker: 'mail4' });
    jobs(run, 41, 'heavy', 1);
    expect(run.actions).toHaveLength(2);
    jobs(run, 42, 'heavy', 1);
    expect(texts(run.actions).slice(2)).toEqual(['retire mail2 of shop/mail, then remove']);
  });

  test('a frozen pool is not ended without CPU to thaw it first', () => {
    const run = course(
      [tier('heavy', need(0.5, 6)), tier('mail', { ...need(1, 4), warm: { kind: 'frozen', count: 1 } }), tier('video', need(3.5, 0.5))],
      host(4, 8),
    );
    crew(run, 0, 'mail', [false]);
    for (let at = 0; at <= 60; at += 5) jobs(run, at, 'mail', 0);
    run.at(61, { kind: 'worker', tier: 'shop/mail', worker: worker(1, { id: 'mail1', phase: 'frozen' }) });
    crew(run, 61, 'video', [true]);
    run.actions.length = 0;
    jobs(run, 62, 'heavy', 1);
    expect(run.actions).toEqual([]);
    run.at(63, { kind: 'worker-gone', tier: 'shop/video', worker: 'video1' });
    expect(texts(run.actions)).toEqual(['retire mail1 of shop/mail, then remove']);
  });

  test('a frozen pool is left alone where only CPU is short', () => {
    const run = both({ warm: { kind: 'frozen', count: 1 }, ...need(1, 1) }, host(2, 8));
    crew(run, 0, 'mail', [false]);
    for (let at = 0; at <= 60; at += 5) jobs(run, at, 'mail', 0);
    run.at(61, { kind: 'worker', tier: 'shop/mail', worker: worker(1, { id: 'mail1', phase: 'frozen' }) });
    run.actions.length = 0;
    jobs(run, 62, 'heavy', 2);
    expect(texts(run.actions)).toEqual(['create shop/heavy/new-1 of shop/heavy as number 1']);
  });
});

test('while a release holds the project nothing of it is touched, and everything right after', () => {
  const run = course([tier('mail')], host(4, 8));
  run.at(0, { kind: 'held', project: 'shop', by: 'composure deploy' });
  run.reading(0, 3, 0);
  expect(run.actions).toEqual([]);
  expect(limits(run, 'shop/mail')).toEqual(['held by composure deploy']);
  run.at(1, { kind: 'held', project: 'shop' });
  expect(run.actions).toHaveLength(3);
});

test('explain says in one screen why there are so many', () => {
  const run = course(
    [tier('heavy', { ...need(2, 4), class: 'heavy', drainTargetMs: 30_000 }), tier('mail', { ...need(0.5, 0.25) })],
    host(3, 6),
  );
  crew(run, 0, 'heavy', [true]);
  crew(run, 0, 'mail', [false, true]);
  jobs(run, 0, 'mail', 0, 2);
  jobs(run, 20, 'mail', 0, 1);
  jobs(run, 30, 'heavy', 2, 1);
  jobs(run, 65, 'heavy', 2, 1);
  expect(explainTier(run.state, 'shop/heavy', run.decisions)).toMatchInlineSnapshot(`
    "shop/heavy: 1 serves, 3 wanted
      queue: W 2 waiting, A 1 running, read 0 ms ago
      slots = min(W + A = 3, max(A 1, L 0) + W 2 x S/T) = 3; ceil(slots / 1) = 3; S 30.0 s (= T, none has ended yet), T 30.0 s, lambda 0/s
      formula 3 -> windows and rates 3 -> limits 3 -> host 1
      - the host's budget has no room for another 2 CPU, 4 GiB

    workers
      heavy-1  running, busy

    host: 3 of 3 CPU, 4.5 GiB of 6 GiB
    > shop/heavy  1 running  2 CPU, 4 GiB (66.667 %), waits 35.0 s for 2 CPU, 4 GiB (late: target 30.0 s)
      shop/mail  2 running  1 CPU, 512 MiB (33.333 %)

    decisions before
      1970-01-01T00:00:00Z  formula 0 -> windows and rates 0 -> limits 0 -> host 0  (a metric is missing: nothing is taken away)
      1970-01-01T00:00:00Z  formula 0 -> windows and rates 1 -> limits 1 -> host 1  (a metric is missing: nothing is taken away; the scaleDown window of 1 min 00 s)
      1970-01-01T00:00:30Z  formula 3 -> windows and rates 3 -> limits 3 -> host 1  (the host's budget has no room for another 2 CPU, 4 GiB)
    "
  `);
  expect(explainTier(run.state, 'shop/mail')?.split('\n').length).toBeLessThan(24);
  expect(explainTier(run.state, 'shop/none')).toBeUndefined();
});

describe('replay', () => {
  const record = (): { start: ReturnType<typeof createState>; recorded: Recorded[] } => {
    let state = createState(0);
    const recorded: Recorded[] = [];
    const feed = (event: Parameters<typeof decide>[1]): void => {
      const kept = structuredClone(event);
      const { actions, decisions, state: next } = decide(state, event);
      state = next;
      recorded.push({ event: kept, actions: structuredClone(actions), decisions });
    };
    feed({ atMs: 0, kind: 'tier', tier: tier('mail') });
    feed({ atMs: 0, kind: 'workers', tier: 'shop/mail', workers: [worker(1)] });
    feed({ atMs: 0, kind: 'host', budget: host(4, 8) });
    for (let at = 0; at <= 100_000; at += 5000) {
      const active = at < 20_000 ? 1 : 0;
      feed({ atMs: at, kind: 'reading', tier: 'shop/mail', trigger: 'queue', reading: { value: active, queue: { waiting: 0, active } } });
    }
    return { start: createState(0), recorded };
  };

  test('the same policy decides as recorded, and what it is given stays as it was', () => {
    const { start, recorded } = record();
    const before = JSON.stringify([start, recorded]);
    expect(printReplay(replay(start, recorded))).toBe('24 events, decided as recorded\n');
    expect(JSON.stringify([start, recorded])).toBe(before);
  });

  test('other settings show where they would have decided otherwise', () => {
    const { start, recorded } = record();
    const patient = replay(start, recorded, (event) =>
      event.kind === 'tier' ? { ...event, tier: { ...event.tier, cooldownMs: 75_000 } } : event,
    );
    expect(printReplay(patient)).toMatchInlineSnapshot(`
      "24 events, 2 decided otherwise

      1970-01-01T00:01:20.000Z
        - retire c1 of shop/mail, then remove
        - shop/mail  1970-01-01T00:01:20Z  formula 0 -> windows and rates 0 -> limits 0 -> host 0
        + shop/mail  1970-01-01T00:01:20Z  formula 0 -> windows and rates 0 -> limits 1 -> host 1  (the cooldown of 1 min 15 s before zero)

      1970-01-01T00:01:35.000Z
        + retire c1 of shop/mail, then remove
        + shop/mail  1970-01-01T00:01:35Z  formula 0 -> windows and rates 0 -> limits 0 -> host 0
      "
    `);
  });
});
