/**
 * `npm run bench -- autoscale [--rounds 20] [--script 5] [--json FILE]`: from a job that is put into its queue until the user's code of it runs, and
 * what the engine alone takes for the same; beside it a script that polls every ten seconds.
 */
import { loadavg } from 'node:os';
import { Queue } from 'bullmq';
import { Redis } from 'ioredis';
import { readSegments } from '../src/autoscale/recording.ts';
import { openDocker } from '../src/docker/api.ts';
import { sleep } from '../src/kit/wait.ts';
import { eventually } from '../test/support/eventually.ts';
import { type ScenarioProject, withProject } from '../test/support/scenario.ts';
import { spawnAutoscaler } from '../test/support/worker.ts';
import { openFloor } from './agent/floor.ts';
import { startScript } from './agent/script.ts';
import { BURST, composeFile, WARMTHS, type Warmth } from './agent/tiers.ts';
import { readArguments } from './support/arguments.ts';
import { must } from './support/must.ts';
import { median, quantile, round } from './support/numbers.ts';
import { publish, type Row, say } from './support/report.ts';

const options = readArguments({ rounds: '20', script: '5' });
const rounds = options.count('rounds');
const SCRIPT_EVERY_MS = 10_000;
/** KEDA's defaults: it asks every 30 s while nothing runs. A job comes at any moment of that. */
const KEDA_EVERY_MS = 30_000;
const WAIT = { timeoutMs: 60_000, everyMs: 20 };

interface Jobs {
  redis: Redis;
  /** Puts a job in and answers when, by this machine's clock, ms since 1970. */
  add(warmth: Warmth): Promise<number>;
  /** As many jobs as the burst has workers, which outlast its start. */
  addMany(): Promise<unknown>;
  /** When the user's code of the newest job began. */
  began(): Promise<number>;
  close(): Promise<void>;
}

async function openJobs(project: ScenarioProject): Promise<Jobs> {
  const [container] = await project.containers('redis');
  const host = Object.values((await project.inspect(container?.Id ?? '')).NetworkSettings.Networks)[0]?.IPAddress ?? '';
  const redis = new Redis({ host });
  redis.on('error', () => {});
  const queues = new Map(WARMTHS.map((warmth) => [warmth, new Queue(warmth, { connection: { host, port: 6379 } })]));
  await Promise.all([...queues.values()].map((queue) => queue.waitUntilReady()));
  const burst = new Queue('burst', { connection: { host, port: 6379 } });
  await burst.waitUntilReady();
  let expected = 0;
  return {
    redis,
    add: async (warmth) => {
      expected = (await redis.llen('began')) + 1;
      const at = Date.now();
      await queues.get(warmth)?.add('job', {});
      return at;
    },
    addMany: () => burst.addBulk(Array.from({ length: BURST }, () => ({ name: 'job', data: { ms: 3000 } }))),
    began: async () => {
      const text = await eventually(async () => {
        const found = await redis.lindex('began', expected - 1);
        if (found === null) throw new Error('no worker has begun the job');
        return found;
      }, WAIT);
      return (JSON.parse(text) as { at: number }).at;
    },
    close: async () => {
      await Promise.all([burst, ...queues.values()].map((queue) => queue.close()));
      redis.disconnect();
    },
  };
}

const REST: Record<string, string> = { frozen: 'paused', stopped: 'exited', none: '', burst: '' };

async function atRest(project: ScenarioProject, service: string): Promise<void> {
  await eventually(async () => {
    const states = (await project.containers(service)).map(({ State }) => State).join();
    if (states !== REST[service]) throw new Error(`${service} is not at rest: ${states}`);
  }, WAIT);
}

/** Ms from `begin` until the engine has started the last container of the burst, by its own time stamps. */
async function burstMs(project: ScenarioProject, begin: () => Promise<unknown>): Promise<number> {
  const stop = new AbortController();
  const label = [`com.docker.compose.project=${project.name}`, 'com.docker.compose.service=burst'];
  const events = openDocker().events({ type: ['container'], event: ['start'], label }, stop.signal);
  const first = events.next();
  await sleep(100);
  const at = Date.now();
  const begun = begin();
  let started = 0;
  let lastMs = 0;
  try {
    for (let next = await first; !next.done; next = await events.next()) {
      lastMs = next.value.timeNano / 1e6 - at;
      started++;
      if (started === BURST) break;
    }
  } finally {
    stop.abort();
  }
  await begun;
  return lastMs;
}

/** Ms from each moment until, as the agent recorded it, the source told it of a change. */
async function detections(state: string, moments: number[], tier: string): Promise<number[]> {
  const notices: number[] = [];
  for await (const { recorded } of readSegments(state)) {
    for (const { event } of recorded) if (event.kind === 'notice' && event.tier === tier) notices.push(event.atMs);
  }
  return moments.map((at) => (notices.find((notice) => notice >= at) ?? Number.POSITIVE_INFINITY) - at);
}

const waits: Record<Warmth | 'burst', { ours: number[]; floor: number[] }> = {
  frozen: { ours: [], floor: [] },
  stopped: { ours: [], floor: [] },
  none: { ours: [], floor: [] },
  burst: { ours: [], floor: [] },
};
const script: number[] = [];
let detected: number[] = [];

await withProject('bench autoscale', { files: { 'compose.yaml': composeFile() } }, async (ours) => {
  await withProject('bench autoscale floor', { files: { 'compose.yaml': composeFile() } }, async (bare) => {
    for (const { folder } of [ours, bare]) await must('docker', ['compose', 'up', '-d'], { cwd: folder });
    // Told of a host with room, because what else runs on this machine would be counted as always running.
    const autoscaler = await spawnAutoscaler(ours);
    const [jobs, bareJobs, floor] = await Promise.all([openJobs(ours), openJobs(bare), openFloor(bare, [`${bare.name}_default`])]);
    const put: number[] = [];
    try {
      for (const warmth of WARMTHS) await floor.rest(warmth);
      await floor.clear();
      for (const service of [...WARMTHS, 'burst']) await atRest(ours, service);
      // Round 0 warms caches on both sides and is not counted.
      for (let index = 0; index <= rounds; index++) {
        for (const warmth of WARMTHS) {
          const at = await jobs.add(warmth);
          const ownMs = (await jobs.began()) - at;
          // Until then there are signals, freezers and removals that would be counted against the other side.
          await atRest(ours, warmth);
          await bareJobs.add(warmth);
          await sleep(50);
          const from = Date.now();
          const call = floor.start(warmth);
          const floorMs = (await bareJobs.began()) - from;
          await call;
          await floor.rest(warmth);
          if (index === 0) continue;
          waits[warmth].ours.push(ownMs);
          waits[warmth].floor.push(floorMs);
          if (warmth === 'frozen') put.push(at);
        }
        if (index > Math.ceil(rounds / 3)) continue;
        const ownMs = await burstMs(ours, () => jobs.addMany());
        await atRest(ours, 'burst');
        const floorMs = await burstMs(bare, () => floor.burst());
        await floor.clear();
        if (index === 0) continue;
        waits.burst.ours.push(ownMs);
        waits.burst.floor.push(floorMs);
        say(`round ${index} of ${rounds}`);
      }
    } catch (error) {
      await Promise.all([jobs.close(), bareJobs.close()]);
      throw error;
    } finally {
      await autoscaler.kill('SIGTERM');
    }
    detected = await detections(ours.state, put, `${ours.name}/frozen`);
    const polling = startScript(bare, bareJobs.redis, 'none', SCRIPT_EVERY_MS);
    try {
      for (let index = 0; index < options.count('script'); index++) {
        await polling.idle();
        // Evenly spread over the interval, so that few rounds already have its mean.
        await sleep(((index + 0.5) / options.count('script')) * SCRIPT_EVERY_MS);
        const at = await bareJobs.add('none');
        script.push((await bareJobs.began()) - at);
      }
      say('the polling script is measured');
    } finally {
      await polling.stop();
    }
    await Promise.all([jobs.close(), bareJobs.close()]);
  });
});

const ratioOf = ({ ours, floor }: { ours: number[]; floor: number[] }): number => round(median(ours) / median(floor), 2);
const coldMs = median(waits.none.floor);
const row = (what: string, all: number[]): Row => ({
  what,
  rounds: all.length,
  medianMs: round(median(all)),
  p90Ms: round(quantile(all, 0.9)),
  slowestMs: round(Math.max(...all)),
});
const rows: Row[] = [
  ...Object.entries(waits).flatMap(([name, { ours, floor }]) => [row(`${name}: composure`, ours), row(`${name}: engine alone`, floor)]),
  row('put in until the agent knows', detected),
  row('script that polls every 10 s', script),
  {
    what: 'KEDA, defaults (computed, not run)',
    rounds: 0,
    medianMs: round(KEDA_EVERY_MS * 0.5 + coldMs),
    p90Ms: round(KEDA_EVERY_MS * 0.9 + coldMs),
    slowestMs: round(KEDA_EVERY_MS + coldMs),
  },
];
publish(
  {
    bench: 'autoscale',
    summary: {
      frozenMs: round(median(waits.frozen.ours), 1),
      frozenFloorMs: round(median(waits.frozen.floor), 1),
      stoppedRatio: ratioOf(waits.stopped),
      coldRatio: ratioOf(waits.none),
      burstRatio: ratioOf(waits.burst),
      detectMs: round(median(detected), 1),
      scriptMs: round(median(script)),
      kedaComputedMs: round(KEDA_EVERY_MS * 0.5 + coldMs),
      load: round(loadavg()[0] ?? 0, 1),
    },
    rows,
  },
  options.json,
);
