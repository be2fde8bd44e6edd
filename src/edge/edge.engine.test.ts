import { once } from 'node:events';
import { chown, stat } from 'node:fs/promises';
import { request } from 'node:http';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { startLoad } from '../../bench/load/load.ts';
import type { LoadReport } from '../../bench/load/model.ts';
import { backend, get, serve, server, withBackends, withEdge } from '../../test/support/edge.ts';
import { eventually } from '../../test/support/eventually.ts';
import { sleep } from '../kit/wait.ts';
import { edgeFolder } from '../state/folder.ts';
import { askAll } from './observe.ts';
import { DEFAULT_SETTINGS, writeEdgeState } from './state.ts';

const STEADY = { keepAliveGet: 4, post: 4, newConnections: 4 };

const noneFailed = (report: LoadReport, atLeast = 100): void => {
  expect(report.failures).toEqual([]);
  expect(report.failed).toBe(0);
  expect(report.ok).toBeGreaterThan(atLeast);
};

test('servers are added, drained and removed under load without a failed request, and a draining one gets nothing new', async () => {
  await withEdge(async ({ edge, set, app, httpPort }) => {
    const [one, two] = [await app('1'), await app('2')];
    await set(backend({ servers: [server('one', one.port)] }));
    await edge.ensureRunning();
    const load = await startLoad({ port: httpPort, host: 'shop.test', mix: { ...STEADY, webSockets: 2, sse: 2, slow: 2 }, slowMs: 500 });
    await load.waitForVersion('1', 5000);

    await set(backend({ servers: [server('one', one.port), server('two', two.port, 'drain')] }));
    const checked = await eventually(async () => {
      const [stats] = (await edge.stats(['shop.api.8000'])).filter((row) => row.server === 'two');
      if (!stats?.checkPassed) throw new Error('not checked yet');
      return stats;
    });
    expect(checked.requests).toBe(0);

    await set(backend({ servers: [server('one', one.port, 'drain'), server('two', two.port)] }));
    await load.waitForVersion('2', 3000);
    await sleep(700);
    const before = (await edge.stats()).find((row) => row.server === 'one');
    expect(before?.status).toBe('DRAIN');
    // The streams of the old one go on, without an end in sight; plain requests have ended.
    expect(await edge.inFlight(['one'])).toEqual({ waiting: 0, answering: 4 });
    await sleep(500);
    const after = (await edge.stats()).find((row) => row.server === 'one');
    expect(after?.requests).toBe(before?.requests);

    one.process.kill('SIGTERM');
    await once(one.process, 'exit');
    await set(backend({ servers: [server('two', two.port)] }));
    expect((await edge.stats()).map((row) => row.server)).toEqual(['two']);
    const report = await load.stop();
    noneFailed(report);
    expect(report.streams.cut).toBe(0);
    expect(report.streams.clean).toBe(4);
  });
});

test("a swap in one change waits for the new server's check; one that never answers leaves everything as it was", async () => {
  await withEdge(async ({ edge, set, app, httpPort }) => {
    const [one, two] = [await app('1'), await app('2', { HEALTH: 'fail' })];
    const health = { path: '/health', status: '200-399' };
    await set(backend({ health, servers: [server('one', one.port)] }));
    await edge.ensureRunning();
    const load = await startLoad({ port: httpPort, host: 'shop.test', mix: STEADY });
    await expect(set(backend({ health, servers: [server('two', two.port)] }))).rejects.toMatchObject({
      code: 'EDGE_FAILED',
      details: [expect.stringContaining('500')],
    });
    expect((await edge.stats()).map((row) => row.server)).toEqual(['one']);
    expect(Object.values((await edge.read()).projects.shop?.backends ?? {})[0]?.servers[0]?.name).toBe('one');
    const three = await app('3');
    await set(backend({ health, servers: [server('three', three.port)] }));
    await load.waitForVersion('3', 3000);
    noneFailed(await load.stop());
  });
});

test('requests are held while no server is ready, bodies included, and fail with Retry-After when the budget is over', async () => {
  await withEdge(async ({ edge, set, app, httpPort }) => {
    const one = await app('1');
    await set(backend({ servers: [server('one', one.port)] }));
    await edge.ensureRunning();
    const load = await startLoad({ port: httpPort, host: 'shop.test', mix: STEADY });
    await load.waitForVersion('1', 5000);
    await set(backend({ hold: true, servers: [server('one', one.port, 'drain')] }));
    await sleep(2500);
    const two = await app('2');
    await set(backend({ hold: true, servers: [server('two', two.port)] }));
    await load.waitForVersion('2', 5000);
    await set(backend({ servers: [server('two', two.port)] }));
    await sleep(300);
    const report = await load.stop();
    noneFailed(report, 30);
    expect(report.kinds.post.maxMs).toBeGreaterThan(2000);

    // With a ready server beside it, holding costs no request anything.
    await set(backend({ hold: true, servers: [server('two', two.port)] }));
    // (A request that is held waits a second at least.)
    for (let count = 0; count < 20; count++) {
      const begun = performance.now();
      expect((await get(httpPort)).status).toBe(200);
      expect(performance.now() - begun).toBeLessThan(900);
    }

    await set(backend({ holdMs: 3000, hold: true, servers: [] }));
    const started = performance.now();
    const refused = await get(httpPort, '/', { method: 'POST', body: 'x' });
    expect(refused.status).toBe(503);
    expect(refused.headers['retry-after']).toBe('2');
    expect(performance.now() - started).toBeGreaterThan(2500);
    expect(performance.now() - started).toBeLessThan(5000);
  });
});

test('an edge that is killed comes back by itself with the set in force, drains included', async () => {
  await withEdge(async ({ edge, set, app, httpPort, docker, container }) => {
    const [one, two] = [await app('1'), await app('2')];
    await set(backend({ servers: [server('one', one.port)] }));
    await edge.ensureRunning();
    await set(backend({ servers: [server('one', one.port, 'drain'), server('two', two.port)] }));
    const { State } = await docker.inspectContainer(await container());
    process.kill(State.Pid, 'SIGKILL');
    // The dying process's worker may answer for a moment; what counts is the one that the engine has started.
    await eventually(async () => expect((await docker.inspectContainer(await container())).RestartCount).toBe(1), { everyMs: 20 });
    await eventually(async () => expect((await get(httpPort)).status).toBe(200), { everyMs: 20 });
    for (let count = 0; count < 10; count++) expect((await get(httpPort)).headers['x-version']).toBe('2');
    const stats = await edge.stats();
    expect(stats.find((row) => row.server === 'one')?.status).toBe('DRAIN');
    // One that drained by the file becomes ready like any other.
    await set(backend({ servers: [server('one', one.port), server('two', two.port, 'drain')] }));
    for (let count = 0; count < 10; count++) expect((await get(httpPort)).headers['x-version']).toBe('1');
    expect((await docker.inspectContainer(await container())).RestartCount).toBe(1);
  });
});

test('an upgrade loses no request, keeps drains and streams, and what it started survives a kill', async () => {
  await withEdge(async ({ edge, set, app, httpPort, docker, container }) => {
    const [one, two] = [await app('1'), await app('2')];
    await set(backend({ servers: [server('one', one.port), server('two', two.port)] }));
    await edge.ensureRunning();
    await set(backend({ servers: [server('one', one.port, 'drain'), server('two', two.port)] }));
    const first = await container();
    const load = await startLoad({ port: httpPort, host: 'shop.test', mix: { ...STEADY, webSockets: 3, sse: 3, slow: 2 }, slowMs: 500 });
    await load.waitForVersion('2', 5000);
    await edge.upgrade();
    await sleep(1500);
    expect(await container()).not.toBe(first);
    expect((await edge.stats()).find((row) => row.server === 'one')?.status).toBe('DRAIN');
    // The streams stay with the old process and are counted all the same.
    expect((await edge.stats()).find((row) => row.server === 'two')?.sessions).toBeGreaterThanOrEqual(6);
    expect((await edge.status()).finishing.sessions).toBeGreaterThanOrEqual(6);
    expect((await docker.inspectContainer(first)).HostConfig.RestartPolicy.Name).toBe('no');
    const report = await load.stop();
    noneFailed(report);
    expect(report.streams.cut).toBe(0);
    await eventually(async () => expect((await docker.inspectContainer(first)).State.Running).toBe(false));

    // Its predecessor's socket is gone: that must not keep it from coming back.
    await edge.upgrade();
    expect(await docker.findContainer(first)).toBeUndefined();
    await eventually(async () => expect((await edge.status()).finishing.processes).toBe(0));
    process.kill((await docker.inspectContainer(await container())).State.Pid, 'SIGKILL');
    await eventually(async () => expect((await get(httpPort)).headers['x-version']).toBe('2'), { everyMs: 20 });
  });
});

test('a reload under load fails no request and cuts no stream, and the old process ends with its last stream', async () => {
  await withEdge(async ({ edge, set, app, httpPort, folder }) => {
    const one = await app('1');
    const api = backend({ servers: [server('one', one.port)] });
    await set(api);
    await edge.ensureRunning();
    const load = await startLoad({ port: httpPort, host: 'shop.test', mix: { ...STEADY, webSockets: 3, sse: 3, slow: 2 }, slowMs: 500 });
    await load.waitForVersion('1', 5000);
    for (let count = 0; count < 3; count++) {
      const other = backend({
        name: `shop.other${count}.80`,
        service: `other${count}`,
        routes: [{ kind: 'http', host: `other${count}.test`, path: '/', redirectFrom: [], tls: 'none', redirectToHttps: false }],
        servers: [server('one', one.port)],
      });
      await set(api, other);
      expect((await get(httpPort, '/', { host: `other${count}.test` })).status).toBe(200);
    }
    await sleep(500);
    const report = await load.stop();
    noneFailed(report);
    expect(report.streams.cut).toBe(0);
    await eventually(async () => expect(await askAll(folder, 'show info')).toHaveLength(1));
  });
});

test('a route that HAProxy refuses is named, and changes nothing of the others', async () => {
  await withEdge(async ({ edge, set, app, httpPort, events, folder }) => {
    const one = await app('1');
    await set(backend({ servers: [server('one', one.port)] }));
    await edge.ensureRunning();
    const bad = backend({
      name: 'other.web.80',
      service: 'web',
      healthIntervalMs: 10 ** 12,
      servers: [server('two', one.port)],
      routes: [{ kind: 'http', host: 'other.test', path: '/', redirectFrom: [], tls: 'none', redirectToHttps: false }],
    });
    await expect(edge.change((state) => withBackends(state, [bad], 'other'))).rejects.toMatchObject({
      code: 'EDGE_FAILED',
      where: 'other.web.80',
      details: expect.arrayContaining([expect.stringContaining('server two')]),
    });
    expect(Object.keys((await edge.read()).projects)).toEqual(['shop']);
    expect((await get(httpPort)).status).toBe(200);

    // One that got in under another version of HAProxy must not stand in the way of the others.
    await writeEdgeState(folder, withBackends(await edge.read(), [bad], 'other'));
    await set(
      backend({
        servers: [server('one', one.port)],
        routes: [{ kind: 'http', host: 'new.test', path: '/', redirectFrom: [], tls: 'none', redirectToHttps: false }],
        compress: true,
      }),
    );
    expect((await get(httpPort, '/', { host: 'new.test' })).status).toBe(200);
    expect(events).toContainEqual({ kind: 'warning', text: expect.stringContaining('the routes of other are left out') });
  });
});

test('routes: hosts, paths by segment, wildcard, any host, redirects', async () => {
  await withEdge(async ({ edge, set, app, httpPort }) => {
    const [one, two, three] = [await app('1'), await app('2'), await app('3')];
    const route = (host: string | undefined, path: string, redirectFrom: string[] = []) => ({
      kind: 'http' as const,
      ...(host ? { host } : {}),
      path,
      redirectFrom,
      tls: 'none' as const,
      redirectToHttps: false,
    });
    const api = backend({ routes: [route('shop.test', '/', ['www.shop.test'])], servers: [server('one', one.port)] });
    const admin = backend({
      name: 'shop.admin.80',
      service: 'admin',
      routes: [route('shop.test', '/headers'), route('*.shop.test', '/')],
      servers: [server('two', two.port)],
    });
    await set(api, admin);
    await edge.ensureRunning();
    const version = async (path: string, host: string) => (await get(httpPort, path, { host })).headers['x-version'];
    expect(await version('/', 'shop.test')).toBe('1');
    expect(await version('/', 'SHOP.test:8080')).toBe('1');
    expect(await version('/headers', 'shop.test')).toBe('2');
    expect(await version('/headers/x', 'shop.test')).toBe('2');
    expect(await version('/headersx', 'shop.test')).toBe('1');
    expect(await version('/', 'a.shop.test')).toBe('2');
    expect((await get(httpPort, '/', { host: 'unknown.test' })).status).toBe(404);
    const redirect = await get(httpPort, '/a?b=c', { host: 'www.shop.test' });
    expect([redirect.status, redirect.headers.location]).toEqual([308, `http://shop.test:${httpPort}/a?b=c`]);

    // Routes of backends that are there change without a reload.
    const web = backend({ name: 'shop.web.80', service: 'web', routes: [], servers: [server('three', three.port)] });
    await set(api, admin, web);
    const before = (await edge.status()).running?.uptimeSeconds;
    await set(api, admin, { ...web, routes: [route(undefined, '/')] });
    expect(await version('/', 'unknown.test')).toBe('3');
    expect((await edge.status()).running?.uptimeSeconds).toBeGreaterThanOrEqual(before ?? 0);
  });
});

test('limits, compression and headers', async () => {
  await withEdge(async ({ edge, set, httpPort }) => {
    const seen: Record<string, string | string[] | undefined>[] = [];
    const site = await serve((incoming, response) => {
      seen.push(incoming.headers);
      if (incoming.url === '/own') response.setHeader('x-frame-options', 'DENY');
      response.setHeader('content-type', 'text/plain');
      incoming.resume().on('end', () => response.end('word '.repeat(1000)));
    });
    await set(
      backend({
        servers: [server('one', site.port)],
        compress: true,
        securityHeaders: true,
        maxBodyBytes: 1000,
        rateLimit: { requests: 8, perMs: 10_000 },
      }),
    );
    await edge.ensureRunning();
    const first = await get(httpPort, '/', {
      headers: {
        'accept-encoding': 'gzip',
        'x-forwarded-for': '1.2.3.4',
        'x-forwarded-proto': 'https',
        forwarded: 'for=1.2.3.4',
        'x-request-id': 'my own id, with "quotes"',
      },
    });
    expect(first.headers).toMatchObject({
      'content-encoding': 'gzip',
      'x-content-type-options': 'nosniff',
      'x-frame-options': 'SAMEORIGIN',
      'referrer-policy': 'strict-origin-when-cross-origin',
    });
    expect(first.headers).not.toHaveProperty('strict-transport-security');
    expect(first.body.length).toBeLessThan(500);
    expect(seen[0]).toMatchObject({
      'x-forwarded-for': '127.0.0.1',
      'x-forwarded-proto': 'http',
      'x-forwarded-host': 'shop.test',
      'x-request-id': first.headers['x-request-id'],
    });
    expect(seen[0]).not.toHaveProperty('forwarded');
    expect(first.headers['x-request-id']).toMatch(/^[0-9a-f-]{36}$/);
    expect((await get(httpPort, '/own', { headers: { 'x-request-id': 'abcdef-123456' } })).headers).toMatchObject({
      'x-frame-options': 'DENY',
      'x-request-id': 'abcdef-123456',
    });
    expect((await get(httpPort, '/', { method: 'POST', body: 'x'.repeat(1000) })).status).toBe(200);
    expect((await get(httpPort, '/', { method: 'POST', body: 'x'.repeat(1001) })).status).toBe(413);
    for (let count = 4; count < 8; count++) expect((await get(httpPort)).status).toBe(200);
    const limited = await get(httpPort);
    expect([limited.status, limited.headers['retry-after']]).toEqual([429, '10']);
    site.close();
  });
});

test('an event stream passes at once through compression', async () => {
  await withEdge(async ({ edge, set, httpPort }) => {
    const site = await serve((_, response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      response.write('data: now\n\n');
    });
    await set(backend({ compress: true, servers: [server('one', site.port)] }));
    await edge.ensureRunning();
    const begun = performance.now();
    const text = await new Promise<string>((resolve, reject) => {
      const call = request({ port: httpPort, host: '127.0.0.1', headers: { host: 'shop.test', 'accept-encoding': 'gzip' } }, (response) => {
        response.once('data', (chunk: Buffer) => {
          resolve(chunk.toString());
          call.destroy();
        });
      });
      call.on('error', reject);
      call.end();
    });
    expect(text).toBe('data: now\n\n');
    expect(performance.now() - begun).toBeLessThan(500);
    site.close();
  });
});

test('a port that a stranger has is named, before and after the start', async () => {
  await withEdge(async ({ edge, set, app, httpPort }) => {
    const stranger = await serve((_, response) => response.end('stranger'));
    const one = await app('1');
    await edge.change((state) => ({ ...state, settings: { ...state.settings, httpPort: stranger.port } }));
    await expect(edge.ensureRunning()).rejects.toMatchObject({
      code: 'PORT_IN_USE',
      message: expect.stringContaining(`port ${stranger.port} is in use by process ${process.pid}`),
    });
    expect(await edge.isRunning()).toBe(false);
    await edge.change((state) => ({ ...state, settings: { ...state.settings, httpPort } }));
    await set(backend({ servers: [server('one', one.port)] }));
    await edge.ensureRunning();
    const tcp = backend({
      name: 'shop.db.5432',
      service: 'db',
      routes: [{ kind: 'tcp', listen: stranger.port }],
      servers: [server('one', one.port)],
    });
    await expect(set(backend({ servers: [server('one', one.port)] }), tcp)).rejects.toMatchObject({ code: 'PORT_IN_USE' });
    expect((await get(httpPort)).status).toBe(200);
    stranger.close();
    const tcpRoute = { ...tcp, routes: [{ kind: 'tcp' as const, listen: stranger.port }] };
    await set(backend({ servers: [server('one', one.port)] }), tcpRoute);
    expect((await get(stranger.port)).headers['x-version']).toBe('1');
  });
});

test('a state folder of an ordinary user: that user reaches the sockets, and nobody else does', async () => {
  await withEdge(async ({ edge, folder, set, app, httpPort }) => {
    const one = await app('1');
    await set(backend({ servers: [server('one', one.port)] }));
    const owner = 12_345;
    await chown(edgeFolder(folder), owner, owner);
    await edge.ensureRunning();
    expect((await get(httpPort)).status).toBe(200);
    for (const name of ['admin', 'master', 'metrics']) {
      const file = await stat(join(edgeFolder(folder), 'run', '1', `${name}.sock`));
      expect([name, file.uid, file.mode & 0o777]).toEqual([name, owner, 0o600]);
    }
  });
});

test('metrics are on a socket only; an image that no registry has is told as such', async () => {
  await withEdge(async ({ edge, folder, set, app, httpPort }) => {
    const one = await app('1');
    await edge.change((state) => ({ ...state, settings: { ...state.settings, image: 'composure-test-absent/haproxy:none' } }));
    await expect(edge.ensureRunning()).rejects.toMatchObject({ code: 'IMAGE_UNAVAILABLE' });
    await edge.change((state) => ({ ...state, settings: { ...state.settings, image: DEFAULT_SETTINGS.image } }));
    await set(backend({ servers: [server('one', one.port)] }));
    await edge.ensureRunning();
    const metrics = await get(httpPort, '/metrics', { socketPath: join(edgeFolder(folder), 'run', '1', 'metrics.sock') });
    expect(metrics.body).toContain('haproxy_server_status{proxy="shop.api.8000",server="one",state="UP"} 1');
    expect((await get(httpPort, '/metrics')).status).toBe(404);
  });
});

test('a server that is killed costs no request that may be repeated, and its fellow takes over at once', async () => {
  await withEdge(async ({ edge, set, app, httpPort }) => {
    const [one, two] = [await app('1'), await app('2')];
    await set(backend({ servers: [server('one', one.port), server('two', two.port)] }));
    await edge.ensureRunning();
    const load = await startLoad({ port: httpPort, host: 'shop.test', mix: { keepAliveGet: 8, newConnections: 8, slow: 4 }, slowMs: 300 });
    await sleep(1000);
    one.process.kill('SIGKILL');
    await sleep(1500);
    const report = await load.stop();
    noneFailed(report);
    expect(report.kinds.keepAliveGet.maxMs).toBeLessThan(1500);
    const stats = await edge.stats();
    expect(stats.map((row) => [row.server, row.status, row.checkPassed])).toEqual([
      ['one', 'DOWN', false],
      ['two', 'UP', true],
    ]);
    expect(stats[0]?.checkText).toMatch(/^L4CON: /);
  });
});
