import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { selfSigned } from '../support/certificate.ts';
import { withProject } from '../support/scenario.ts';
import { ask, deploy, endsWell, replicas, route, running, site, stack } from '../support/stacks.ts';

test('WebSockets and event streams that are open during a release are ended in order, and none is cut', async () => {
  await withProject('streams', { files: {} }, async (p) => {
    const edge = { drain: { requests: '5s', streams: '5s' } };
    await deploy(p, { web: await site(p, { VERSION: 1 }, {}, edge) });
    const load = await p.load({ mix: { webSockets: 3, sse: 3, keepAliveGet: 1 } });
    await load.waitForVersion('1', 5000);
    await deploy(p, { web: await site(p, { VERSION: 2 }, {}, edge) });
    await load.waitForVersion('2', 5000);
    const report = await endsWell(load, 5);
    for (const kind of ['webSockets', 'sse'] as const) {
      expect(report.streams[kind].clean).toBeGreaterThanOrEqual(3);
      expect(report.streams[kind].opened).toBeGreaterThan(3);
    }
  });
});

test('HTTP/2 over TLS goes on through a release', async () => {
  await withProject('http2', { files: {} }, async (p) => {
    const { certificate, key } = await selfSigned([p.host]);
    await p.write('tls/site.pem', certificate);
    await p.write('tls/site.key', key);
    const tls = { tls: { cert: './tls/site.pem', key: './tls/site.key' } };
    await deploy(p, { web: await site(p, { VERSION: 1 }, {}, tls) });
    const load = await p.load({ mix: { http2: 3, keepAliveGet: 1 }, port: p.httpsPort, tls: { ca: certificate } });
    await load.waitForVersion('1', 5000);
    await deploy(p, { web: await site(p, { VERSION: 2 }, {}, tls) });
    await load.waitForVersion('2', 5000);
    const report = await endsWell(load);
    expect(report.kinds.http2.ok).toBeGreaterThan(10);
  });
});

test('HTTP/2 by prior knowledge on the plain port goes on through a release', async () => {
  await withProject('h2c', { files: {} }, async (p) => {
    await deploy(p, { web: await site(p, { VERSION: 1 }) });
    const load = await p.load({ mix: { http2: 2 } });
    await load.waitForVersion('1', 5000);
    await deploy(p, { web: await site(p, { VERSION: 2 }) });
    await load.waitForVersion('2', 5000);
    await endsWell(load, 5);
  });
});

test('draining a container without requests takes no time', async () => {
  await withProject('drain empty', { files: {} }, async (p) => {
    await deploy(p, { web: await site(p, { VERSION: 1 }, { deploy: replicas(1) }) });
    const { err } = await deploy(p, { web: await site(p, { VERSION: 2 }, { deploy: replicas(1) }) });
    const drained = /nothing in flight after (\d+) ms/.exec(err);
    expect(drained, err).not.toBeNull();
    expect(Number(drained?.[1])).toBeLessThan(500);
  });
});

test('requests that end within the drain time are waited for, even by an application that exits at once', async () => {
  await withProject('drain completes', { files: {} }, async (p) => {
    const edge = { drain: { requests: '15s', streams: '1s' } };
    const version = async (number: number) => ({
      web: await site(p, { VERSION: number, ON_SIGTERM: 'exit' }, { deploy: replicas(1) }, edge),
    });
    await deploy(p, await version(1));
    const slow = Promise.all([1, 2, 3].map(() => ask(p, '/slow?ms=6000', { timeoutMs: 30_000 })));
    await sleep(300);
    const { out } = await deploy(p, await version(2));
    expect((await slow).map(({ status, version }) => [status, version])).toEqual([1, 2, 3].map(() => [200, '1']));
    expect(out).not.toContain('were cut');
  });
});

test('requests that are over their drain time and may not be repeated are cut, and the deploy says how many', async () => {
  await withProject('drain over', { files: {} }, async (p) => {
    const edge = { drain: { requests: '1s', streams: '1s' } };
    const version = async (number: number) => ({
      web: await site(p, { VERSION: number, ON_SIGTERM: 'exit' }, { deploy: replicas(1) }, edge),
    });
    await deploy(p, await version(1));
    const slow = [1, 2].map(() =>
      ask(p, '/slow?ms=30000', { timeoutMs: 60_000, method: 'POST' }).then(
        ({ status }) => status,
        (error: Error) => error.message,
      ),
    );
    await sleep(300);
    const { out, err } = await deploy(p, await version(2));
    expect(err).toContain('2 requests over their time');
    expect(out).toContain('2 requests over their drain time were cut');
    for (const outcome of await Promise.all(slow)) expect(outcome).not.toBe(200);
  });
});

test('a container that somebody paused does not stand in the way of a release', async () => {
  await withProject('paused', { files: {} }, async (p) => {
    await deploy(p, { web: await site(p, { VERSION: 1 }) });
    const [paused] = await running(p, 'web');
    await p.docker(['pause', paused ?? '']);
    await p.write('compose.yaml', stack(p, { web: await site(p, { VERSION: 2 }, { 'x-edge': route(p) }) }));
    await deploy(p);
    expect(await running(p, 'web')).toHaveLength(2);
    expect((await p.containers('web')).map(({ State }) => State)).not.toContain('paused');
    for (let count = 0; count < 4; count += 1) expect((await ask(p)).version).toBe('2');
  });
});
