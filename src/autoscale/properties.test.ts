import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { WorkerReading } from '../triggers/model.ts';
import type { Action, AutoscaleEvent, HostBudget, Tier, Worker, WorkerPhase } from './model.ts';
import { createState, decide, nextWakeMs } from './policy/decide.ts';
import { tier, trigger } from './policy/fixtures.ts';
import { type AutoscaleState, LIMITS, nanoCpus, serving } from './policy/state.ts';

/** A container of the small world, with what really happens in it. */
interface Container {
  id: string;
  tier: Tier;
  number: number;
  phase: WorkerPhase;
  readyMs: number;
  jobs: number;
  /** Handed to it while it was frozen: no count shows it. */
  trapped: number;
}

interface Asked {
  action: Action;
  lists: number;
  atMs: number;
  tier: Tier;
}

const MAX_JOBS = 60;
const SLOWEST_MS = 50_000;

/**
 * A host with queues, an engine and a loop that may lose notices, fail to read, crash, have actions fail or take long, and whose clock jumps.
 * It holds decide to what is always true at every event.
 */
class World {
  readonly tiers: Tier[];
  budget: HostBudget;
  state: AutoscaleState = createState(1_000_000);
  nowMs = 1_000_000;
  skewMs = 0;
  containers: Container[] = [];
  asked: Asked[] = [];
  waiting = new Map<string, number>();
  /** Due times on the true clock. */
  delayed = new Map<string, number[]>();
  failing = new Set<string>();
  heldProject = false;
  paused = new Set<string>();
  failNext = 0;
  serial = 0;
  /** What decide has been told last of each worker, and of each tier. */
  told = new Map<string, boolean | undefined>();
  lastRead = new Map<string, { jobs: number; dueMs: number | undefined; noticed: boolean; readMs: number }>();
  events = 0;

  constructor(tiers: Tier[], budget: HostBudget) {
    this.tiers = tiers;
    this.budget = budget;
    for (const entry of tiers) {
      this.waiting.set(entry.id, 0);
      this.delayed.set(entry.id, []);
    }
    this.start();
  }

  start(): void {
    if (this.heldProject) this.send({ kind: 'held', project: 'shop', by: 'a release' });
    for (const entry of this.tiers) {
      this.send({ kind: 'tier', tier: { ...structuredClone(entry), pause: { ...entry.pause, paused: this.paused.has(entry.id) } } });
      this.list(entry);
      this.send({ kind: 'notice', tier: entry.id, trigger: 'queue' });
      this.read(entry);
    }
    this.send({ kind: 'host', budget: { ...this.budget } });
  }

  wall(): number {
    return this.nowMs + this.skewMs;
  }

  of(entry: Tier): Container[] {
    return this.containers.filter(({ tier: of }) => of === entry);
  }

  send(event: AutoscaleEvent extends infer Event ? (Event extends { atMs: number } ? Omit<Event, 'atMs'> : never) : never): void {
    const about = 'tier' in event && typeof event.tier === 'string' ? event.tier : undefined;
    if (event.kind === 'worker') {
      if (event.replaces !== undefined) this.told.delete(event.replaces);
      this.told.set(event.worker.id, event.worker.busy);
    }
    const noted = about === undefined ? undefined : this.lastRead.get(about);
    if (event.kind === 'notice' && noted) noted.noticed = true;
    const before = about === undefined ? 0 : this.servingIn(about);
    const { actions } = decide(this.state, { ...event, atMs: this.wall() } as AutoscaleEvent);
    // A recording holds it as text, and a replay goes on from there.
    if (this.events % 40 === 0) this.state = JSON.parse(JSON.stringify(this.state));
    this.events += 1;
    for (const action of actions) {
      const entry = this.tiers.find(({ id }) => id === action.tier) as Tier;
      this.checkAction(action, entry);
      this.asked.push({ action, lists: 0, atMs: this.nowMs, tier: entry });
    }
    this.checkLedger();
    this.checkCounts();
    this.checkFrozen();
    if (event.kind === 'reading-failed') {
      expect(this.servingIn(event.tier), 'a lost metric lowered the count').toBeGreaterThanOrEqual(before);
    }
  }

  servingIn(id: string): number {
    const state = this.state.tiers[id];
    return state ? serving(state) : 0;
  }

  /** A1: what exists and what was asked for never exceeds the budget. */
  checkLedger(): void {
    let cpus = 0;
    let bytes = 0;
    for (const { tier: entry, phase } of this.containers) {
      if (phase === 'stopped') continue;
      bytes += entry.need.memoryBytes;
      if (phase !== 'frozen') cpus += nanoCpus(entry.need);
    }
    for (const { action, tier: entry } of this.asked) {
      if (action.kind === 'create' || action.kind === 'start') {
        cpus += nanoCpus(entry.need);
        bytes += entry.need.memoryBytes;
      } else if (action.kind === 'thaw' || (action.kind === 'retire' && this.find(action.worker)?.phase === 'frozen')) {
        if (this.find(action.worker)?.phase === 'frozen') cpus += nanoCpus(entry.need);
      }
    }
    if (cpus > nanoCpus(this.budget)) throw new Error(`${cpus / 1e9} CPU are above the budget`);
    if (bytes > this.budget.memoryBytes) throw new Error(`${bytes} bytes are above the budget`);
  }

  checkAction(action: Action, entry: Tier): void {
    if (this.heldProject) expect(action.kind, 'a held project was touched').toBe('thaw');
    const state = this.state.tiers[entry.id];
    if (this.paused.has(entry.id) && action.kind !== 'thaw' && action.kind !== 'remove') {
      throw new Error(`${action.kind} although ${entry.id} is paused`);
    }
    if (action.kind !== 'freeze' && action.kind !== 'retire') return;
    const read = this.lastRead.get(entry.id);
    const told = this.told.get(action.worker);
    expect(told, `${action.kind} of a worker that is told to be busy`).not.toBe(true);
    if (told === undefined) expect(read?.jobs, `${action.kind} of a worker that nobody says is idle`).toBe(0);
    expect(this.failing.has(entry.id), `${action.kind} while the metric is lost`).toBe(false);
    expect(read?.noticed, `${action.kind} between a notice and its reading`).toBe(false);
    if (state && serving(state) === 0 && entry.min === 0) {
      const zero = state.counts.running + state.counts.starting === 0;
      if (zero && action.kind === 'freeze') {
        expect(read?.jobs, 'frozen while something waits or runs').toBe(0);
        if (read?.dueMs !== undefined) expect(read.dueMs, 'frozen while something is due').toBeGreaterThan(this.wall());
      }
    }
    // Nobody goes to zero while jobs wait or run; an idle worker may give way to another tier that waits.
    if (state && serving(state) === 0 && !action.why.includes('waits for room')) {
      expect(read?.jobs, `${action.kind} of the last worker while something waits or runs`).toBe(0);
      if (read?.dueMs !== undefined) expect(read.dueMs - entry.bootMs, 'zero while something is due').toBeGreaterThan(this.wall() - 1);
    }
  }

  checkCounts(): void {
    for (const entry of this.tiers) {
      const count = this.servingIn(entry.id);
      if (count > entry.max) throw new Error(`${entry.id} has ${count}, more than its maximum ${entry.max}`);
    }
  }

  /** A3: what is frozen stays so only while its tier has nothing to do, or while there is no CPU for it. */
  checkFrozen(): void {
    let free = nanoCpus(this.budget);
    for (const id in this.state.tiers) free -= this.state.tiers[id]?.counts.nanoCpus ?? 0;
    for (const entry of this.tiers) {
      const state = this.state.tiers[entry.id];
      const read = this.lastRead.get(entry.id);
      if (!state || !read || (read.jobs === 0 && !read.noticed && !this.failing.has(entry.id))) continue;
      if ((state.limits & (LIMITS.reserved | LIMITS.noHost | LIMITS.unlisted)) !== 0 || free < nanoCpus(entry.need)) continue;
      if (state.workers.some(({ phase, restUntilMs }) => phase === 'frozen' && restUntilMs <= this.state.nowMs)) {
        throw new Error(`${entry.id} has work and frozen workers`);
      }
    }
  }

  find(id: string): Container | undefined {
    return this.containers.find((container) => container.id === id);
  }

  /** Jobs are taken by whoever runs; a frozen consumer is handed one, too. */
  take(entry: Tier): void {
    for (const container of this.of(entry)) {
      while (container.phase === 'running' && container.jobs < entry.concurrency && (this.waiting.get(entry.id) ?? 0) > 0) {
        container.jobs += 1;
        this.waiting.set(entry.id, (this.waiting.get(entry.id) ?? 0) - 1);
      }
    }
    const frozen = this.of(entry).find(({ phase, trapped }) => phase === 'frozen' && trapped === 0);
    if (frozen && (this.waiting.get(entry.id) ?? 0) > 0) {
      frozen.trapped += 1;
      this.waiting.set(entry.id, (this.waiting.get(entry.id) ?? 0) - 1);
    }
  }

  arrive(entry: Tier, jobs: number, isNoticed: boolean): void {
    this.waiting.set(entry.id, Math.min(MAX_JOBS, (this.waiting.get(entry.id) ?? 0) + jobs));
    this.take(entry);
    if (isNoticed) this.send({ kind: 'notice', tier: entry.id, trigger: 'queue' });
  }

  finish(entry: Tier, jobs: number): void {
    let left = jobs;
    for (const container of this.of(entry)) {
      const ended = Math.min(left, container.phase === 'frozen' ? 0 : container.jobs);
      container.jobs -= ended;
      left -= ended;
    }
    this.take(entry);
  }

  read(entry: Tier): void {
    if (this.failing.has(entry.id)) {
      this.send({ kind: 'reading-failed', tier: entry.id, trigger: 'queue', message: 'connection refused' });
      return;
    }
    const active = this.of(entry).reduce((total, { jobs }) => total + jobs, 0);
    const waiting = this.waiting.get(entry.id) ?? 0;
    const due = Math.min(...(this.delayed.get(entry.id) ?? []));
    const nextDueMs = Number.isFinite(due) ? due + this.skewMs : undefined;
    const tells = entry.triggers[0]?.type === 'redis';
    const workers: WorkerReading[] = this.of(entry)
      .filter(({ phase }) => phase === 'running' || phase === 'draining')
      .map(({ id, jobs }) => ({ hostname: id, busy: jobs > 0 }));
    for (const { id } of this.of(entry)) if (tells) this.told.set(id, workers.find(({ hostname }) => hostname === id)?.busy);
    this.lastRead.set(entry.id, { jobs: waiting + active, dueMs: nextDueMs, noticed: false, readMs: this.nowMs });
    this.send({
      kind: 'reading',
      tier: entry.id,
      trigger: 'queue',
      reading: {
        value: waiting + active,
        queue: { waiting, active, ...(nextDueMs === undefined ? {} : { nextDueMs }) },
        ...(tells ? { workers } : {}),
      },
    });
  }

  described(container: Container): Worker {
    const { id, number, phase } = container;
    return { id, number, phase, sinceMs: this.wall(), obsolete: false };
  }

  list(entry: Tier): void {
    // Whoever acts and lists has done an action before the third list.
    for (const asked of [...this.asked]) {
      if (asked.tier !== entry) continue;
      asked.lists += 1;
      if (asked.lists > 2) while (this.asked.includes(asked)) this.act();
    }
    this.send({ kind: 'workers', tier: entry.id, workers: this.of(entry).map((container) => this.described(container)) });
  }

  tell(container: Container, replaces?: string): void {
    this.send({
      kind: 'worker',
      tier: container.tier.id,
      worker: this.described(container),
      ...(replaces === undefined ? {} : { replaces }),
    });
  }

  /** Carries out the oldest action that was asked for. `answered`: decide gets to know. */
  act(answered = true): void {
    const next = this.asked.shift();
    if (!next) return;
    const { action, tier: entry } = next;
    const failed = (message: string): void => {
      if (answered) this.send({ kind: 'action-failed', tier: entry.id, worker: action.worker, action: action.kind, message });
    };
    if (this.failNext > 0) {
      this.failNext -= 1;
      failed('the engine said no');
      return;
    }
    if (action.kind === 'create') {
      this.serial += 1;
      const container: Container = {
        id: `${entry.service}${this.serial}x`,
        tier: entry,
        number: action.number,
        phase: 'starting',
        readyMs: this.nowMs + entry.bootMs,
        jobs: 0,
        trapped: 0,
      };
      this.containers.push(container);
      if (answered) this.tell(container, action.worker);
      return;
    }
    const container = this.find(action.worker);
    if (!container) {
      failed('no such container');
      return;
    }
    switch (action.kind) {
      case 'start':
        if (container.phase !== 'stopped') {
          failed('it is not stopped');
          return;
        }
        container.phase = 'starting';
        container.readyMs = this.nowMs + entry.bootMs;
        break;
      case 'thaw':
        if (container.phase !== 'frozen') {
          failed('it is not frozen');
          return;
        }
        this.unfreeze(container);
        break;
      case 'freeze':
        if (container.phase !== 'running' || container.jobs > 0) {
          failed('it is busy');
          return;
        }
        container.phase = 'frozen';
        break;
      case 'retire':
        if (container.phase === 'frozen') this.unfreeze(container);
        if (container.phase !== 'running' || container.jobs > 0) {
          if (answered) this.tell(container);
          failed('it is busy');
          return;
        }
        container.phase = 'draining';
        break;
      case 'remove':
        if (container.phase !== 'stopped') {
          failed('it is not stopped');
          return;
        }
        this.containers.splice(this.containers.indexOf(container), 1);
        if (answered) this.send({ kind: 'worker-gone', tier: entry.id, worker: container.id });
        return;
    }
    if (answered) this.tell(container);
    this.take(entry);
  }

  unfreeze(container: Container): void {
    container.phase = 'running';
    container.jobs += container.trapped;
    container.trapped = 0;
  }

  /** Time goes by: containers become ready, draining ones exit, delayed jobs fall due. */
  pass(ms: number, answered = true): void {
    // Whoever acts answers within a minute.
    while (this.asked.length > 0 && (this.asked[0]?.atMs ?? 0) + SLOWEST_MS <= this.nowMs + ms) this.act();
    this.nowMs += ms;
    for (const container of [...this.containers]) {
      if (container.phase === 'starting' && container.readyMs <= this.nowMs) {
        container.phase = 'running';
        this.take(container.tier);
        if (answered) this.tell(container);
      } else if (container.phase === 'draining') {
        const state = this.state.tiers[container.tier.id]?.workers.find(({ id }) => id === container.id);
        if (state?.keep) {
          container.phase = 'stopped';
          if (answered) this.tell(container);
        } else {
          this.containers.splice(this.containers.indexOf(container), 1);
          if (answered) this.send({ kind: 'worker-gone', tier: container.tier.id, worker: container.id });
        }
      }
    }
    for (const entry of this.tiers) {
      const due = this.delayed.get(entry.id) ?? [];
      const fell = due.filter((at) => at <= this.nowMs).length;
      if (fell === 0) continue;
      this.delayed.set(
        entry.id,
        due.filter((at) => at > this.nowMs),
      );
      this.arrive(entry, fell, false);
    }
  }

  /** The agent dies before or while its actions are carried out; the next one begins with what Docker and the sources tell it. */
  crash(doneBefore: number): void {
    for (let count = 0; count < doneBefore; count += 1) this.act(false);
    this.asked = [];
    this.state = createState(this.wall());
    this.told.clear();
    this.start();
  }

  kill(entry: Tier, answered: boolean): void {
    const container = this.of(entry).find(({ phase }) => phase === 'running');
    if (!container) return;
    this.waiting.set(entry.id, (this.waiting.get(entry.id) ?? 0) + container.jobs);
    container.jobs = 0;
    container.phase = 'stopped';
    if (answered) this.tell(container);
  }

  /** Faults are over: everything answers, jobs end, the loop polls and ticks. */
  settle(ms: number): void {
    this.failNext = 0;
    this.failing.clear();
    if (this.heldProject) this.hold(false);
    for (const entry of this.tiers) {
      this.pause(entry, false);
      this.send({ kind: 'manual', tier: entry.id });
    }
    const until = this.nowMs + ms;
    let turn = 0;
    while (this.nowMs < until) {
      for (let count = this.asked.length; count > 0; count -= 1) this.act();
      this.pass(1000);
      for (const entry of this.tiers) this.finish(entry, 1);
      turn += 1;
      if (turn % 20 === 0) for (const entry of this.tiers) this.list(entry);
      if (turn % 2 === 0) for (const entry of this.tiers) this.read(entry);
      const wakeMs = nextWakeMs(this.state);
      if (wakeMs !== undefined && wakeMs <= this.wall()) this.send({ kind: 'tick' });
    }
  }

  hold(held: boolean): void {
    this.heldProject = held;
    this.send(held ? { kind: 'held', project: 'shop', by: 'a release' } : { kind: 'held', project: 'shop' });
  }

  pause(entry: Tier, paused: boolean): void {
    if (paused) this.paused.add(entry.id);
    else this.paused.delete(entry.id);
    this.send({ kind: 'paused', tier: entry.id, pause: { paused, pausedScaleIn: false, pausedScaleOut: false } });
  }

  do({ what, which, amount, flag }: Step): void {
    const entry = this.tiers[which % this.tiers.length] as Tier;
    switch (what) {
      case 'arrive':
        this.arrive(entry, 1 + (amount % 9), flag);
        break;
      case 'delay':
        this.delayed.get(entry.id)?.push(this.nowMs + amount * 3000);
        break;
      case 'finish':
        this.finish(entry, 1 + (amount % 5));
        break;
      case 'read':
        this.read(entry);
        break;
      case 'pass':
        this.pass(amount * 100, flag || amount % 3 > 0);
        break;
      case 'long':
        for (const each of this.tiers) this.read(each);
        this.pass(amount * 5000);
        for (const each of this.tiers) this.read(each);
        this.send({ kind: 'tick' });
        break;
      case 'tick':
        this.send({ kind: 'tick' });
        break;
      case 'act':
        for (let count = 0; count < 1 + (amount % 4); count += 1) this.act();
        break;
      case 'fail':
        this.failNext += 1;
        this.act();
        break;
      case 'lose-metric':
        this.failing.add(entry.id);
        this.read(entry);
        break;
      case 'find-metric':
        this.failing.delete(entry.id);
        this.read(entry);
        break;
      case 'crash':
        this.crash(amount % 3);
        break;
      case 'kill':
        this.kill(entry, flag);
        break;
      case 'clock':
        this.skewMs += (flag ? 1 : -1) * amount * 600_000;
        break;
      case 'list':
        this.list(entry);
        break;
      case 'hold':
        this.hold(flag);
        break;
      case 'pause':
        this.pause(entry, flag);
        break;
      case 'manual':
        this.send(flag ? { kind: 'manual', tier: entry.id, replicas: amount % 5 } : { kind: 'manual', tier: entry.id });
        break;
    }
  }
}

const WHAT = [
  ...[
    'arrive',
    'arrive',
    'arrive',
    'delay',
    'finish',
    'finish',
    'read',
    'read',
    'read',
    'pass',
    'pass',
    'long',
    'tick',
    'act',
    'act',
    'act',
  ],
  ...['fail', 'lose-metric', 'find-metric', 'crash', 'kill', 'clock', 'list', 'hold', 'pause', 'manual'],
] as const;

interface Step {
  what: (typeof WHAT)[number];
  which: number;
  amount: number;
  flag: boolean;
}

const GIB = 1024 ** 3;

const steps: fc.Arbitrary<Step[]> = fc.array(
  fc.record({ what: fc.constantFrom(...WHAT), which: fc.nat(2), amount: fc.nat(40), flag: fc.boolean() }, { noNullPrototype: true }),
  { minLength: 5, maxLength: 120, size: 'max' },
);

const tiers: fc.Arbitrary<Tier[]> = fc
  .array(
    fc.record(
      {
        cpus: fc.constantFrom(0.1, 0.25, 0.5, 1, 2),
        gib: fc.constantFrom(0.25, 0.5, 1, 3),
        min: fc.constantFrom(0, 0, 0, 1),
        max: fc.integer({ min: 2, max: 6 }),
        idle: fc.boolean(),
        concurrency: fc.constantFrom(1, 1, 4),
        kind: fc.constantFrom('frozen' as const, 'frozen' as const, 'stopped' as const, 'none' as const),
        count: fc.integer({ min: 0, max: 2 }),
        target: fc.constantFrom(undefined, undefined, 1, 5),
        type: fc.constantFrom('redis', 'redis', 'postgresql'),
        drainTargetMs: fc.constantFrom(5000, 30_000, 120_000),
        policies: fc.boolean(),
      },
      { noNullPrototype: true },
    ),
    { minLength: 1, maxLength: 3 },
  )
  .map((all) =>
    all.map(({ cpus, gib, min, max, idle, concurrency, kind, count, target, type, drainTargetMs, policies }, index) =>
      tier(`w${index}`, {
        need: { cpus, memoryBytes: gib * GIB },
        min,
        max,
        ...(idle ? { idle: 0 as const } : {}),
        concurrency,
        warm: { kind, count },
        drainTargetMs,
        fallback: { failureThreshold: 3, replicas: 1, behavior: 'currentReplicasIfHigher' },
        triggers: [trigger({ type, ...(target === undefined ? {} : { target }) })],
        behavior: {
          scaleUp: {
            stabilizationWindowMs: 0,
            selectPolicy: 'Max',
            tolerance: 0.1,
            policies: policies ? [{ type: 'Pods', value: 2, periodMs: 15_000 }] : [],
          },
          scaleDown: { stabilizationWindowMs: 60_000, selectPolicy: 'Max', tolerance: 0.1, policies: [] },
        },
      }),
    ),
  );

/** Each worker fits the host alone, and so do the minimum counts together. */
const host: HostBudget = { cpus: 3, memoryBytes: 6 * GIB, cores: 2 };
const fitting = tiers.filter((all) => {
  const least = all.reduce((sum, { min, need }) => ({ cpus: sum.cpus + min * need.cpus, bytes: sum.bytes + min * need.memoryBytes }), {
    cpus: 0,
    bytes: 0,
  });
  return all.every(({ need }) => least.cpus + need.cpus <= host.cpus && least.bytes + need.memoryBytes <= host.memoryBytes);
});

test('budget, busy workers, metrics and frozen workers hold at every event; once faults are over every job is done and idle tiers go to zero', () => {
  fc.assert(
    fc.property(fitting, steps, (all, course) => {
      const world = new World(all, { ...host });
      for (const step of course) world.do(step);
      world.settle(1_000_000);
      for (const entry of all) {
        const left = (world.waiting.get(entry.id) ?? 0) + world.of(entry).reduce((total, { jobs, trapped }) => total + jobs + trapped, 0);
        expect(left, `jobs of ${entry.id} that nobody ran`).toBe(0);
        expect(world.delayed.get(entry.id)).toEqual([]);
        const count = world.of(entry).filter(({ phase }) => phase === 'running' || phase === 'starting').length;
        const least = entry.idle === 0 ? 0 : entry.min;
        expect(count, `${entry.id} is idle`).toBeGreaterThanOrEqual(least);
        // A safety thaw may be under way.
        if (world.of(entry).every(({ phase }) => phase !== 'running') || entry.warm.kind !== 'frozen') expect(count).toBe(least);
        expect(serving(world.state.tiers[entry.id] as never)).toBe(count);
      }
    }),
    { numRuns: 300 },
  );
}, 120_000);
