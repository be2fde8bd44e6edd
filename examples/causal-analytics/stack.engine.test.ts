import { createHash, randomBytes, randomUUID } from 'node:crypto';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import WebSocket from 'ws';
import { run } from '../../src/kit/spawn.ts';
import { sleep, waitFor } from '../../src/kit/wait.ts';

const folder = fileURLToPath(new URL('.', import.meta.url));
const project = `analytics-${randomUUID().slice(0, 8)}`;
// A heavy job gets half a second to end when its worker stops, so that giving it back is seen without a long wait.
const env = { VERSION: project, API_PORT: '0', HEAVY_DRAIN_MS: '500' };
let api = '';

async function compose(...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await run(
    'docker',
    ['compose', '-p', project, '-f', 'compose.yaml', '-f', 'compose.dev.yaml', ...args],
    { cwd: folder, env },
  );
  if (code !== 0) throw new Error(`docker compose ${args.join(' ')}\n${stdout}${stderr}`);
  return stdout;
}

async function findApi(): Promise<string> {
  return `http://${(await compose('port', 'api', '8000')).trim()}`;
}

async function ask(path: string, body?: unknown): Promise<{ status: number; json: Record<string, unknown> }> {
  const response = await fetch(`${api}${path}`, {
    signal: AbortSignal.timeout(10_000),
    ...(body === undefined ? {} : { method: 'POST', body: JSON.stringify(body) }),
  });
  return { status: response.status, json: (await response.json()) as Record<string, unknown> };
}

async function start(tier: string, kind: string, params: Record<string, unknown>): Promise<string> {
  const { status, json } = await ask('/jobs', { tier, kind, params });
  expect(status).toBe(202);
  return json.id as string;
}

function until(id: string, statuses: string[], timeoutMs = 20_000): Promise<Record<string, unknown> | undefined> {
  const look = async () => {
    const { json } = await ask(`/jobs/${id}`);
    return statuses.includes(json.status as string) ? json : undefined;
  };
  return waitFor(look, { everyMs: 100, timeoutMs });
}

beforeAll(async () => {
  await compose('up', '-d', '--build', '--wait');
  api = await findApi();
});

afterAll(async () => {
  await compose('down', '--volumes', '--timeout', '2');
  await run('docker', ['image', 'rm', '--force', `causal-analytics:${project}`]);
});

test('the api says who it is, gives a body back, and answers its health check at once', async () => {
  expect((await ask('/')).json).toMatchObject({ service: 'causal-analytics', version: project });
  const body = randomBytes(300_000);
  const echoed = await fetch(`${api}/echo`, { method: 'POST', body });
  expect(echoed.headers.get('x-sha256')).toBe(createHash('sha256').update(body).digest('hex'));
  expect(Buffer.from(await echoed.arrayBuffer()).equals(body)).toBe(true);
  const times: number[] = [];
  for (let i = 0; i < 20; i++) {
    const before = performance.now();
    expect((await ask('/health')).status).toBe(200);
    times.push(performance.now() - before);
  }
  expect(times.sort((a, b) => a - b)[10]).toBeLessThan(50);
});

test('one job of each kind is done by the worker of its tier', async () => {
  const ids = await Promise.all([
    start('light', 'rollup', { days: 10 }),
    start('medium', 'refutation', { individuals: 1_000, bootstraps: 50, placebos: 50 }),
    start('heavy', 'shapley', { rows: 5 }),
    start('heavy', 'twins', { count: 50_000, store: true }),
  ]);
  const [rollup, refutation, shapley, twins] = await Promise.all(ids.map((id) => until(id, ['completed', 'failed'])));
  expect(rollup).toMatchObject({ status: 'completed', tier: 'light', result: { groups: 40 } });
  expect(refutation).toMatchObject({ status: 'completed', result: { holds: true } });
  expect(shapley).toMatchObject({ status: 'completed', result: { rows: 5 } });
  expect(shapley).toHaveProperty('result.worstGap', expect.closeTo(0, 9));
  expect(twins).toMatchObject({ status: 'completed', result: { stored: true, twins: { count: 50_000 } } });

  const stored = await compose('exec', '-T', 'postgres', 'psql', '-U', 'analytics', '-Atc', 'select count(*) from twins');
  expect(stored.trim()).toBe('50000');
  // A worker is counted by the connection that it waits on for more, which it opens when it has nothing to do.
  await expect
    .poll(async () => (await ask('/queues')).json, { timeout: 10_000 })
    .toMatchObject({
      light: { completed: 1, workers: 1 },
      medium: { completed: 1, workers: 1 },
      heavy: { completed: 2, workers: 1 },
    });
  const ends = async (service: string) => (await compose('ps', '-q', service)).trim().slice(0, 12);
  expect(shapley?.worker).toBe(await ends('worker-heavy'));
});

test('what makes no sense is refused with the reason', async () => {
  expect(await ask('/jobs', { tier: 'light', kind: 'twins' })).toMatchObject({
    status: 400,
    json: { error: 'kind of tier light must be one of rollup' },
  });
  expect((await ask('/jobs/light-none')).status).toBe(404);
  expect((await ask('/nothing')).status).toBe(404);
});

test('a stopping worker gives its long job back, and the next one does it without a lost attempt', async () => {
  const id = await start('heavy', 'shapley', { rows: 1_000, permutations: 64 });
  const before = await until(id, ['active']);
  expect(before).toBeDefined();
  await compose('stop', 'worker-heavy');
  const waiting = await until(id, ['waiting', 'prioritized'], 5_000);
  expect(waiting).toMatchObject({ attempts: 0 });
  const log = await compose('logs', '--no-log-prefix', 'worker-heavy');
  expect(log).toContain(`"message":"job given back","job":"${id}"`);
  expect(log).toContain('"message":"stopped"');
  expect((await compose('ps', '-a', '--format', '{{.ExitCode}}', 'worker-heavy')).trim()).toBe('0');
  await compose('start', 'worker-heavy');
  expect(await until(id, ['active', 'completed'])).toBeDefined();
});

test('a stopping api ends requests in flight, event streams and WebSockets cleanly', async () => {
  const slow = fetch(`${api}/slow?ms=1500`);
  const events = await fetch(`${api}/events`);
  const socket = new WebSocket(`${api.replace('http', 'ws')}/ws`);
  await new Promise((resolve) => socket.once('open', resolve));
  const echoed = new Promise((resolve) => socket.once('message', (data) => resolve(String(data))));
  socket.send('hello');
  expect(await echoed).toBe('hello');
  const closed = new Promise<number>((resolve) => socket.once('close', resolve));
  await sleep(200);

  const stopping = compose('stop', 'api');
  const [response, stream, code] = await Promise.all([slow, events.text(), closed]);
  expect(response.status).toBe(200);
  expect(await response.json()).toMatchObject({ waitedMs: 1500 });
  expect(stream).toMatch(/^id: 1\nevent: tick\n/);
  expect(stream).toMatch(/event: bye\ndata: \{"reason":"service restart"\}\n\n$/);
  expect(code).toBe(1012);
  await stopping;
  await compose('start', 'api');
  api = await findApi();
  expect(
    await waitFor(async () => ((await ask('/health').catch(() => undefined))?.status === 200 ? true : undefined), {
      everyMs: 100,
      timeoutMs: 10_000,
    }),
  ).toBe(true);
});

test('the api goes on without Redis and says what does not work meanwhile', async () => {
  await compose('pause', 'redis');
  try {
    expect((await ask('/health')).status).toBe(200);
    expect((await ask('/')).status).toBe(200);
    expect((await ask('/jobs', { tier: 'light', kind: 'rollup' })).status).toBe(503);
  } finally {
    await compose('unpause', 'redis');
  }
  const id = await start('light', 'rollup', {});
  expect(await until(id, ['completed'])).toBeDefined();
});
