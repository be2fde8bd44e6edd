import type { Action, AutoscaleEvent, Worker } from '../../../autoscale/model.ts';
import { createState, decide, nextWakeMs } from '../../../autoscale/policy/decide.ts';
import type { Reading, WorkerReading } from '../../../triggers/model.ts';
import type { Policy, VirtualHost, VirtualTier, VirtualWorker } from '../world/model.ts';

const TICK = 0;
const READ = 1;
const NOTICE = 2;
const POLL = 3;

/** What the adapter keeps of a queue that tells of its changes. */
interface Watched {
  readMs: number;
  /** A reading is on its way. */
  reading: boolean;
  noticing: boolean;
}

/**
 * The production policy: it gets the events that agent and sources would send, and its actions are carried out on the virtual engine.
 * Sources tell of every change at once and are read again at most each `readingGapMs`. No notice is lost, so a safety poll only renews the age of
 * a reading: it is made up for before a tick, and where a look after a thaw is needed.
 */
export function ours(): Policy {
  let world: VirtualHost;
  const state = createState(0);
  const byId = new Map<string, VirtualWorker>();
  const ids: string[] = [];
  const retiring = new Map<VirtualWorker, 'keep' | 'remove'>();
  const watched: Watched[] = [];
  const backlog: AutoscaleEvent[] = [];
  let deciding = false;
  let tickMs = Number.POSITIVE_INFINITY;
  let named = 0;

  function send(event: AutoscaleEvent): void {
    backlog.push(event);
    if (deciding) return;
    deciding = true;
    for (let index = 0; index < backlog.length; index += 1) {
      for (const action of decide(state, backlog[index] as AutoscaleEvent, false).actions) carryOut(action);
    }
    backlog.length = 0;
    deciding = false;
    const wakeMs = nextWakeMs(state);
    if (wakeMs !== undefined && wakeMs < tickMs) {
      tickMs = Math.max(wakeMs, world.nowMs);
      world.wakeAt(tickMs, TICK);
    }
  }

  const described = (worker: VirtualWorker): Worker => ({
    id: ids[worker.index] as string,
    number: worker.number,
    phase: worker.phase === 'gone' ? 'stopped' : worker.phase,
    sinceMs: worker.sinceMs,
    ...(worker.phase === 'running' ? { busy: worker.jobs.length > 0 } : {}),
    obsolete: false,
  });

  function tell(worker: VirtualWorker, replaces?: string): void {
    const tier = worker.tier.tier.id;
    send({
      atMs: world.nowMs,
      kind: 'worker',
      tier,
      worker: described(worker),
      ...(replaces === undefined ? {} : { replaces }),
    });
  }

  function tellGone(worker: VirtualWorker): void {
    const id = ids[worker.index] as string;
    byId.delete(id);
    send({ atMs: world.nowMs, kind: 'worker-gone', tier: worker.tier.tier.id, worker: id });
  }

  function carryOut(action: Action): void {
    const message = action.kind === 'create' ? create(action.tier, action.worker) : change(action);
    if (message === undefined) return;
    send({ atMs: world.nowMs, kind: 'action-failed', tier: action.tier, worker: action.worker, action: action.kind, message });
  }

  /** Why it came to nothing, if it did. */
  function create(id: string, name: string): string | undefined {
    const tier = world.tiers.find((known) => known.tier.id === id);
    const worker = tier && world.create(tier);
    if (!worker) return 'the host has no room for it';
    // As long as the names that Docker gives to containers, by which sources know them.
    const containerId = (++named).toString(16).padStart(12, '0');
    ids[worker.index] = containerId;
    byId.set(containerId, worker);
    tell(worker, name);
    return undefined;
  }

  /** Why it came to nothing, if it did. */
  function change(action: Exclude<Action, { kind: 'create' }>): string | undefined {
    const worker = byId.get(action.worker);
    if (!worker) return 'there is no such container';
    switch (action.kind) {
      case 'start':
        if (!world.start(worker)) return 'the host has no room for it, or it is not stopped';
        break;
      case 'freeze':
        if (!world.freeze(worker)) return 'it runs a job, or does not run';
        break;
      case 'thaw':
        // The call is answered when the worker runs.
        return world.thaw(worker) ? undefined : 'the host has no CPU for it, or it is not frozen';
      case 'retire':
        if (worker.phase !== 'frozen') return retire(worker, action.then);
        if (!world.thaw(worker)) return 'the host has no CPU to thaw it';
        retiring.set(worker, action.then);
        return undefined;
      case 'remove':
        if (!world.remove(worker)) return 'it is not stopped';
        tellGone(worker);
        return undefined;
    }
    tell(worker);
    return undefined;
  }

  /** Safe scale-down: a worker that has a job is left alone. */
  function retire(worker: VirtualWorker, then: 'keep' | 'remove'): string | undefined {
    if (worker.jobs.length > 0) return 'it is busy';
    if (!world.drain(worker, { keep: then === 'keep' })) return 'it does not run';
    tell(worker);
    return undefined;
  }

  function read(tier: VirtualTier): void {
    const queue = watched[tier.index] as Watched;
    queue.readMs = world.nowMs;
    queue.reading = false;
    const workers: WorkerReading[] = [];
    // A frozen worker sends no heartbeat.
    for (const worker of tier.workers) {
      if (worker.phase === 'running' || worker.phase === 'draining')
        workers.push({ hostname: ids[worker.index] as string, busy: worker.jobs.length > 0 });
    }
    const waiting = tier.queue.size;
    const active = tier.running;
    const nextDueMs = tier.delayedMs[0];
    const reading: Reading = {
      value: waiting + active,
      queue: nextDueMs === undefined ? { waiting, active } : { waiting, active, nextDueMs },
      workers,
    };
    for (const { name } of tier.tier.triggers) send({ atMs: world.nowMs, kind: 'reading', tier: tier.tier.id, trigger: name, reading });
  }

  function readIfOld(tier: VirtualTier): boolean {
    const isOld = world.nowMs >= pollMs(tier);
    if (isOld) read(tier);
    return isOld;
  }

  const pollMs = (tier: VirtualTier): number => (watched[tier.index] as Watched).readMs + tier.tier.pollingIntervalMs;

  return {
    name: 'ours',
    begin(given) {
      world = given;
      send({ atMs: 0, kind: 'host', budget: { ...world.scenario.budget } });
      for (const tier of world.tiers) {
        watched[tier.index] = { readMs: Number.NEGATIVE_INFINITY, reading: false, noticing: false };
        send({ atMs: 0, kind: 'tier', tier: structuredClone(tier.tier) });
        send({ atMs: 0, kind: 'workers', tier: tier.tier.id, workers: tier.workers.map(described) });
        read(tier);
        // The poll that finds an empty tier idle for long enough to fill its pool.
        world.wakeAt(tier.tier.cooldownMs + tier.tier.pollingIntervalMs, POLL * 256 + tier.index);
      }
    },
    queueChanged(tier) {
      const queue = watched[tier.index] as Watched;
      // A notice says more than the reading that follows only where a frozen consumer may have been handed the job.
      if (!queue.noticing && tier.withMemory > tier.withCpu) {
        queue.noticing = true;
        world.wakeAt(world.nowMs + world.times.detectMs, NOTICE * 256 + tier.index);
      }
      if (queue.reading) return;
      queue.reading = true;
      world.wakeAt(Math.max(world.nowMs + world.times.detectMs, queue.readMs + world.times.readingGapMs), READ * 256 + tier.index);
    },
    workerChanged(worker) {
      if (worker.phase === 'gone') {
        tellGone(worker);
        return;
      }
      // A worker freezes again only after a look that follows its thaw: with nothing to tell of, the next poll is that look.
      if (worker.phase === 'running') world.wakeAt(world.nowMs + worker.tier.tier.pollingIntervalMs, POLL * 256 + worker.tier.index);
      tell(worker);
      const next = retiring.get(worker);
      if (next === undefined || worker.phase !== 'running') return;
      retiring.delete(worker);
      const message = retire(worker, next);
      if (message === undefined) return;
      const { tier } = worker.tier;
      send({ atMs: world.nowMs, kind: 'action-failed', tier: tier.id, worker: ids[worker.index] as string, action: 'retire', message });
    },
    wake(token) {
      const kind = token >> 8;
      const tier = world.tiers[token & 255] as VirtualTier;
      if (kind === TICK) {
        if (world.nowMs < tickMs) return;
        tickMs = Number.POSITIVE_INFINITY;
        for (const one of world.tiers) readIfOld(one);
        send({ atMs: world.nowMs, kind: 'tick' });
      } else if (kind === READ) read(tier);
      else if (kind === POLL) {
        if (!readIfOld(tier)) world.wakeAt(pollMs(tier), POLL * 256 + tier.index);
      } else {
        (watched[tier.index] as Watched).noticing = false;
        for (const { name } of tier.tier.triggers) send({ atMs: world.nowMs, kind: 'notice', tier: tier.tier.id, trigger: name });
      }
    },
  };
}
