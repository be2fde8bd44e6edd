import { expect, test } from 'vitest';
import { withProject } from '../support/scenario.ts';
import { ask, deploy, endsWell, expectUpChangesNothing, MIX, running, site, stopped, succeeds } from '../support/stacks.ts';

test('a good release and the rollback after it lose no request, and the project stays plain Compose', async () => {
  await withProject('good release', { files: {} }, async (p) => {
    await deploy(p, { web: await site(p, { VERSION: 1 }) });
    const first = await running(p, 'web');
    expect(first).toHaveLength(2);

    const load = await p.load({ mix: MIX, slowMs: 800 });
    await load.waitForVersion('1', 5000);
    await deploy(p, { web: await site(p, { VERSION: 2 }) });
    const second = await running(p, 'web');
    expect(second).toHaveLength(2);
    expect(second).not.toEqual(expect.arrayContaining(first));
    expect((await stopped(p, 'web')).sort()).toEqual(first.sort());
    const releasedAt = Date.now();
    for (let count = 0; count < 6; count += 1) expect((await ask(p)).version).toBe('2');

    expect(
      succeeds(await p.compose(['ps', '--format', '{{.ID}}']))
        .stdout.trim()
        .split('\n')
        .sort(),
    ).toEqual(second.map((id) => id.slice(0, 12)).sort());
    expect(succeeds(await p.compose(['logs', 'web'])).stdout).toContain('version 2 listens');
    expect(succeeds(await p.compose(['exec', '-T', 'web', 'printenv', 'VERSION'])).stdout.trim()).toBe('2');

    succeeds(await p.composure(['rollback', '--yes']));
    expect((await running(p, 'web')).sort()).toEqual(first.sort());
    for (let count = 0; count < 6; count += 1) expect((await ask(p)).version).toBe('1');
    await deploy(p);
    expect((await ask(p)).version).toBe('2');
    const report = await endsWell(load);
    expect(Object.keys(report.versions).sort()).toEqual(['1', '2']);
    expect(report.versions['2']?.firstAt).toBeLessThan(releasedAt);

    await expectUpChangesNothing(p);
    const { releases } = JSON.parse(succeeds(await p.composure(['releases', '--json'])).out);
    expect(releases.map(({ number, kind, of }: { number: number; kind: string; of?: number }) => [number, kind, of])).toEqual([
      [4, 'deploy', undefined],
      [3, 'rollback', 1],
      [2, 'deploy', undefined],
      [1, 'deploy', undefined],
    ]);
    const status = JSON.parse(succeeds(await p.composure(['status', '--json'])).out);
    expect(status).toMatchObject({ release: { number: 4 }, services: [{ service: 'web', running: 2, wanted: 2, health: 'healthy' }] });
  });
});
