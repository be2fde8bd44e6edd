import { Failure } from '../kit/errors.ts';
import { waitFor } from '../kit/wait.ts';
import type { ObservedEdge } from './observe.ts';
import { observeEdge, readStats } from './observe.ts';
import { describeStep, type EdgePlan, type EdgeStep, mapCommands, stepCommands } from './plan.ts';
import { MAPS, type RenderedEdge, renderMap } from './render.ts';
import { adminSocket, ask, joinCommands, masterSocket } from './socket.ts';

export interface Running {
  folder: string;
  generation: number;
}

const CHECK_PATIENCE_MS = 10_000;

/** Adds what is new. When one step fails, the servers added before it are taken out again and nothing has changed. */
export async function applyBefore(running: Running, steps: EdgeStep[]): Promise<void> {
  const added: EdgeStep[] = [];
  try {
    for (const step of steps) {
      if (step.kind === 'await') await awaitCheck(running, step);
      else await command(running, step, step.kind === 'add' ? /New server registered/ : /changed|no need to change/);
      if (step.kind === 'add') added.push({ kind: 'remove', backend: step.backend, server: step.server.name });
    }
  } catch (error) {
    await Promise.allSettled(added.map((step) => applyRemoval(running, step)));
    throw error;
  }
}

async function command(running: Running, step: EdgeStep, expected: RegExp): Promise<void> {
  const answer = await ask(adminSocket(running.folder, running.generation), stepCommands(step).join('; '));
  const rest = answer
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '' && !expected.test(line));
  if (!expected.test(answer) || rest.length > 0) throw refused(step, answer);
}

async function awaitCheck(running: Running, step: Extract<EdgeStep, { kind: 'await' }>): Promise<void> {
  const words = new Map<string, string>();
  const passed = await waitFor(
    async () => {
      const stats = (await readStats(running.folder, [step.backend])).filter(({ server }) => step.servers.includes(server));
      for (const { server, checkText } of stats) words.set(server, fuller(checkText, words.get(server)));
      return stats.some(({ checkPassed }) => checkPassed) || undefined;
    },
    { everyMs: 50, timeoutMs: CHECK_PATIENCE_MS },
  );
  if (passed) return;
  throw new Failure('EDGE_FAILED', `no new server of ${step.backend} passed the edge's check`, {
    where: step.backend,
    details: [[...words].map(([server, text]) => `${server}: ${text}`).join('; ')],
    next: 'look at the health path and port of its route; the old servers go on serving',
  });
}

/** Of the same verdict with and without its code, the one that has it. */
function fuller(now: string, before: string | undefined): string {
  const verdict = now.split(/[/:]/)[0] ?? now;
  return before?.startsWith(`${verdict}/`) && !now.startsWith(`${verdict}/`) ? before : now;
}

/** All changes between ready, draining and held go out together, in the order of the plan. */
export async function applyStates(running: Running, steps: EdgeStep[]): Promise<void> {
  for (const line of joinCommands(steps.flatMap(stepCommands))) {
    const answer = await ask(adminSocket(running.folder, running.generation), line);
    if (answer.trim() !== '')
      throw new Failure('EDGE_FAILED', 'HAProxy refused a change of state', { details: lines(answer), next: 'composure recover' });
  }
}

export async function applyAfter(running: Running, plan: EdgePlan): Promise<void> {
  for (const step of plan.after) if (step.kind === 'map') await applyMap(running, step);
  const results = await Promise.allSettled(plan.after.filter(({ kind }) => kind === 'remove').map((step) => applyRemoval(running, step)));
  for (const result of results) if (result.status === 'rejected') throw result.reason;
}

async function applyMap(running: Running, step: Extract<EdgeStep, { kind: 'map' }>): Promise<void> {
  const socket = adminSocket(running.folder, running.generation);
  const prepared = await ask(socket, `prepare map ${MAPS[step.map]}`);
  const version = /New version created: (\d+)/.exec(prepared)?.[1];
  if (version === undefined) throw refused(step, prepared);
  for (const line of mapCommands(step.map, step.entries, Number(version))) {
    const answer = await ask(socket, line);
    if (answer.trim() !== '') throw refused(step, answer);
  }
}

async function applyRemoval(running: Running, step: EdgeStep): Promise<void> {
  if (step.kind !== 'remove') return;
  const id = `${step.backend}/${step.server}`;
  const socket = adminSocket(running.folder, running.generation);
  const remove = `wait 2s srv-removable ${id}; del server ${id}`;
  let answer = await ask(socket, `set server ${id} state maint; ${remove}`);
  for (let attempt = 0; attempt < 4 && !isGone(answer); attempt++) answer = await ask(socket, `shutdown sessions server ${id}; ${remove}`);
  if (!isGone(answer)) throw refused(step, answer);
}

const isGone = (answer: string): boolean => /Server deleted|No such server/.test(answer);

/** Reloads through the master and makes sure that the new worker is the one that serves. */
export async function reload(running: Running, rendered: RenderedEdge): Promise<void> {
  const answer = await ask(masterSocket(running.folder, running.generation), 'reload', { master: true, timeoutMs: 60_000 });
  if (!/^Success=1/m.test(answer)) {
    const details = lines(answer).filter((line) => /ALERT|error/i.test(line));
    const taken = /cannot bind socket \(Address already in use\)[^[]*\[([^\]]*)\]/.exec(answer)?.[1];
    if (taken) {
      throw new Failure('PORT_IN_USE', `the edge cannot listen on ${taken}: it is in use`, {
        where: taken,
        details,
        next: 'stop what listens there, or choose another port',
      });
    }
    throw new Failure('EDGE_FAILED', 'HAProxy refused to reload; it goes on with what it had', { details });
  }
  const present = await waitFor(
    async () => {
      const observed = await observeEdge(running.folder, running.generation).catch((): ObservedEdge | undefined => undefined);
      return observed?.structure === rendered.structure || undefined;
    },
    { everyMs: 10, timeoutMs: 10_000 },
  );
  if (!present) throw new Failure('EDGE_FAILED', 'HAProxy reloaded, but no worker serves the new file', { next: 'composure edge status' });
}

/** Puts a key into the map of ACME challenges, or takes it out. */
export async function changeChallenge(running: Running, token: string, value: string | undefined): Promise<void> {
  const socket = adminSocket(running.folder, running.generation);
  await ask(socket, `del map ${MAPS.challenges} ${token}`);
  if (value === undefined) return;
  const answer = await ask(socket, `add map ${MAPS.challenges} <<\n${renderMap({ [token]: value })}`);
  if (answer.trim() !== '') throw new Failure('EDGE_FAILED', 'HAProxy did not take an ACME challenge', { details: lines(answer) });
}

const lines = (text: string): string[] =>
  text
    .split('\n')
    .map((line) => line.trim())
    .filter(Boolean);

function refused(step: EdgeStep, answer: string): Failure {
  return new Failure('EDGE_FAILED', `HAProxy refused to ${describeStep(step)}`, { details: lines(answer) });
}
