import type { Reading, WorkerReading } from '../../triggers/model.ts';
import type { Worker } from '../model.ts';
import { estimateFrom } from './estimate.ts';
import { NEVER, type TierState, type WorkerState } from './state.ts';

export function takeReading(state: TierState, name: string, reading: Reading, nowMs: number): void {
  for (const trigger of state.triggers) {
    if (trigger.name !== name) continue;
    trigger.reading = reading;
    trigger.readAtMs = nowMs;
    trigger.failures = 0;
    trigger.noticeAtMs = NEVER;
    if (trigger.message !== undefined) delete trigger.message;
    const { queue, workers } = reading;
    if (queue) estimateFrom(trigger.estimate, nowMs, queue.waiting, queue.active);
    if (workers) takeEvidence(state, nowMs);
    return;
  }
}

/**
 * What the sources say of each worker: busy if one says so, idle if all that tell workers apart say so, else unknown. A frozen process
 * cannot say what it was handed: its last word stands.
 */
function takeEvidence(state: TierState, nowMs: number): void {
  let busy = 0;
  let unknown = 0;
  for (let index = 0; index < state.workers.length; index += 1) {
    const worker = state.workers[index] as WorkerState;
    if (worker.phase === 'stopped' || worker.phase === 'frozen') continue;
    let told: boolean | undefined = false;
    for (const { reading } of state.triggers) {
      const list = reading?.workers;
      if (!list) continue;
      // Sources and the engine mostly list in the same order.
      const same = list[index];
      const entry = same && isSame(worker, same) ? same : list.find((other) => isSame(worker, other));
      if (entry?.busy) told = true;
      else if (!entry && told === false) told = undefined;
    }
    setBusy(worker, told, nowMs);
    if (worker.phase !== 'running') continue;
    if (told === true) busy += 1;
    else if (told === undefined) unknown += 1;
  }
  state.counts.busy = busy;
  state.counts.unknown = unknown;
}

function isSame(worker: Worker, reading: WorkerReading): boolean {
  if (reading.hostname !== undefined && reading.hostname !== '') {
    return worker.hostname !== undefined ? worker.hostname === reading.hostname : worker.id.startsWith(reading.hostname);
  }
  return reading.address !== undefined && worker.address === reading.address;
}

export function setBusy(worker: WorkerState, busy: boolean | undefined, nowMs: number, idleSinceMs?: number): void {
  if (busy === false) {
    if (worker.busy !== false || worker.idleSinceMs === undefined) worker.idleSinceMs = nowMs;
    if (idleSinceMs !== undefined) worker.idleSinceMs = Math.min(nowMs, idleSinceMs);
  } else if (worker.idleSinceMs !== undefined) delete worker.idleSinceMs;
  if (busy === undefined) {
    if (worker.busy !== undefined) delete worker.busy;
  } else worker.busy = busy;
}
