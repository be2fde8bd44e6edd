import { request } from 'node:http';
import type { ProgressEvent } from '../../src/kit/events.ts';
import { buildTestApp } from '../../test/support/app.ts';
import { type ScenarioProject, withProject } from '../../test/support/scenario.ts';
import { median, round } from '../support/numbers.ts';
import { type Row, say } from '../support/report.ts';
import { timeMs } from '../support/time.ts';

export interface Overhead {
  composureMs: number;
  floorMs: number;
  /** Median over the pairs of one release through composure over one done by hand. */
  ratio: number;
  /** Where composure's time goes, medians; what no step reports is its start, the reading of the project and its end. */
  rows: Row[];
}

/** The service that is released: what stands in its compose entry besides the route and the version. */
export interface Subject {
  service: string;
  port: number;
}

/** The example's api with its own image and health check, without the jobs and databases that the floor would have to start too. */
export const exampleApi = (image: string): Subject => ({
  port: 8000,
  service: `{
    image: "${image}", init: true, user: "1000:1000", read_only: true, tmpfs: [/tmp], stop_grace_period: 30s,
    healthcheck: { test: [CMD, node, src/health.js], interval: 5s, timeout: 3s, retries: 3, start_period: 20s, start_interval: 500ms },
    environment: { REDIS_HOST: redis, POSTGRES_HOST: postgres, POSTGRES_PASSWORD: none, APP_DRAIN_MS: 25000, RELEASE: "\${VERSION}" },`,
});

/** The least that can be released: a server that is up in 70 ms, so that everything else weighs most. */
export const smallApp = async (): Promise<Subject> => ({
  port: 3000,
  service: `{ image: "${await buildTestApp()}", environment: { VERSION: "\${VERSION}" },`,
});

/**
 * One service without bake: `composure deploy api --yes` as a process, in turn with the least that any release has to do
 * on the Engine API: create and start the same container, time to healthy, stop of the old one. No load, so nothing is in flight on both sides.
 */
export async function measureOverhead(subject: Subject, pairs: number): Promise<Overhead> {
  const composure: number[] = [];
  const floor: number[] = [];
  const steps = new Map<string, number[]>();
  const floorSteps = new Map<string, number[]>();
  await withProject(
    'bench overhead',
    {
      files: (facts) => ({
        'compose.yaml': `
services:
  api: ${subject.service}
    deploy: { update_config: { order: start-first, monitor: 0s } },
    x-edge: { host: ${facts.host}, port: ${subject.port}, health: /health } }
x-composure: { edge: { http_port: ${facts.httpPort}, https_port: ${facts.httpsPort} } }
`,
      }),
    },
    async (project) => {
      await deploy(project, 'first');
      // The first release of each is a rehearsal: page cache, image layers, compile cache.
      for (let pair = 0; pair <= pairs; pair += 1) {
        let events: ProgressEvent[] = [];
        const ours = await timeMs(async () => {
          events = await deploy(project, `pair-${pair}`);
        });
        const bare = await byHand(project);
        say(`pair ${pair}: composure ${round(ours)} ms, floor ${round(bare.totalMs)} ms`);
        if (pair === 0) continue;
        composure.push(ours);
        floor.push(bare.totalMs);
        const known = Object.entries(stepTimes(events));
        const reported = known.reduce((sum, [, ms]) => sum + ms, 0);
        for (const [step, ms] of [...known, ['start, project, observation, exit', ours - reported] as const]) add(steps, step, ms);
        for (const [step, ms] of Object.entries(bare.steps)) add(floorSteps, step, ms);
      }
    },
  );
  return {
    composureMs: round(median(composure)),
    floorMs: round(median(floor)),
    ratio: round(median(composure.map((ms, index) => ms / (floor[index] ?? Number.NaN))), 3),
    rows: [...table('composure', steps), ...table('floor', floorSteps)],
  };
}

const add = (into: Map<string, number[]>, step: string, ms: number): void => void into.set(step, [...(into.get(step) ?? []), ms]);

const table = (of: string, steps: Map<string, number[]>): Row[] =>
  [...steps].map(([step, times]) => ({ release: of, step, medianMs: round(median(times)) }));

async function deploy(project: ScenarioProject, version: string): Promise<ProgressEvent[]> {
  const { code, out, err } = await project.spawnComposure(['deploy', 'api', '--yes', '--json'], { VERSION: version }).done;
  if (code !== 0) throw new Error(`composure deploy ended with ${code}: ${out}${err}`);
  return err
    .split('\n')
    .filter((line) => line.startsWith('{'))
    .map((line) => JSON.parse(line) as ProgressEvent);
}

/** Time of each step; a step within another one is part of it. */
export function stepTimes(events: ProgressEvent[]): Record<string, number> {
  const times: Record<string, number> = {};
  let depth = 0;
  for (const event of events) {
    if (event.kind === 'step-start') depth += 1;
    if (event.kind !== 'step-done' && event.kind !== 'step-failed') continue;
    depth -= 1;
    if (depth === 0) times[event.step] = (times[event.step] ?? 0) + event.ms;
  }
  return times;
}

/** Beside the running container another one of exactly its configuration, made and stopped over the Engine API. */
async function byHand(project: ScenarioProject): Promise<{ totalMs: number; steps: Record<string, number> }> {
  const [running] = (await project.containers('api')).filter(({ State }) => State === 'running');
  if (!running) throw new Error('no container of api runs');
  const model = (await engine('GET', `/containers/${running.Id}/json`)) as unknown as Model;
  const name = `${project.name}-by-hand`;
  const spec = {
    ...model.Config,
    Hostname: '',
    Labels: { 'com.docker.compose.project.working_dir': project.folder },
    HostConfig: model.HostConfig,
    NetworkingConfig: { EndpointsConfig: { [`${project.name}_default`]: {} } },
  };
  // The one to stop is a twin too: composure's own container goes on being the current release.
  const old = await create(`${name}-old`, spec);
  await engine('POST', `/containers/${old}/start`);
  await healthy(old);

  const steps: Record<string, number> = {};
  const began = performance.now();
  let fresh = '';
  steps.create = await timeMs(async () => {
    fresh = await create(name, spec);
  });
  steps.start = await timeMs(() => engine('POST', `/containers/${fresh}/start`));
  steps.healthy = await timeMs(() => healthy(fresh));
  steps.stop = await timeMs(() => engine('POST', `/containers/${old}/stop`));
  const totalMs = performance.now() - began;
  for (const id of [old, fresh]) await engine('DELETE', `/containers/${id}?force=1`);
  return { totalMs, steps };
}

interface Model {
  Id: string;
  Config: object;
  HostConfig: object;
  State: { Health?: { Status: string } };
}

async function create(name: string, spec: object): Promise<string> {
  return ((await engine('POST', `/containers/create?name=${encodeURIComponent(name)}`, spec)) as unknown as Model).Id;
}

async function healthy(container: string): Promise<void> {
  for (;;) {
    const { State } = (await engine('GET', `/containers/${container}/json`)) as unknown as Model;
    if (State.Health?.Status === 'healthy') return;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

/** The plainest client there can be, so that the floor holds nothing of ours. */
function engine(method: string, path: string, body?: object): Promise<Record<string, unknown>> {
  return new Promise((resolve, reject) => {
    const payload = body ? JSON.stringify(body) : '';
    const call = request(
      {
        socketPath: '/var/run/docker.sock',
        method,
        path: `/v1.44${path}`,
        headers: { 'content-type': 'application/json', 'content-length': Buffer.byteLength(payload) },
      },
      (response) => {
        let text = '';
        response.setEncoding('utf8').on('data', (part: string) => {
          text += part;
        });
        response.on('end', () => {
          if ((response.statusCode ?? 500) >= 400) reject(new Error(`${method} ${path}: ${response.statusCode} ${text}`));
          else resolve(text ? (JSON.parse(text) as Record<string, unknown>) : {});
        });
      },
    );
    call.on('error', reject);
    call.end(payload);
  });
}
