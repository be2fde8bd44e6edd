import { spawn } from 'node:child_process';
import { request } from 'node:http';
import { createInterface } from 'node:readline';
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
 * One service without bake: `composure deploy api --yes` as a process, of the package as npm installs it, in turn with the least that any
 * release has to do on the Engine API: create and start the same container, time to healthy, drain, stop of the old one. `inFlightMs`: how
 * long a request takes that the old container is given in the moment when the new one has been started, on both sides; 0 means none.
 */
export async function measureOverhead(bin: string, subject: Subject, pairs: number, inFlightMs: number): Promise<Overhead> {
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
      const release = (version: string) => deploy(bin, project, version, inFlightMs);
      await deploy(bin, project, 'first', 0);
      // The first release of each is a rehearsal: page cache, image layers, compile cache.
      for (let pair = 0; pair <= pairs; pair += 1) {
        let events: ProgressEvent[] = [];
        const ours = await timeMs(async () => {
          events = await release(`pair-${pair}`);
        });
        const bare = await byHand(project, subject.port, inFlightMs);
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

async function deploy(bin: string, project: ScenarioProject, version: string, inFlightMs: number): Promise<ProgressEvent[]> {
  const child = spawn(process.execPath, [bin, 'deploy', 'api', '--yes', '--json'], {
    cwd: project.folder,
    env: { ...project.env, VERSION: version },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  const events: ProgressEvent[] = [];
  let answered: Promise<void> | undefined;
  const ended = new Promise<number | null>((resolve) => child.on('close', resolve));
  for await (const line of createInterface({ input: child.stderr })) {
    if (!line.startsWith('{')) continue;
    const event = JSON.parse(line) as ProgressEvent;
    events.push(event);
    if (inFlightMs > 0 && event.kind === 'step-done' && event.step === 'start:api') {
      answered = slowRequest(`http://127.0.0.1:${project.httpPort}`, inFlightMs, project.host);
      answered.catch(() => {});
    }
  }
  const code = await ended;
  if (code !== 0) throw new Error(`composure deploy ended with ${code}: ${JSON.stringify(events.slice(-3))}`);
  await answered;
  return events;
}

/** A request that takes that long; it has to be answered in full. */
function slowRequest(origin: string, ms: number, host?: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const call = request(`${origin}/slow?ms=${ms}`, { agent: false, ...(host ? { headers: { host } } : {}) }, (response) => {
      response.resume().on('error', reject);
      response.on('end', () => (response.statusCode === 200 ? resolve() : reject(new Error(`answered ${response.statusCode}`))));
    });
    call.on('error', reject);
    call.end();
  });
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
async function byHand(
  project: ScenarioProject,
  port: number,
  inFlightMs: number,
): Promise<{ totalMs: number; steps: Record<string, number> }> {
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
  const { NetworkSettings } = (await engine('GET', `/containers/${old}/json`)) as unknown as Model;
  const address = Object.values(NetworkSettings.Networks)[0]?.IPAddress;

  const steps: Record<string, number> = {};
  const began = performance.now();
  let fresh = '';
  steps.create = await timeMs(async () => {
    fresh = await create(name, spec);
  });
  steps.start = await timeMs(() => engine('POST', `/containers/${fresh}/start`));
  const answered = inFlightMs > 0 ? slowRequest(`http://${address}:${port}`, inFlightMs) : Promise.resolve();
  steps.healthy = await timeMs(() => healthy(fresh));
  steps.drain = await timeMs(() => answered);
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
  NetworkSettings: { Networks: Record<string, { IPAddress: string }> };
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
