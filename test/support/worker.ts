import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { Queue } from 'bullmq';
import { Redis } from 'ioredis';
import type { HostFacts } from '../../src/autoscale/budget.ts';

import { runAutoscaler } from '../../src/autoscale/loop.ts';
import type { AutoscalerOptions } from '../../src/autoscale/site/model.ts';
import { openDocker } from '../../src/docker/api.ts';
import { projectFolder } from '../../src/state/folder.ts';
import type { ScenarioProject } from './scenario.ts';

const MODULES = fileURLToPath(new URL('../../node_modules', import.meta.url));
const FIXTURE = fileURLToPath(new URL('../fixtures/worker/worker.js', import.meta.url));

/** A project with Redis and a BullMQ worker (test/fixtures/worker) that is scaled by its queue. */
export function workerProject({
  autoscale = {},
  tier = {},
  environment = {},
  service = {},
}: {
  autoscale?: Record<string, unknown>;
  tier?: Record<string, unknown>;
  environment?: Record<string, string>;
  service?: Record<string, unknown>;
} = {}): Record<string, string> {
  return {
    'compose.yaml': JSON.stringify({
      services: {
        redis: { image: 'redis:8-alpine', command: 'redis-server --save ""', stop_grace_period: '1s' },
        worker: {
          image: 'node:24-alpine',
          command: ['node', '/app/worker.js'],
          init: true,
          environment,
          volumes: [`${MODULES}:/app/node_modules:ro`, `${FIXTURE}:/app/worker.js:ro`],
          stop_grace_period: '1s',
          deploy: { resources: { limits: { memory: '192M', cpus: '0.5' } } },
          ...service,
          'x-autoscale': {
            maxReplicaCount: 3,
            pollingInterval: 1,
            cooldownPeriod: 2,
            advanced: { horizontalPodAutoscalerConfig: { behavior: { scaleDown: { stabilizationWindowSeconds: 0 } } } },
            triggers: [{ type: 'redis', metadata: { address: 'redis:6379', listName: 'jobs', listLength: '1' } }],
            ...autoscale,
            tier: { class: 'light', framework: 'bullmq', warm: 'none', ...tier },
          },
        },
      },
    }),
  };
}

/** Room for more than any test starts, whatever else runs on this machine. */
export const ROOMY = { cores: 4, memoryBytes: 16 * 1024 ** 3, alwaysOn: [] };

export interface Autoscaled {
  said: string[];
  stop(): Promise<void>;
}

/** Runs the autoscaler within this process. */
export async function startAutoscaler(project: ScenarioProject, options: Partial<AutoscalerOptions> = {}): Promise<Autoscaled> {
  await adopt(project);
  const abort = new AbortController();
  const said: string[] = [];
  const began = performance.now();
  const done = runAutoscaler({
    stateFolder: project.state,
    docker: openDocker(),
    report: (event) => {
      if ('text' in event && event.text.includes(project.name)) said.push(`${Math.round(performance.now() - began)} ${event.text}`);
    },
    signal: abort.signal,
    host: ROOMY,
    ...options,
  });
  done.catch(() => {});
  return {
    said,
    stop: async () => {
      abort.abort();
      await done;
    },
  };
}

const OWN_PROCESS = fileURLToPath(new URL('./autoscaler.fixture.ts', import.meta.url));

/** A state folder of a test's own only has to do with projects that it knows. */
const adopt = (project: ScenarioProject) => mkdir(projectFolder(project.state, project.name), { recursive: true });

/** Runs it in a process of its own, to be killed. */
export async function spawnAutoscaler(
  project: ScenarioProject,
  host: HostFacts = ROOMY,
): Promise<{ process: ChildProcess; kill(signal: NodeJS.Signals): Promise<void> }> {
  await adopt(project);
  const child = spawn(process.execPath, [OWN_PROCESS, project.state, JSON.stringify(host)], { stdio: ['ignore', 'ignore', 'inherit'] });
  return {
    process: child,
    kill: async (signal) => {
      if (child.exitCode !== null || child.signalCode !== null) return;
      const gone = once(child, 'exit');
      child.kill(signal);
      await gone;
    },
  };
}

export interface Jobs {
  add(name: string, ms?: number): Promise<number>;
  /** A job that fails every time, and is due again `everyMs` after each failure. */
  addPoison(name: string, everyMs: number): Promise<void>;
  began(): Promise<{ job: string; host: string; at: number }[]>;
  ended(): Promise<{ job: string; host: string; at: number }[]>;
  signals(): Promise<{ host: string; busy: number; count: number; at: number }[]>;
  close(): Promise<void>;
}

/** The project's queue as this process reaches it. */
export async function openJobs(project: ScenarioProject): Promise<Jobs> {
  const [container] = await project.containers('redis');
  const info = await project.inspect(container?.Id ?? '');
  const host = Object.values(info.NetworkSettings.Networks)[0]?.IPAddress ?? '';
  const redis = new Redis({ host, maxRetriesPerRequest: null });
  redis.on('error', () => {});
  const queue = new Queue('jobs', { connection: { host, port: 6379 } });
  queue.on('error', () => {});
  await queue.waitUntilReady();
  const list = async (key: string) => (await redis.lrange(key, 0, -1)).map((text) => JSON.parse(text));
  return {
    /** Answers when it was put in, ms since 1970. */
    add: async (name, ms = 0) => {
      const at = Date.now();
      await queue.add(name, { ms });
      return at;
    },
    addPoison: async (name, everyMs) => {
      await queue.add(name, { fails: true }, { attempts: 10_000, backoff: { type: 'fixed', delay: everyMs } });
    },
    began: () => list('began'),
    ended: () => list('ended'),
    signals: () => list('signals'),
    close: async () => {
      await queue.close();
      redis.disconnect();
    },
  };
}
