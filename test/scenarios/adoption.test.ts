import { expect, test } from 'vitest';
import { run } from '../../src/kit/spawn.ts';
import { type ScenarioFacts, withProject } from '../support/scenario.ts';
import { app, ask, deploy, endsWell, expectUpChangesNothing, replicas, running, site, stack, succeeds } from '../support/stacks.ts';

const asComposeHasIt = async (p: ScenarioFacts) => stack(p, { web: await app({ VERSION: 1 }, { ports: [`${p.httpPort}:3000`] }) });

test('a project that publishes its own port comes behind the edge without a refused connection', async () => {
  await withProject('adoption', { files: {} }, async (p) => {
    await p.write('compose.yaml', await asComposeHasIt(p));
    succeeds(await p.compose(['up', '-d', '--wait']));
    const [found] = await running(p, 'web');
    const load = await p.load({ mix: { newConnections: 4 } });
    await load.waitForVersion('1', 10_000);

    await p.write('compose.yaml', stack(p, { web: await site(p, { VERSION: 2 }) }));
    const plan = succeeds(await p.composure(['plan'])).out;
    expect(plan).toContain(`take over port ${p.httpPort}`);
    await deploy(p);
    expect((await ask(p)).version).toBe('2');
    await load.waitForVersion('2', 5000);
    await endsWell(load);
    expect(await running(p, 'web')).not.toContain(found);
    const rules = await run('iptables', ['-t', 'nat', '-S']);
    if (rules.code === 0) expect(rules.stdout.split('\n').filter((rule) => rule.includes(String(p.httpPort)))).toEqual([]);

    // What ran before has its name in the list of releases, and going back to it says what stands in the way before it touches anything.
    const now = await running(p, 'web');
    const { releases } = JSON.parse(succeeds(await p.composure(['releases', '--json'])).out);
    expect(releases.map(({ number, kind }: { number: number; kind: string }) => [number, kind])).toEqual([
      [2, 'deploy'],
      [1, 'found'],
    ]);
    const back = await p.composure(['rollback', '--yes']);
    if (back.code !== 0) {
      expect(back.err).toMatch(/port/);
      expect(await running(p, 'web')).toEqual(now);
    }
    expect((await ask(p)).status).toBe(200);
    await deploy(p);
    await expectUpChangesNothing(p);
  });
});

test('a first release that fails leaves the port with the container that publishes it', async () => {
  await withProject('adoption fails', { files: {} }, async (p) => {
    await p.write('compose.yaml', await asComposeHasIt(p));
    succeeds(await p.compose(['up', '-d', '--wait']));
    const before = await running(p, 'web');
    const load = await p.load({ mix: { newConnections: 4 } });
    await load.waitForVersion('1', 10_000);
    await p.write('compose.yaml', stack(p, { web: await site(p, { VERSION: 2, CRASH_AT_START: 'wrong settings' }) }));
    const failed = await p.composure(['deploy', '--yes']);
    expect(failed.code, failed.err).toBe(5);
    expect(await running(p, 'web')).toEqual(before);
    expect((await ask(p)).version).toBe('1');
    expect(Object.keys((await endsWell(load)).versions)).toEqual(['1']);
  });
});

const NGINX = `server {
  listen 80;
  location / {
    proxy_pass http://api:3000;
    proxy_set_header Host $host;
  }
}
`;

test('a stack with its own nginx: the edge goes in front of it, and it looks its upstreams up again after a release of the api', async () => {
  await withProject('own nginx', { files: { 'nginx.conf': NGINX } }, async (p) => {
    const services = async (version: number) => ({
      nginx: {
        image: 'nginx:1-alpine',
        depends_on: { api: { condition: 'service_healthy' } },
        volumes: ['./nginx.conf:/etc/nginx/conf.d/default.conf:ro'],
        deploy: replicas(1),
        'x-edge': { host: p.host, port: 80, health: '/health' },
      },
      api: await app({ VERSION: version }, { deploy: replicas(2) }),
    });
    await deploy(p, await services(1));
    const [nginx] = await running(p, 'nginx');
    expect((await ask(p)).version).toBe('1');
    const load = await p.load({ mix: { keepAliveGet: 2, newConnections: 2, post: 1, slow: 1 }, slowMs: 500 });
    await load.waitForVersion('1', 5000);
    const { out } = await deploy(p, await services(2));
    expect(out).toContain('nginx -s reload');
    expect(out).toContain('requests wait at the edge while the containers behind nginx stop');
    expect(await running(p, 'nginx')).toEqual([nginx]);
    for (let count = 0; count < 6; count += 1) expect((await ask(p)).version).toBe('2');
    await endsWell(load);
    await expectUpChangesNothing(p);
  });
});
