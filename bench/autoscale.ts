/**
 * `npm run bench -- autoscale [--rounds 20] [--bursts 5] [--script 3] [--json FILE]`: from a job's arrival to the first line of its own code, for each
 * kind of worker that stands ready, beside the least that the engine needs for it; and from nothing to eight workers. The agent is the package as
 * npm installs it.
 */
import { rm } from 'node:fs/promises';
import { loadavg } from 'node:os';
import { withProject } from '../test/support/scenario.ts';
import { startAgent } from './agent/agent.ts';
import { openFloor } from './agent/floor.ts';
import { openQueues } from './agent/queues.ts';
import { pollingScript } from './agent/script.ts';
import { BURST, composeFile, SCRIPTED, WARMTHS, type Warmth } from './agent/tiers.ts';
import { installPackage } from './cli/packages.ts';
import { readArguments } from './support/arguments.ts';
import { must } from './support/must.ts';
import { median, quantile, round } from './support/numbers.ts';
import { publish, type Row, say } from './support/report.ts';

const options = readArguments({ rounds: '20', bursts: '5', script: '3' });
const rounds = options.count('rounds');
/** KEDA asks each 30 s while nothing runs: what a job waits for that is evenly spread. */
const KEDA_POLL_MS = 30_000;

const ours: Record<Warmth, number[]> = { frozen: [], stopped: [], none: [] };
const floors: Record<Warmth, number[]> = { frozen: [], stopped: [], none: [] };
const detection: number[] = [];
const bursts: number[] = [];
const burstFloors: number[] = [];
const scripted: number[] = [];

const packed = await installPackage();
try {
  await withProject('bench autoscale', { files: { 'compose.yaml': composeFile() } }, async (project) => {
    const up = await project.compose(['up', '-d']);
    if (up.code !== 0) throw new Error(up.stderr);
    const queues = await openQueues(project);
    const floor = await openFloor(project, queues);
    const agent = await startAgent(packed.bin, project, WARMTHS.length + 1);
    try {
      // Round 0 is a rehearsal: page cache, and the first container of a service is made by Compose.
      for (let index = 0; index <= rounds; index += 1) {
        for (const warm of WARMTHS) {
          await queues.atRest(warm);
          const { at, waitedMs } = await queues.run(warm);
          const least = await floor.run(warm);
          if (index === 0) continue;
          ours[warm].push(waitedMs);
          floors[warm].push(least);
          if (warm === 'frozen') detection.push(await queues.noticedAfterMs(warm, at));
        }
        if (index % 5 === 0) say(`${index} of ${rounds} rounds`);
      }
      for (let index = 0; index <= options.count('bursts'); index += 1) {
        await queues.atRest('burst');
        const taken = await queues.burst();
        const least = await floor.burst();
        if (index === 0) continue;
        bursts.push(taken);
        burstFloors.push(least);
      }
      say('bursts measured');
      for (let index = 0; index < options.count('script'); index += 1) scripted.push(await pollingScript(project, queues, SCRIPTED));
    } catch (error) {
      throw new Error(`${(error as Error).message}\nthe agent's last words:\n${agent.said()}`, { cause: error });
    } finally {
      await agent.stop();
      await floor.close();
      await queues.close();
      await must('docker', ['compose', 'down', '-t', '1'], { cwd: project.folder });
    }
  });
} finally {
  await rm(packed.folder, { recursive: true, force: true });
}

const ratio = (of: number[], over: number[]): number => round(median(of.map((ms, index) => ms / (over[index] ?? Number.NaN))), 3);
const row = (path: string, times: number[], least?: number[]): Row => ({
  path,
  rounds: times.length,
  p50: round(median(times), 1),
  p90: round(quantile(times, 0.9), 1),
  floor: least ? round(median(least), 1) : '',
});
const coldMs = median(floors.none);
const rows = [
  row('frozen worker, thawed', ours.frozen, floors.frozen),
  row('stopped worker, started', ours.stopped, floors.stopped),
  row('no worker, created and started', ours.none, floors.none),
  row(`burst, 0 to ${BURST} workers`, bursts, burstFloors),
  row('script that polls each 10 s, docker compose up --scale', scripted),
  {
    path: 'KEDA, defaults (computed: even 0 to 30 s, then create and start)',
    rounds: 0,
    p50: round(KEDA_POLL_MS / 2 + coldMs, 1),
    p90: round(KEDA_POLL_MS * 0.9 + coldMs, 1),
    floor: '',
  },
];
const summary = {
  frozenMs: round(median(ours.frozen), 1),
  stoppedRatio: ratio(ours.stopped, floors.stopped),
  coldRatio: ratio(ours.none, floors.none),
  detectMs: round(median(detection), 2),
  burstRatio: ratio(bursts, burstFloors),
  scriptMs: round(median(scripted)),
  load: round(loadavg()[0] ?? 0, 1),
};
publish({ bench: 'autoscale', summary, rows }, options.json);
