import { execFileSync } from 'node:child_process';
import { expect, test } from 'vitest';
import { buildTestApp } from '../../test/support/app.ts';
import { backend, get, server, withEdge } from '../../test/support/edge.ts';
import { eventually } from '../../test/support/eventually.ts';
import { sleep } from '../kit/wait.ts';
import { ensureProjectNetwork, joinProjectNetwork } from './network.ts';

test('a container that restarts has its traffic back under its own address, and a stranger never gets what was meant for it', async () => {
  const image = await buildTestApp();
  await withEdge(async ({ edge, docker, set, httpPort }) => {
    const network = await ensureProjectNetwork(docker, edge.name, 'shop', '10.214.0.0/16');
    expect(await ensureProjectNetwork(docker, edge.name, 'shop', '10.214.0.0/16')).toEqual(network);
    const start = async (version: string): Promise<string> => {
      const { Id } = await docker.createContainer(`${edge.name}-app-${version}`, {
        Image: image,
        Env: [`VERSION=${version}`],
        Labels: { 'composure.edge': edge.name },
        HostConfig: { RestartPolicy: { Name: 'no' } },
      });
      return Id;
    };
    const [first, stranger] = [await start('first'), await start('stranger')];
    const joined = await joinProjectNetwork(docker, { network, nextAddress: 2 }, first);
    expect(await joinProjectNetwork(docker, { network, nextAddress: joined.nextAddress }, first)).toEqual(joined);
    await docker.startContainer(first);
    const api = backend({ port: 3000, servers: [{ ...server(first.slice(0, 12), 3000, 'ready', joined.address), container: first }] });
    await set(api);
    await edge.ensureRunning();
    await eventually(async () => expect((await get(httpPort)).headers['x-version']).toBe('first'));

    const { State } = await docker.inspectContainer(first);
    process.kill(State.Pid, 'SIGKILL');
    await eventually(async () => expect((await docker.inspectContainer(first)).State.Running).toBe(false));
    // Docker holds no address for a stopped container: whoever asks by name could have it, ours are never handed out twice.
    const other = await joinProjectNetwork(docker, { network, nextAddress: 2 }, stranger);
    expect(other.address).not.toBe(joined.address);
    await docker.startContainer(stranger);
    const seen: string[] = [];
    const until = Date.now() + 800;
    while (Date.now() < until) {
      const answer = await get(httpPort);
      seen.push(String(answer.headers['x-version'] ?? answer.status));
      await sleep(30);
    }
    expect(new Set(seen)).toEqual(new Set(['503']));
    await docker.startContainer(first);
    const back = performance.now();
    await eventually(async () => expect((await get(httpPort)).headers['x-version']).toBe('first'), { everyMs: 30 });
    expect(performance.now() - back).toBeLessThan(2000);
    expect((await docker.inspectContainer(first)).NetworkSettings.Networks[network.name]?.IPAddress).toBe(joined.address);
  });
});

test('containers on the edge network reach neither each other nor the world through it', async () => {
  const image = await buildTestApp();
  await withEdge(async ({ edge, docker }) => {
    const network = await ensureProjectNetwork(docker, edge.name, 'shop', '10.214.0.0/16');
    let nextAddress = 2;
    const addresses: string[] = [];
    const ids: string[] = [];
    for (const name of ['a', 'b']) {
      const { Id } = await docker.createContainer(`${edge.name}-${name}`, {
        Image: image,
        Labels: { 'composure.edge': edge.name },
        HostConfig: { NetworkMode: 'none' },
      });
      await docker.disconnectNetwork('none', Id);
      const joined = await joinProjectNetwork(docker, { network, nextAddress }, Id);
      ({ nextAddress } = joined);
      addresses.push(joined.address);
      ids.push(Id);
      await docker.startContainer(Id);
    }
    await eventually(async () => expect((await fetch(`http://${addresses[1]}:3000/health`)).status).toBe(200));
    const reach = await docker.exec(ids[0] ?? '', [
      'node',
      '-e',
      `fetch('http://${addresses[1]}:3000/health',{signal:AbortSignal.timeout(1500)}).then(()=>process.exit(0),()=>process.exit(7))`,
    ]);
    expect(reach.code).toBe(7);
    const routes = await docker.exec(ids[0] ?? '', ['cat', '/proc/net/route']);
    expect(routes.output).toMatch(/^Iface/);
    expect(routes.output).not.toMatch(/^\S+\t00000000\t/m);
  });
});

test('projects that come at the same time get networks that do not meet', async () => {
  await withEdge(async ({ edge, docker }) => {
    const names = ['a', 'b', 'c', 'd'];
    const networks = await Promise.all(names.map((name) => ensureProjectNetwork(docker, edge.name, name, '10.214.0.0/16')));
    expect(new Set(networks.map(({ subnet }) => subnet)).size).toBe(4);
    const info = await docker.findNetwork(networks[0]?.name ?? '');
    expect(info?.Internal).toBe(true);
    expect(
      execFileSync(
        'docker',
        ['network', 'inspect', '--format', '{{index .Options "com.docker.network.bridge.enable_icc"}}', info?.Id ?? ''],
        { encoding: 'utf8' },
      ).trim(),
    ).toBe('false');
  });
});
