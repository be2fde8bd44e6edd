import { expect, test } from 'vitest';
import { eventually } from '../support/eventually.ts';
import { withProject } from '../support/scenario.ts';
import { app, ask, deploy, endsWell, isTakenBack, QUICK, replicas, running, SHORT_MIX, serving, site, stack } from '../support/stacks.ts';

test('a release that boots slowly, but within its start period, loses no request', async () => {
  await withProject('slow boot', { files: {} }, async (p) => {
    await deploy(p, { web: await site(p, { VERSION: 1 }) });
    const load = await p.load({ mix: SHORT_MIX });
    await deploy(p, { web: await site(p, { VERSION: 2, BOOT_DELAY_MS: 4000 }, { deploy: replicas(2, { parallelism: 0 }) }) });
    expect((await ask(p)).version).toBe('2');
    await endsWell(load);
  });
});

test('a release that never becomes healthy is taken back, with the health check’s words and the last log lines', async () => {
  await withProject('never healthy', { files: {} }, async (p) => {
    await deploy(p, { web: await site(p, { VERSION: 1 }) });
    const { err } = await isTakenBack(p, { web: await site(p, { VERSION: 2, HEALTH: 'fail' }, QUICK) });
    expect(err).toMatch(/did not become ready: its health check says unhealthy/);
    expect(err).toContain('/health answered 500');
    expect(err).toContain('version 2 listens on 3000');
    expect(err).toMatch(/taken back: 2 web of before run and serve/);
  });
});

test('a release that crashes at its start is taken back, with its exit code and what it logged', async () => {
  await withProject('crash loop', { files: {} }, async (p) => {
    await deploy(p, { web: await site(p, { VERSION: 1 }) });
    const { err } = await isTakenBack(p, { web: await site(p, { VERSION: 2, CRASH_AT_START: 'no database' }, { restart: 'always' }) });
    expect(err).toMatch(/did not become ready: it (crashed|ended)/);
    expect(err).toContain('exit code 1');
    expect(err).toContain('version 2 crashes at start: no database');
  });
});

test('a release that outgrows its memory limit is taken back and says that memory was the reason', async () => {
  await withProject('out of memory', { files: {} }, async (p) => {
    await deploy(p, { web: await site(p, { VERSION: 1 }) });
    const limits = { mem_limit: '64m', memswap_limit: '64m' };
    const { err } = await isTakenBack(p, { web: await site(p, { VERSION: 2, EAT_MEMORY_MB: 300 }, limits) });
    expect(err).toMatch(/ran out of memory/);
  });
});

test('a migration that fails stops the release before anything is touched, and its log is shown', async () => {
  await withProject('bad migration', { files: {} }, async (p) => {
    const job = (version: number, exit: number) =>
      app({ ROLE: 'job', VERSION: version, JOB_EXIT: exit }, { healthcheck: { disable: true }, 'x-release': {} });
    await deploy(p, { web: await site(p, { VERSION: 1 }), migrate: await job(1, 0) });
    expect(await running(p, 'web')).toHaveLength(2);
    const before = await serving(p);
    const load = await p.load({ mix: SHORT_MIX });
    await p.write('compose.yaml', stack(p, { web: await site(p, { VERSION: 2 }), migrate: await job(2, 3) }));
    const { code, out, err } = await p.composure(['deploy', '--yes']);
    expect(code, out + err).toBe(5);
    expect(err).toContain('the release job migrate ended with code 3');
    expect(err).toContain('job of version 2 ends with 3');
    expect(err).toContain('RELEASE_JOB_FAILED');
    expect(await serving(p)).toEqual(before);
    expect((await p.containers('web')).map(({ Id }) => Id).sort()).toEqual(Object.keys(before).sort());
    expect(Object.keys((await endsWell(load)).versions)).toEqual(['1']);
  });
});

test('a release that answers 5xx once it has traffic is switched back within seconds', async () => {
  await withProject('good then 5xx', { files: {} }, async (p) => {
    await deploy(p, { web: await site(p, { VERSION: 1 }) });
    const before = await serving(p);
    const load = await p.load({ mix: SHORT_MIX });
    await p.write(
      'compose.yaml',
      stack(p, { web: await site(p, { VERSION: 2, ERROR_RATE: 1 }, { deploy: replicas(2, { monitor: '10s' }) }) }),
    );
    const result = await p.composure(['deploy', '--yes']);
    expect(result.code, result.err).toBe(5);
    expect(result.err).toMatch(/worse than the old one: \d+ of \d+ requests failed on the new containers/);
    expect(await serving(p)).toEqual(before);
    const bad = await load.snapshot();
    expect(bad.failed).toBeGreaterThan(0);
    // Nothing failed but what the new version itself answered.
    expect(new Set(bad.failures.map(({ status, version }) => `${status} by ${version}`))).toEqual(new Set(['500 by 2']));
    expect((bad.versions['2']?.lastAt ?? 0) - (bad.versions['2']?.firstAt ?? 0)).toBeLessThan(4000);
    const after = await p.load({ mix: SHORT_MIX });
    await eventually(async () => expect((await after.snapshot()).ok).toBeGreaterThan(30));
    await endsWell(after);
  });
});

test('one bad worker of three services takes all three back', async () => {
  await withProject('one bad of three', { files: {} }, async (p) => {
    const services = async (version: number, health: string) => ({
      web: await site(p, { VERSION: version }),
      mailer: await app({ ROLE: 'worker', VERSION: version }, QUICK),
      reports: await app({ ROLE: 'worker', VERSION: version, HEALTH: health }, { ...QUICK, deploy: replicas(1, { order: 'start-first' }) }),
    });
    await deploy(p, await services(1, 'ok'));
    const before = await p.containers();
    const load = await p.load({ mix: SHORT_MIX });
    await p.write('compose.yaml', stack(p, await services(2, 'fail')));
    const result = await p.composure(['deploy', '--yes']);
    expect(result.code, result.err).toBe(5);
    expect(result.err).toContain('heartbeat "bad"');
    const after = await p.containers();
    expect(after.map(({ Id, State }) => `${Id} ${State}`)).toEqual(before.map(({ Id }) => `${Id} running`));
    expect(Object.keys((await endsWell(load)).versions)).toEqual(['1']);
  });
});
