import { expect, test } from 'vitest';
import { withProject } from '../support/scenario.ts';
import {
  ask,
  deploy,
  endsWell,
  expectUpChangesNothing,
  QUICK,
  replicas,
  route,
  running,
  SHORT_MIX,
  site,
  stack,
} from '../support/stacks.ts';

test('a service that alone writes to its volume is stopped first, and requests wait at the edge instead of failing', async () => {
  await withProject('stop first', { files: {} }, async (p) => {
    const file = async (version: number) =>
      stack(
        p,
        { store: await site(p, { VERSION: version }, { volumes: ['data:/data'], deploy: replicas(1) }, { hold: '15s' }) },
        { volumes: { data: {} } },
      );
    await p.write('compose.yaml', await file(1));
    await deploy(p);
    const [old] = await running(p, 'store');
    const load = await p.load({ mix: { ...SHORT_MIX, post: 1 }, timeoutMs: 30_000 });
    await load.waitForVersion('1', 5000);
    await p.write('compose.yaml', await file(2));
    const { out } = await deploy(p);
    expect(out).toContain('stop-first: it alone writes to volume data');
    const now = await running(p, 'store');
    expect(now).toHaveLength(1);
    expect(now).not.toContain(old);
    // The old one had stopped before the new one started: the volume never had two writers.
    const ended = Date.parse(((await p.inspect(old ?? '')).State as { FinishedAt?: string }).FinishedAt ?? '');
    expect(Date.parse((await p.inspect(now[0] ?? '')).State.StartedAt)).toBeGreaterThan(ended);
    await load.waitForVersion('2', 5000);
    const report = await endsWell(load);
    const longest = Math.max(...Object.values(report.kinds).map(({ maxMs }) => maxMs));
    expect(longest).toBeGreaterThan(300);
    expect(longest).toBeLessThan(15_000);
    await expectUpChangesNothing(p);
  });
});

test('requests that wait longer than the hold budget get a real 503 that says when to come back', async () => {
  await withProject('hold runs out', { files: {} }, async (p) => {
    const file = async (version: number, boot: number) =>
      stack(
        p,
        {
          store: await site(p, { VERSION: version, BOOT_DELAY_MS: boot }, { volumes: ['data:/data'], deploy: replicas(1) }, { hold: '1s' }),
        },
        { volumes: { data: {} } },
      );
    await p.write('compose.yaml', await file(1, 0));
    await deploy(p);
    const load = await p.load({ mix: { newConnections: 2 } });
    await p.write('compose.yaml', await file(2, 4000));
    await deploy(p);
    await load.waitForVersion('2', 5000);
    const report = await load.stop();
    expect(Object.keys(report.kinds.newConnections.errors)).toEqual(['status 503']);
    expect((await ask(p)).version).toBe('2');
  });
});

test('a service with a container_name is replaced under the same name, and is made again when its release fails', async () => {
  await withProject('container name', { files: {} }, async (p) => {
    const only = { container_name: `${p.name}-only`, deploy: replicas(1), 'x-edge': route(p, { hold: '60s' }) };
    await deploy(p, { web: await site(p, { VERSION: 1 }, only) });
    const load = await p.load({ mix: SHORT_MIX, timeoutMs: 60_000 });
    const { out } = await deploy(p, { web: await site(p, { VERSION: 2 }, only) });
    expect(out).toContain(`container_name ${p.name}-only can exist only once`);
    expect((await p.inspect(`${p.name}-only`)).Config.Env).toContain('VERSION=2');

    await p.write('compose.yaml', stack(p, { web: await site(p, { VERSION: 3, HEALTH: 'fail' }, { ...only, ...QUICK }) }));
    const failed = await p.composure(['deploy', '--yes']);
    expect(failed.code, failed.err).toBe(5);
    expect(failed.err).toContain('taken back: 1 web of before run and serve');
    const again = await p.inspect(`${p.name}-only`);
    expect(again.State.Running).toBe(true);
    expect(again.Config.Env).toContain('VERSION=2');
    expect((await ask(p)).version).toBe('2');
    expect(await p.containers()).toHaveLength(1);
    const report = await endsWell(load);
    expect(report.versions['3']).toBeUndefined();

    // Compose takes the container that was made again for its own.
    await p.write('compose.yaml', stack(p, { web: await site(p, { VERSION: 2 }, only) }));
    expect((await deploy(p)).out).toContain('nothing to do');
    await expectUpChangesNothing(p);
  });
});

test('a stop-first release that fails starts the very container that ran before', async () => {
  await withProject('stop first fails', { files: {} }, async (p) => {
    const file = async (version: number, health: string) =>
      stack(
        p,
        {
          store: await site(
            p,
            { VERSION: version, HEALTH: health },
            { volumes: ['data:/data'], deploy: replicas(1), ...(health === 'fail' ? QUICK : {}) },
            { hold: '60s' },
          ),
        },
        { volumes: { data: {} } },
      );
    await p.write('compose.yaml', await file(1, 'ok'));
    await deploy(p);
    const before = await running(p, 'store');
    const load = await p.load({ mix: SHORT_MIX, timeoutMs: 60_000 });
    await p.write('compose.yaml', await file(2, 'fail'));
    const failed = await p.composure(['deploy', '--yes']);
    expect(failed.code, failed.err).toBe(5);
    expect(await running(p, 'store')).toEqual(before);
    expect(await p.containers()).toHaveLength(1);
    const report = await endsWell(load);
    expect(Object.keys(report.versions)).toEqual(['1']);
  });
});
