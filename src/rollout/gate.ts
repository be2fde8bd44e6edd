import type { ContainerInfo } from '../docker/api.ts';
import { formatMs } from '../kit/duration.ts';
import { Failure } from '../kit/errors.ts';
import { waitFor } from '../kit/wait.ts';
import { evidence, nameOf } from './containers.ts';
import type { World } from './world.ts';

/** A container without any check counts as good when it has stayed up this long. */
const STEADY_MS = 2000;

type Verdict = 'good' | 'wait' | { bad: string };

/** What one look at a new container says. A restart is a crash: nobody asked for it. */
export function judgeContainer(info: ContainerInfo, nowMs: number): Verdict {
  const { State: state } = info;
  if (state.OOMKilled) return { bad: 'it was killed because it ran out of memory' };
  if (info.RestartCount > 0 || state.Restarting) {
    // One that runs again has lost the code that it ended with; the evidence asks the engine's events for it.
    return { bad: `it crashed${state.Running && !state.Restarting ? '' : ` (exit code ${state.ExitCode})`} and was restarted` };
  }
  if (state.Status === 'exited' || state.Status === 'dead') return { bad: `it ended with exit code ${state.ExitCode}` };
  if (state.Status === 'removing') return { bad: 'it is being removed by somebody else' };
  if (!state.Running) return 'wait';
  const health = state.Health?.Status;
  if (health === 'unhealthy') return { bad: 'its health check says unhealthy' };
  if (health && health !== 'none') return health === 'healthy' ? 'good' : 'wait';
  return nowMs - Date.parse(state.StartedAt) >= STEADY_MS ? 'good' : 'wait';
}

/**
 * Waits until new containers are good: healthy by Docker, or steady where there is no health check; and passed by the edge's own check where
 * requests go to them. Answers the ones that are. `mayFail` is how many need not be. Failure RELEASE_FAILED when more are bad or time runs out.
 */
export async function gateContainers(
  world: World,
  ids: string[],
  options: { timeoutMs: number; mayFail: number; routed: boolean },
): Promise<string[]> {
  const good = new Set<string>();
  const bad = new Map<string, string>();
  await waitFor(
    async () => {
      for (const id of ids) {
        if (good.has(id) || bad.has(id)) continue;
        const info = await world.docker.findContainer(id);
        const verdict = info ? judgeContainer(info, Date.now()) : { bad: 'it is gone' };
        if (verdict === 'good') good.add(id);
        else if (verdict !== 'wait') bad.set(id, verdict.bad);
      }
      if (bad.size > options.mayFail) return true;
      return good.size + bad.size === ids.length ? true : undefined;
    },
    { everyMs: 10, timeoutMs: options.timeoutMs, signal: world.signal },
  );
  for (const id of ids) if (!good.has(id) && !bad.has(id)) bad.set(id, `it was not healthy within ${formatMs(options.timeoutMs)}`);
  await failIfTooMany(world, bad, options.mayFail);
  const answering = options.routed ? await edgeCheck(world, [...good], bad) : [...good];
  await failIfTooMany(world, bad, options.mayFail);
  return answering;
}

const EDGE_CHECK_MS = 15_000;

async function edgeCheck(world: World, ids: string[], bad: Map<string, string>): Promise<string[]> {
  const passed = new Set<string>();
  let words = new Map<string, string>();
  await waitFor(
    async () => {
      const stats = await world.edge.stats();
      words = new Map();
      for (const id of ids) {
        const rows = stats.filter(({ server }) => server === id.slice(0, 12));
        const failing = rows.find(({ checkPassed }) => !checkPassed);
        if (rows.length > 0 && !failing) passed.add(id);
        else words.set(id, failing?.checkText ?? 'the edge does not know it');
      }
      return passed.size === ids.length ? true : undefined;
    },
    { everyMs: 10, timeoutMs: EDGE_CHECK_MS, signal: world.signal },
  );
  for (const id of ids) if (!passed.has(id)) bad.set(id, `the edge's check does not pass: ${words.get(id) ?? 'no answer'}`);
  return [...passed];
}

async function failIfTooMany(world: World, bad: Map<string, string>, mayFail: number): Promise<void> {
  const first = [...bad.keys()][0];
  if (first === undefined || bad.size <= mayFail) return;
  const info = await world.docker.findContainer(first);
  const name = info ? nameOf(info) : first.slice(0, 12);
  throw new Failure('RELEASE_FAILED', `${name} did not become ready: ${bad.get(first)}`, {
    where: name,
    details: await evidence(world.docker, first),
  });
}
