/**
 * `npm run bench -- footprint [--containers 10,50,200] [--queues 20] [--seconds 60] [--json FILE]`: memory and processor time of an agent that has
 * nothing to do, as the number of containers on the host grows. The agent is the package as npm installs it.
 */
import { rm } from 'node:fs/promises';
import { loadavg } from 'node:os';
import { openDocker } from '../src/docker/api.ts';
import { sleep } from '../src/kit/wait.ts';
import { type ScenarioProject, withProject } from '../test/support/scenario.ts';
import { processFigures, startAgent } from './agent/agent.ts';
import { installPackage } from './cli/packages.ts';
import { readArguments } from './support/arguments.ts';
import { median, round } from './support/numbers.ts';
import { publish, type Row, say } from './support/report.ts';

const options = readArguments({ containers: '10,50,200', queues: '20', seconds: '60' });
const counts = options.list('containers').map(Number);
const queues = options.count('queues');
const seconds = options.count('seconds');

/** The point that has the published aim. */
const PUBLISHED = 50;
/** What is left of starting is over: modules, the first look, the compose files. */
const SETTLE_MS = 20_000;

/** One Redis, a service for each queue of which nothing runs, and as many idle containers as are asked for, which have no limits. */
function composeFile(): string {
  const worker = (index: number) => ({
    image: 'busybox:1',
    command: ['sleep', 'infinity'],
    deploy: { replicas: 0, resources: { limits: { cpus: '0.1', memory: '16M' } } },
    'x-autoscale': {
      triggers: [{ type: 'redis', metadata: { address: 'redis:6379', listName: `queue-${index}`, listLength: '5' } }],
      // Every other one is a whole queue of a library; the rest are single lists.
      tier: { warm: 'none', ...(index % 2 ? { framework: 'bullmq' } : {}) },
    },
  });
  return JSON.stringify({
    services: {
      redis: { image: 'redis:8-alpine', command: 'redis-server --save ""', stop_grace_period: '1s' },
      idle: { image: 'busybox:1', command: ['sleep', 'infinity'], stop_grace_period: '0s' },
      ...Object.fromEntries(Array.from({ length: queues }, (_, index) => [`worker${index}`, worker(index)])),
    },
  });
}

interface Point {
  containers: number;
  /** What the engine lists in all: others' containers are looked at too. */
  onHost: number;
  rssMiB: number;
  startMiB: number;
  peakMiB: number;
  cpuPercent: number;
  load: number;
}

async function measure(bin: string, project: ScenarioProject, containers: number): Promise<Point> {
  // Redis is one of them.
  const up = await project.compose(['up', '-d', '--no-recreate', '--scale', `idle=${containers - 1}`, 'redis', 'idle']);
  if (up.code !== 0) throw new Error(up.stderr);
  const onHost = (await openDocker().listContainers()).length;
  const agent = await startAgent(bin, project, queues);
  try {
    const { rssMiB: startMiB } = await processFigures(agent.pid);
    await sleep(SETTLE_MS);
    const began = { at: performance.now(), ...(await processFigures(agent.pid)) };
    const rss: number[] = [];
    while (performance.now() - began.at < seconds * 1000) {
      await sleep(1000);
      rss.push((await processFigures(agent.pid)).rssMiB);
    }
    const ended = await processFigures(agent.pid);
    const cpuPercent = ((ended.cpuMs - began.cpuMs) / (performance.now() - began.at)) * 100;
    const { peakMiB } = ended;
    return { containers, onHost, rssMiB: median(rss), startMiB, peakMiB, cpuPercent, load: loadavg()[0] ?? 0 };
  } finally {
    await agent.stop();
  }
}

const packed = await installPackage();
const points: Point[] = [];
try {
  await withProject('bench footprint', { files: { 'compose.yaml': composeFile() } }, async (project) => {
    for (const containers of counts) {
      const point = await measure(packed.bin, project, containers);
      points.push(point);
      say(`${containers} containers: ${round(point.rssMiB, 1)} MiB, ${round(point.cpuPercent, 2)} % of a core`);
    }
  });
} finally {
  await rm(packed.folder, { recursive: true, force: true });
}

const published = points.find(({ containers }) => containers === PUBLISHED) ?? points[0];
const rows: Row[] = points.map((point) => ({
  containers: point.containers,
  'on the host': point.onHost,
  queues,
  rssMiB: round(point.rssMiB, 1),
  startMiB: round(point.startMiB, 1),
  peakMiB: round(point.peakMiB, 1),
  cpuPercent: round(point.cpuPercent, 2),
  load: round(point.load, 1),
}));
publish(
  {
    bench: 'footprint',
    summary: {
      rssMiB: round(published?.rssMiB ?? Number.NaN, 1),
      idleCpuPercent: round(published?.cpuPercent ?? Number.NaN, 2),
      queues,
      seconds,
    },
    rows,
  },
  options.json,
);
