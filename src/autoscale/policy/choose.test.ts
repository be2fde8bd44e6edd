import { describe, expect, test } from 'vitest';
import type { Action, Tier } from '../model.ts';
import { actionText } from '../replay.ts';
import { nextWakeMs } from './decide.ts';
import { decisionOf } from './decision.ts';
import { type Course, course, GIB, tier, trigger, worker } from './fixtures.ts';

const HUGE = { cpus: 100, memoryBytes: 1000 * GIB, cores: 100 };
const alone = (changes: Partial<Tier> = {}): Course => course([tier('mail', changes)], HUGE);
const texts = (actions: Action[]): string[] => actions.map((action) => actionText(action));
const limits = (run: Course): string[] => decisionOf(run.state, run.tier()).limits;

/** Polls an idle queue every 5 s, as the loop does. */
function idle(run: Course, from: number, until: number): Action[] {
  const actions: Action[] = [];
  for (let at = from; at <= until; at += 5) actions.push(...run.reading(at, 0, 0));
  return actions;
}

/** A tier of one warm worker that has been frozen since second 100. */
function frozen(changes: Partial<Tier> = {}): Course {
  const run = alone({ warm: { kind: 'frozen', count: 1 }, ...changes });
  run.at(0, { kind: 'workers', workers: [worker(1)] });
  expect(texts(idle(run, 0, 100))).toEqual(['freeze c1 of shop/mail']);
  run.at(100, { kind: 'worker', worker: worker(1, { phase: 'frozen' }) });
  run.actions.length = 0;
  return run;
}

describe('who goes', () => {
  test('another configuration first, then the longest idle, then the highest number; busy and unknown ones stay', () => {
    const run = alone();
    run.at(0, {
      kind: 'workers',
      workers: [
        worker(1, { idleSinceMs: -9000 }),
        worker(2, { idleSinceMs: -1000, obsolete: true }),
        worker(3, { idleSinceMs: -3000 }),
        worker(4, { idleSinceMs: -3000 }),
        worker(5, { busy: true, obsolete: true }),
        { id: 'c6', number: 6, phase: 'running', sinceMs: 0, obsolete: false },
      ],
    });
    run.at(0, { kind: 'manual', replicas: 6 });
    for (let at = 0; at <= 120; at += 5) run.reading(at, 0, 1);
    run.actions.length = 0;
    run.at(120, { kind: 'manual', replicas: 3 });
    expect(texts(run.actions)).toEqual([
      'retire c2 of shop/mail, then remove',
      'retire c1 of shop/mail, then remove',
      'retire c4 of shop/mail, then remove',
    ]);
    run.at(121, { kind: 'manual', replicas: 0 });
    expect(texts(run.actions).slice(3)).toEqual(['retire c3 of shop/mail, then remove']);
    expect(limits(run)).toContain('1 busy and 1 that nobody can tell to be idle stay');
  });

  test('where workers are not told apart, all queues that say that nothing runs prove it; one that does not tell proves nothing', () => {
    const unknown = { id: 'c1', number: 1, phase: 'running' as const, sinceMs: 0, obsolete: false };
    const told = alone();
    told.at(0, { kind: 'workers', workers: [unknown] });
    expect(texts(idle(told, 0, 100))).toEqual(['retire c1 of shop/mail, then remove']);

    // Without a framework whoever carries it out has a quiet CPU to go by, and is asked for that.
    for (const [more, asked] of [
      [{ framework: 'celery' as const }, []],
      [{}, ['1 serve, 0 wanted; if it proves idle']],
    ] as const) {
      const untold = alone({ ...more, triggers: [trigger(), trigger({ name: 'rate', type: 'prometheus', target: 5 })] });
      untold.at(0, { kind: 'workers', workers: [{ ...unknown }] });
      for (let at = 0; at <= 200; at += 5) {
        untold.at(at, { kind: 'reading', trigger: 'rate', reading: { value: 0 } });
        untold.reading(at, 0, 0);
      }
      expect(untold.tier().wanted).toBe(0);
      expect(untold.actions.map(({ why }) => why)).toEqual(asked);
    }

    const cron = alone({ triggers: [trigger(), trigger({ name: 'night', type: 'cron', target: 1 })] });
    cron.at(0, { kind: 'workers', workers: [{ ...unknown }] });
    for (let at = 0; at <= 200; at += 5) {
      cron.at(at, { kind: 'reading', trigger: 'night', reading: { value: 0 } });
      cron.reading(at, 0, 0);
    }
    expect(texts(cron.actions)).toEqual(['retire c1 of shop/mail, then remove']);
  });

  test('a worker is busy if one source says so, and idle only if all that tell workers apart say so', () => {
    const run = alone({ triggers: [trigger(), trigger({ name: 'other' })] });
    run.at(0, { kind: 'workers', workers: [worker(1), worker(2), worker(3)] });
    const read = (name: string, workers: { hostname: string; busy: boolean }[]) =>
      run.at(0, { kind: 'reading', trigger: name, reading: { value: 0, queue: { waiting: 0, active: 0 }, workers } });
    read('queue', [
      { hostname: 'c3', busy: false },
      { hostname: 'c1', busy: true },
      { hostname: 'c2', busy: false },
    ]);
    read('other', [
      { hostname: 'c1', busy: false },
      { hostname: 'c2', busy: false },
    ]);
    expect(run.tier().workers.map(({ busy }) => busy)).toEqual([true, false, undefined]);
  });

  test('a source may name a worker by its host name or address where the file gives it one', () => {
    const run = alone();
    run.at(0, { kind: 'workers', workers: [worker(1, { hostname: 'one' }), worker(2, { address: '172.20.0.7' }), worker(3)] });
    const workers = [
      { hostname: 'one', busy: true },
      { address: '172.20.0.7', busy: true },
      { hostname: 'c', busy: false },
    ];
    run.at(0, { kind: 'reading', trigger: 'queue', reading: { value: 2, queue: { waiting: 0, active: 2 }, workers } });
    expect(run.tier().workers.map(({ busy }) => busy)).toEqual([true, true, false]);
  });

  test('between a notice and its reading nobody goes', () => {
    const run = alone();
    run.at(0, { kind: 'workers', workers: [worker(1)] });
    idle(run, 0, 55);
    run.at(59, { kind: 'notice', trigger: 'queue' });
    run.at(200, { kind: 'tick' });
    expect(run.actions).toEqual([]);
  });
});

test('a notice keeps all, whatever a window or a pause allows', () => {
  const run = alone();
  run.at(0, { kind: 'workers', workers: [worker(1), worker(2), worker(3)] });
  idle(run, 0, 55);
  run.at(59, { kind: 'notice', trigger: 'queue' });
  run.at(61, { kind: 'tick' });
  expect(run.tier().wanted).toBe(3);
  run.at(62, { kind: 'paused', pause: { paused: true, pausedReplicas: 0, pausedScaleIn: false, pausedScaleOut: false } });
  expect(run.actions).toEqual([]);
  run.reading(63, 0, 0);
  expect(run.actions).toHaveLength(3);
});

describe('warm pools', () => {
  test('the whole tier is frozen when it goes to zero, never one beside others that run', () => {
    const run = alone({ warm: { kind: 'frozen', count: 1 } });
    run.at(0, { kind: 'workers', workers: [worker(1), worker(2, { busy: true }), worker(3)] });
    for (let at = 0; at <= 100; at += 5) run.reading(at, 0, 1);
    expect(texts(run.actions)).toEqual(['retire c3 of shop/mail, then remove', 'retire c1 of shop/mail, then remove']);
    run.at(101, { kind: 'worker-gone', worker: 'c3' });
    run.at(101, { kind: 'worker-gone', worker: 'c1' });
    run.at(101, { kind: 'worker', worker: worker(2) });
    run.actions.length = 0;
    expect(texts(idle(run, 105, 200))).toEqual(['freeze c2 of shop/mail']);
  });

  test('a notice thaws all before anything is read, and they are frozen again when the cooldown is over', () => {
    const run = frozen();
    expect(run.at(110, { kind: 'notice', trigger: 'queue' })).toEqual([
      { kind: 'thaw', tier: 'shop/mail', worker: 'c1', why: 'it may have been handed a job' },
    ]);
    run.at(110.01, { kind: 'worker', worker: worker(1) });
    // The depth reads 0, because the frozen one had been handed the job.
    run.reading(110.02, 0, 0);
    expect(texts(idle(run, 115, 165))).toEqual([]);
    expect(texts(idle(run, 170, 175))).toEqual(['freeze c1 of shop/mail']);
  });

  test.each([
    ['work', (run: Course) => run.reading(110, 1, 0)],
    ['a lost metric', (run: Course) => run.at(110, { kind: 'reading-failed', trigger: 'queue', message: 'gone' })],
    ['a manual count', (run: Course) => run.at(110, { kind: 'manual', replicas: 1 })],
    [
      'another configuration of it',
      (run: Course) => run.at(110, { kind: 'worker', worker: worker(1, { phase: 'frozen', obsolete: true }) }),
    ],
    ['a tier that keeps no frozen pool any more', (run: Course) => run.at(110, { kind: 'tier', tier: tier('mail') })],
    ['a tier that is no longer scaled', (run: Course) => run.at(110, { kind: 'tier-gone' })],
    ['work although the tier is paused', pausedWork],
    ['work although a release holds the project', heldWork],
  ])('%s thaws it', (_, happens) => {
    expect(texts(happens(frozen()))).toEqual(['thaw c1 of shop/mail']);
  });

  function pausedWork(run: Course): Action[] {
    run.at(109, { kind: 'paused', pause: { paused: true, pausedScaleIn: false, pausedScaleOut: false } });
    return run.reading(110, 1, 0);
  }

  function heldWork(run: Course): Action[] {
    run.at(109, { kind: 'held', project: 'shop', by: 'deploy' });
    return run.at(110, { kind: 'notice', trigger: 'queue' });
  }

  test('frozen by somebody else while it runs: thawed at once', () => {
    const run = alone({ warm: { kind: 'frozen', count: 1 }, cooldownMs: 0 });
    run.at(0, { kind: 'workers', workers: [worker(1), worker(2, { phase: 'starting' })] });
    idle(run, 0, 100);
    expect([run.tier().zero, texts(run.actions)]).toEqual([true, []]);
    expect(texts(run.at(101, { kind: 'worker', worker: worker(1, { phase: 'frozen' }) }))).toEqual(['thaw c1 of shop/mail']);
  });

  test('nothing is frozen beside a worker that starts, nor beside one that just proved busy', () => {
    const starting = alone({ warm: { kind: 'frozen', count: 2 } });
    starting.at(0, { kind: 'workers', workers: [worker(1), worker(2, { phase: 'starting' })] });
    expect(texts(idle(starting, 0, 100))).toEqual([]);
    starting.at(101, { kind: 'worker', worker: worker(2) });
    expect(texts(starting.actions)).toEqual(['freeze c2 of shop/mail', 'freeze c1 of shop/mail']);

    const refused = alone({ warm: { kind: 'frozen', count: 2 } });
    refused.at(0, { kind: 'workers', workers: [worker(1), worker(2)] });
    expect(idle(refused, 0, 60)).toHaveLength(2);
    refused.at(61, { kind: 'action-failed', worker: 'c1', action: 'freeze', message: 'busy' });
    refused.at(62, { kind: 'action-failed', worker: 'c2', action: 'freeze', message: 'busy' });
    expect(texts(refused.reading(71.5, 0, 0))).toEqual([]);
    expect(texts(refused.reading(72.5, 0, 0))).toEqual(['freeze c2 of shop/mail', 'freeze c1 of shop/mail']);
  });

  test('found frozen by whoever starts: thawed at once', () => {
    const run = alone({ warm: { kind: 'frozen', count: 1 } });
    run.at(0, { kind: 'workers', workers: [worker(1, { phase: 'frozen' })] });
    expect(texts(run.actions)).toEqual(['thaw c1 of shop/mail']);
  });

  test('every ten minutes it is thawed to show what it may have been handed, and frozen again two seconds later', () => {
    const run = frozen();
    expect(nextWakeMs(run.state)).toBe(700_000);
    expect(texts(idle(run, 105, 699))).toEqual([]);
    expect(texts(run.at(700, { kind: 'tick' }))).toEqual(['thaw c1 of shop/mail']);
    run.at(700.01, { kind: 'worker', worker: worker(1) });
    expect(texts(run.reading(701.9, 0, 0))).toEqual([]);
    expect(nextWakeMs(run.state)).toBe(702_000);
    expect(texts(run.reading(702.1, 0, 0))).toEqual(['freeze c1 of shop/mail']);
  });

  test('a job that shows after the safety thaw keeps it running', () => {
    const run = frozen();
    idle(run, 105, 695);
    run.at(700, { kind: 'tick' });
    run.at(700.01, { kind: 'worker', worker: worker(1) });
    run.reading(702.1, 0, 1);
    expect(run.tier().wanted).toBe(1);
    expect(texts(run.actions)).toEqual(['thaw c1 of shop/mail']);
  });

  test('a thaw that failed is tried again, by the next look or by another worker', () => {
    const run = frozen({ max: 1 });
    run.reading(110, 1, 0);
    run.at(110.1, { kind: 'action-failed', worker: 'c1', action: 'thaw', message: 'no' });
    expect(nextWakeMs(run.state)).toBe(111_100);
    expect(texts(run.at(111.1, { kind: 'tick' }))).toEqual(['thaw c1 of shop/mail']);
    run.at(111.2, { kind: 'action-failed', worker: 'c1', action: 'thaw', message: 'no' });
    run.at(112.3, { kind: 'tick' });
    run.at(112.4, { kind: 'action-failed', worker: 'c1', action: 'thaw', message: 'no' });
    expect(texts(run.actions).slice(3)).toEqual(['create shop/mail/new-1 of shop/mail as number 2']);
  });

  test('consumers that the server would drop are stopped, not frozen', () => {
    const run = alone({ warm: { kind: 'frozen', count: 1 }, triggers: [trigger({ type: 'rabbitmq', freezable: false })] });
    run.at(0, { kind: 'workers', workers: [worker(1), worker(2)] });
    expect(texts(idle(run, 0, 100))).toEqual(['retire c2 of shop/mail, then keep', 'retire c1 of shop/mail, then remove']);
  });

  test('stopped ones are kept up to the declared count and started before new ones are made', () => {
    const run = alone({ warm: { kind: 'stopped', count: 2 } });
    run.at(0, {
      kind: 'workers',
      workers: [worker(1), worker(2), worker(3), worker(4, { phase: 'stopped' }), worker(5, { phase: 'stopped', obsolete: true })],
    });
    expect(texts(idle(run, 0, 100))).toEqual([
      'retire c3 of shop/mail, then keep',
      'retire c2 of shop/mail, then remove',
      'retire c1 of shop/mail, then remove',
    ]);
    run.at(101, { kind: 'worker', worker: worker(3, { phase: 'stopped' }) });
    run.at(101, { kind: 'worker-gone', worker: 'c2' });
    run.at(101, { kind: 'worker-gone', worker: 'c1' });
    run.actions.length = 0;
    run.reading(110, 3, 0);
    // Never one of an older configuration, and its number is taken.
    expect(texts(run.actions)).toEqual([
      'start c3 of shop/mail',
      'start c4 of shop/mail',
      'create shop/mail/new-1 of shop/mail as number 1',
    ]);
  });

  test('an idle tier without a pool gets it while nobody waits', () => {
    const run = alone({ warm: { kind: 'frozen', count: 1 } });
    expect(texts(idle(run, 0, 100))).toEqual(['create shop/mail/new-1 of shop/mail as number 1']);
    run.at(100, { kind: 'worker', worker: worker(1), replaces: 'shop/mail/new-1' });
    expect(texts(run.actions).slice(1)).toEqual(['freeze c1 of shop/mail']);
  });
});

describe('actions that come to nothing', () => {
  test('a worker that proved busy stays, and is left alone for ten seconds', () => {
    const run = alone();
    run.at(0, { kind: 'workers', workers: [worker(1), worker(2)] });
    idle(run, 0, 60);
    expect(texts(run.actions)).toEqual(['retire c2 of shop/mail, then remove', 'retire c1 of shop/mail, then remove']);
    run.at(61, { kind: 'action-failed', worker: 'c1', action: 'retire', message: 'busy' });
    expect(run.tier().counts).toMatchObject({ running: 1, draining: 1, unknown: 1 });
    run.actions.length = 0;
    run.at(62, { kind: 'worker', worker: worker(1) });
    run.reading(70, 0, 0);
    expect(run.actions).toEqual([]);
    expect(texts(run.reading(71, 0, 0))).toEqual(['retire c1 of shop/mail, then remove']);
  });

  test('until a worker is on its way out it may prove busy: no more than the maximum, should it stay', () => {
    const run = alone({ max: 2 });
    run.at(0, { kind: 'workers', workers: [worker(1), worker(2)] });
    idle(run, 0, 60);
    run.actions.length = 0;
    run.reading(61, 2, 0);
    expect(run.actions).toEqual([]);
    run.at(62, { kind: 'worker', worker: worker(2, { phase: 'draining' }) });
    run.at(62, { kind: 'action-failed', worker: 'c1', action: 'retire', message: 'busy' });
    expect(texts(run.actions)).toEqual(['create shop/mail/new-1 of shop/mail as number 3']);
  });

  test('starts that fail are tried again after 1, 2, 4 s and at most a minute, and say so', () => {
    const run = alone();
    const tried: number[] = [];
    for (let at = 0; at < 400; at += 1) {
      for (const action of run.reading(at, 1, 0)) {
        tried.push(at);
        run.at(at, { kind: 'action-failed', worker: action.worker, action: 'create', message: 'no space left on device' });
      }
    }
    expect(tried).toEqual([0, 1, 3, 7, 15, 31, 63, 123, 183, 243, 303, 363]);
    expect(limits(run)).toContain('12 starts failed: no space left on device');
    expect(run.tier().workers).toEqual([]);
  });

  test('a worker that ends right after its start is started again with the same patience', () => {
    const run = alone();
    run.at(0, { kind: 'workers', workers: [worker(1, { phase: 'stopped' })] });
    const tried: number[] = [];
    for (let at = 100; at < 200; at += 1) {
      for (const action of run.reading(at, 1, 0)) {
        if (action.kind !== 'start') continue;
        tried.push(at);
        run.at(at, { kind: 'worker', worker: worker(1, { phase: 'starting' }) });
        run.at(at, { kind: 'worker', worker: worker(1) });
        run.at(at, { kind: 'worker', worker: worker(1, { phase: 'stopped' }) });
      }
    }
    expect(tried).toEqual([100, 101, 103, 107, 115, 131, 163]);
  });

  test('a worker that dies after it has worked for long is replaced at once', () => {
    const run = alone();
    run.at(0, { kind: 'workers', workers: [worker(1)] });
    run.reading(50, 0, 1);
    run.at(51, { kind: 'worker', worker: worker(1, { phase: 'stopped' }) });
    expect(texts(run.reading(51, 1, 0))).toEqual([]);
    expect(texts(run.actions)).toEqual(['start c1 of shop/mail']);
  });

  test('a container that cannot be started three times is replaced', () => {
    const run = alone();
    run.at(0, { kind: 'workers', workers: [worker(1, { phase: 'stopped' })] });
    for (let at = 0; at < 10; at += 1) {
      for (const action of run.reading(at, 1, 0)) {
        if (action.kind === 'start') run.at(at, { kind: 'action-failed', worker: 'c1', action: 'start', message: 'network is gone' });
      }
    }
    expect(texts(run.actions)).toEqual([
      'start c1 of shop/mail',
      'start c1 of shop/mail',
      'start c1 of shop/mail',
      'remove c1 of shop/mail',
      'create shop/mail/new-1 of shop/mail as number 2',
    ]);
  });

  test('a created container takes the place of its name, also by its number, and also if it comes in a list first', () => {
    for (const answer of ['replaces', 'number', 'list'] as const) {
      const run = alone();
      run.reading(0, 1, 0);
      const made = worker(1, { id: 'abc', phase: 'starting' });
      if (answer === 'list') run.at(1, { kind: 'workers', workers: [made] });
      else run.at(1, { kind: 'worker', worker: made, ...(answer === 'replaces' ? { replaces: 'shop/mail/new-1' } : {}) });
      expect(run.tier().workers.map(({ id, pending }) => [id, pending])).toEqual([['abc', undefined]]);
    }
  });

  test('an action is believed until three lists in a row do not show it', () => {
    const run = alone({ max: 1 });
    run.reading(0, 1, 0);
    run.at(1, { kind: 'workers', workers: [] });
    run.at(2, { kind: 'workers', workers: [] });
    expect(run.tier().counts.starting).toBe(1);
    expect(run.actions).toHaveLength(1);
    run.at(3, { kind: 'workers', workers: [] });
    expect(texts(run.actions)).toEqual([
      'create shop/mail/new-1 of shop/mail as number 1',
      'create shop/mail/new-2 of shop/mail as number 1',
    ]);
  });

  test('what the list says of others is the truth', () => {
    const run = alone();
    run.at(0, { kind: 'workers', workers: [worker(1), worker(2)] });
    run.at(1, { kind: 'workers', workers: [worker(2, { phase: 'draining' }), worker(3)] });
    expect(run.tier().workers.map(({ id, phase }) => `${id} ${phase}`)).toEqual(['c2 draining', 'c3 running']);
  });
});

describe('the clock', () => {
  test('going back by a day stops no cooldown', () => {
    const run = alone();
    run.at(100_000, { kind: 'workers', workers: [worker(1)] });
    idle(run, 100_000, 100_030);
    const back = 100_030 - 86_400;
    expect(texts(idle(run, back, back + 25))).toEqual([]);
    expect(texts(idle(run, back + 30, back + 35))).toEqual(['retire c1 of shop/mail, then remove']);
  });

  test('leaping ahead takes nobody away before the sources have been read again', () => {
    const run = alone();
    run.at(0, { kind: 'workers', workers: [worker(1), worker(2)] });
    idle(run, 0, 30);
    expect(run.at(86_400, { kind: 'tick' })).toEqual([]);
    expect(texts(run.reading(86_401, 0, 0))).toEqual([]);
    expect(texts(idle(run, 86_405, 86_465))).toEqual(['retire c2 of shop/mail, then remove', 'retire c1 of shop/mail, then remove']);
  });

  test('events that overtake each other by a little do not bend it', () => {
    const run = alone();
    for (let at = 0; at < 100; at += 1) {
      run.at(at, { kind: 'tick' });
      run.at(at - 0.5, { kind: 'tick' });
    }
    expect([run.state.nowMs, run.state.skewMs]).toEqual([99_000, 0]);
  });

  test('delayed jobs are due by the events’ clock', () => {
    const run = alone();
    run.at(100_000, { kind: 'tick' });
    run.reading(50_000, 0, 0, { nextDueMs: 50_600_000 });
    expect(nextWakeMs(run.state)).toBe(50_597_000);
  });
});

test('the same events give the same outcome, also through JSON after each of them', () => {
  const events = (run: Course): unknown[] => {
    run.at(0, { kind: 'workers', workers: [worker(1), worker(2, { phase: 'stopped' })] });
    for (let at = 0; at <= 200; at += 5) run.reading(at, at % 3, at % 2);
    return [run.actions, run.decisions];
  };
  const plain = alone({ warm: { kind: 'frozen', count: 1 } });
  const stored = alone({ warm: { kind: 'frozen', count: 1 } });
  const at = stored.at.bind(stored);
  stored.at = (seconds, event) => {
    const copy = JSON.parse(JSON.stringify(stored.state));
    expect(copy).toEqual(JSON.parse(JSON.stringify(structuredClone(stored.state))));
    Object.assign(stored.state, copy);
    return at(seconds, event);
  };
  expect(events(stored)).toEqual(events(plain));
});
