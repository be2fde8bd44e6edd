import type { Action, AutoscaleEvent, Worker } from '../../../autoscale/model.ts';
import { createState, decide, nextWakeMs } from '../../../autoscale/policy/decide.ts';
import type { Reading, WorkerReading } from '../../../triggers/model.ts';
import type { Policy, VirtualTier, VirtualWorker, World } from '../world.ts';

const TICK = 0;
const READ = 1;
const NOTICE = 2;

/** What the adapter keeps of a queue that tells of its changes. */
interface Watched {
  readMs: number;
  /** A reading is on its way. */
  reading: boolean;
  noticing: boolean;
}

/**
 * The production policy: it gets the events that agent and sources would send, and its actions are carried out on the virtual engine.
 * Sources tell of every change at once and are read again at most each `readingGapMs`; none is lost, so there is no safety poll.
 */
export function ours(): Policy {
  let world: World;
  const state = createState(0);
  const byId = new Map<string, VirtualWorker>();
  const ids: string[] = [];
  const serials: number[] = [];
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
      for (const action of decide(state, backlog[index] as AutoscaleEvent).actions) carryOut(action);
    }
    backlog.length = 0;
    deciding = false;
    const wakeMs = nextWakeMs(state);
    if (wakeMs !== undefined && wakeMs < tickMs) {
      tickMs = Math.max(wakeMs, world.nowMs);
      world.wakeAt(tickMs, TICK);
    }
  }

  function idOf(worker: VirtualWorker): string {
    return ids[worker.index] as string;
  }

  function adopt(worker: VirtualWorker): string {
    // As long as the names that Docker gives to containers, by which sources know them.
    const id = (++named).toString(16).padStart(12, '0');
    ids[worker.index] = id;
    serials[worker.index] = worker.serial;
    byId.set(id, worker);
    return id;
  }

  const described = (worker: VirtualWorker): Worker => ({
    id: idOf(worker),
    number: worker.number,
    phase: worker.phase === 'gone' ? 'stopped' : worker.phase,
    sinceMs: worker.sinceMs,
    ...(worker.phase === 'running' ? { busy: worker.jobs.length > 0 } : {}),
    obsolete: false,
  });

  const tell = (worker: VirtualWorker, replaces?: string): void =>
    send({
      atMs: world.nowMs,
      kind: 'worker',
      tier: worker.tier.tier.id,
      worker: described(worker),
      ...(replaces === undefined ? {} : { replaces }),
    });

  function carryOut(action: Action): void {
    const fail = (message: string): void =>
      send({ atMs: world.nowMs, kind: 'action-failed', tier: action.tier, worker: action.worker, action: action.kind, message });
    if (action.kind === 'create') {
      const tier = world.tiers.find(({ tier }) => tier.id === action.tier);
      const worker = tier && world.create(tier);
      if (!worker) return fail('the host has no room for it');
      adopt(worker);
      return tell(worker, action.worker);
    }
    const worker = byId.get(action.worker);
    if (!worker) return fail('there is no such container');
    switch (action.kind) {
      case 'start':
        return world.start(worker) ? tell(worker) : fail('the host has no room for it, or it is not stopped');
      case 'freeze':
        return world.freeze(worker) ? tell(worker) : fail('it runs a job, or does not run');
      case 'thaw':
        // The call is answered when it runs; decide has entered its CPU already.
        if (!world.thaw(worker)) fail('the host has no CPU for it, or it is not frozen');
        return;
      case 'retire':
        if (worker.phase === 'frozen') {
          if (!world.thaw(worker)) return fail('the host has no CPU to thaw it');
          retiring.set(worker, action.then);
          return;
        }
        return retire(worker, action.then, fail);
      case 'remove':
        if (!world.remove(worker)) return fail('it is not stopped');
        return gone(worker);
    }
  }

  /** Safe scale-down: a worker that has a job is left alone. */
  function retire(worker: VirtualWorker, then: 'keep' | 'remove', fail: (message: string) => void): void {
    if (worker.jobs.length > 0) return fail('it is busy');
    if (!world.drain(worker, { keep: then === 'keep' })) return fail('it does not run');
    tell(worker);
  }

  function gone(worker: VirtualWorker): void {
    const id = idOf(worker);
    byId.delete(id);
    send({ atMs: world.nowMs, kind: 'worker-gone', tier: worker.tier.tier.id, worker: id });
  }

  function read(tier: VirtualTier): void {
    const queue = watched[tier.index] as Watched;
    queue.readMs = world.nowMs;
    queue.reading = false;
    const workers: WorkerReading[] = [];
    // A frozen worker sends no heartbeat.
    for (const worker of tier.workers)
      if (worker.phase === 'running' || worker.phase === 'draining') workers.push({ hostname: idOf(worker), busy: worker.jobs.length > 0 });
    const waiting = tier.queue.size;
    const reading: Reading = {
      value: waiting + tier.running,
      queue: { waiting, active: tier.running, ...(tier.delayedMs.length > 0 ? { nextDueMs: tier.delayedMs[0] as number } : {}) },
      workers,
    };
    for (const { name } of tier.tier.triggers) send({ atMs: world.nowMs, kind: 'reading', tier: tier.tier.id, trigger: name, reading });
  }

  return {
    name: 'ours',
    begin(given) {
      world = given;
      send({ atMs: 0, kind: 'host', budget: { ...world.scenario.budget } });
      for (const tier of world.tiers) {
        watched[tier.index] = { readMs: Number.NEGATIVE_INFINITY, reading: false, noticing: false };
        send({ atMs: 0, kind: 'tier', tier: structuredClone(tier.tier) });
        send({ atMs: 0, kind: 'workers', tier: tier.tier.id, workers: [] });
        read(tier);
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
      if (worker.phase === 'gone') return gone(worker);
      const then = retiring.get(worker);
      if (then !== undefined && worker.phase === 'running') {
        retiring.delete(worker);
        tell(worker);
        return retire(worker, then, (message) =>
          send({
            atMs: world.nowMs,
            kind: 'action-failed',
            tier: worker.tier.tier.id,
            worker: idOf(worker),
            action: 'retire',
            message,
          }),
        );
      }
      tell(worker);
    },
    wake(token) {
      const kind = token >> 8;
      if (kind === TICK) {
        if (world.nowMs < tickMs) return;
        tickMs = Number.POSITIVE_INFINITY;
        send({ atMs: world.nowMs, kind: 'tick' });
        return;
      }
      const tier = world.tiers[token & 255] as VirtualTier;
      if (kind === READ) return read(tier);
      (watched[tier.index] as Watched).noticing = false;
      for (const { name } of tier.tier.triggers) send({ atMs: world.nowMs, kind: 'notice', tier: tier.tier.id, trigger: name });
    },
  };
}
