import { request as httpRequest } from 'node:http';
import { expect } from 'vitest';
import { stringify } from 'yaml';
import type { Load, LoadReport, Mix } from '../../bench/load/model.ts';
import { buildTestApp } from './app.ts';
import { eventually } from './eventually.ts';
import type { CommandResult, ScenarioFacts, ScenarioProject } from './scenario.ts';

type Keys = Record<string, unknown>;

/** A light load of every kind that a test app answers: three tests share two processors. */
export const MIX: Mix = { keepAliveGet: 3, post: 1, newConnections: 2, slow: 2, webSockets: 2, sse: 2 };

/** Requests only, each answered at once: for services that may not run twice. */
export const SHORT_MIX: Mix = { keepAliveGet: 3, newConnections: 2 };

/** `deploy:` without a watch after the switch. */
export const replicas = (count: number, update: Keys = {}): Keys => ({
  replicas: count,
  update_config: { monitor: '0s', ...update },
  rollback_config: { monitor: '0s' },
});

/** One service that runs the test app; what its environment means is said in test/fixtures/app/app.js. */
export async function app(environment: Record<string, string | number>, more: Keys = {}): Promise<Keys> {
  const text = Object.fromEntries(Object.entries(environment).map(([name, value]) => [name, String(value)]));
  return { image: await buildTestApp(), stop_grace_period: '5s', deploy: replicas(1), environment: text, ...more };
}

/** The test app behind the edge under the project's host name. Streams have a second to end by themselves. */
export async function site(
  p: ScenarioFacts,
  environment: Record<string, string | number>,
  more: Keys = {},
  edge: Keys = {},
): Promise<Keys> {
  return app(environment, { deploy: replicas(2), 'x-edge': route(p, edge), ...more });
}

export const route = (p: ScenarioFacts, more: Keys = {}): Keys => ({
  host: p.host,
  port: 3000,
  health: { path: '/health', interval: '250ms' },
  drain: { requests: '5s', streams: '1s' },
  ...more,
});

/** A compose file with the services and the edge's own ports. */
export function stack(p: ScenarioFacts, services: Record<string, Keys>, more: Keys = {}): string {
  const edge = { http_port: p.httpPort, https_port: p.httpsPort };
  return stringify({ services, 'x-composure': { edge, ...(more['x-composure'] as Keys | undefined) }, ...without(more, 'x-composure') });
}

const without = (keys: Keys, name: string): Keys => Object.fromEntries(Object.entries(keys).filter(([key]) => key !== name));

/** Writes the compose file and deploys it; anything but success fails the test with what was printed. */
export async function deploy(p: ScenarioProject, services?: Record<string, Keys>, args: string[] = []): Promise<CommandResult> {
  if (services) await p.write('compose.yaml', stack(p, services));
  return succeeds(await p.composure(['deploy', '--yes', ...args]));
}

export function succeeds<T extends { code: number | null; out?: string; err?: string; stdout?: string; stderr?: string }>(result: T): T {
  expect(result.code, [result.out, result.err, result.stdout, result.stderr].filter(Boolean).join('\n')).toBe(0);
  return result;
}

/** Ids of a service's running containers. */
export async function running(p: ScenarioProject, service: string): Promise<string[]> {
  return (await p.containers(service)).filter(({ State }) => State === 'running').map(({ Id }) => Id);
}

export async function stopped(p: ScenarioProject, service: string): Promise<string[]> {
  return (await p.containers(service)).filter(({ State }) => State === 'exited').map(({ Id }) => Id);
}

export interface Answer {
  status: number;
  version: string | undefined;
  body: string;
}

/** One request of its own connection through the edge. */
export function ask(p: ScenarioFacts, path = '/', { host = p.host, timeoutMs = 10_000, method = 'GET' } = {}): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const options = { host: '127.0.0.1', port: p.httpPort, path, method, headers: { host }, agent: false, timeout: timeoutMs };
    const request = httpRequest(options, (response) => {
      let body = '';
      response.setEncoding('utf8');
      response.on('data', (text: string) => {
        body += text;
      });
      response.on('error', reject);
      response.on('end', () => resolve({ status: response.statusCode ?? 0, version: response.headers['x-version']?.toString(), body }));
    });
    request.on('timeout', () => request.destroy(new Error(`no answer within ${timeoutMs} ms`)));
    request.on('error', reject);
    request.end();
  });
}

/** Ends the load, and no request of it may have failed nor a stream have been cut. */
export async function endsWell(load: Load, atLeast = 20): Promise<LoadReport> {
  // While requests are held a slow machine gets few of them through: the rest comes now, from the release that serves at the end.
  await eventually(async () => expect((await load.snapshot()).ok).toBeGreaterThan(atLeast), { timeoutMs: 20_000 });
  const report = await load.stop();
  expect(report.failures, JSON.stringify(report.kinds)).toEqual([]);
  expect({ failed: report.failed, cut: report.streams.cut }).toEqual({ failed: 0, cut: 0 });
  expect(report.ok).toBeGreaterThan(atLeast);
  return report;
}

/** `docker compose up -d` with the project's own files leaves every running container as it is. */
export async function expectUpChangesNothing(p: ScenarioProject): Promise<void> {
  const before = await serving(p);
  succeeds(await p.compose(['up', '-d']));
  expect(await serving(p)).toEqual(before);
}

/** The running containers with the time since when they run. */
export async function serving(p: ScenarioProject): Promise<Record<string, string>> {
  const up = (await p.containers()).filter(({ State }) => State === 'running');
  return Object.fromEntries(await Promise.all(up.map(async ({ Id }) => [Id, (await p.inspect(Id)).State.StartedAt] as const)));
}

/** Deploys something bad under load: it fails, what ran goes on running untouched, what was made is gone, and nobody noticed. */
export async function isTakenBack(
  p: ScenarioProject,
  services: Record<string, Keys>,
  { code = 5, mix = SHORT_MIX } = {},
): Promise<CommandResult> {
  const before = await serving(p);
  const load = await p.load({ mix, slowMs: 500 });
  await load.waitForVersion('1', 5000);
  await p.write('compose.yaml', stack(p, services));
  const result = await p.composure(['deploy', '--yes']);
  expect(result.code, result.out + result.err).toBe(code);
  expect(await serving(p)).toEqual(before);
  expect((await p.containers()).map(({ Id }) => Id).sort()).toEqual(Object.keys(before).sort());
  const report = await endsWell(load);
  expect(Object.keys(report.versions)).toEqual(['1']);
  return result;
}

/** A health check that makes up its mind fast. */
export const QUICK = { healthcheck: { interval: '1s', timeout: '3s', retries: 2, start_period: '2s', start_interval: '200ms' } };
