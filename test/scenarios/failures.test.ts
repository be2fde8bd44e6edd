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
      mailer: await app({ ROLE: 'worker', VERSION: version }),
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

test('max_failure_ratio lets a release pass with one bad container of two, which gets no requests', async () => {
  await withProject('failure ratio', { files: {} }, async (p) => {
    // Whoever comes first takes the mark; the other one is never healthy.
    const second =
      "data:text/javascript,import fs from 'node:fs';if (fs.existsSync('/marks/taken')) process.env.HEALTH = 'fail'; else fs.writeFileSync('/marks/taken', '');";
    const odd = {
      volumes: ['marks:/marks'],
      user: '0:0',
      entrypoint: ['node', '--import', second, '/app/app.mjs'],
      ...QUICK,
    };
    const file = async (version: number, more: object, ratio: number) =>
      stack(
        p,
        { web: await site(p, { VERSION: version }, { deploy: replicas(2, { max_failure_ratio: ratio, order: 'start-first' }), ...more }) },
        { volumes: { marks: {} } },
      );
    await p.write('compose.yaml', await file(1, {}, 0));
    await deploy(p);
    await p.write('compose.yaml', await file(2, odd, 0.5));
    const { err } = await deploy(p);
    expect(err).toContain('1 of 2 did not become ready and get no requests; max_failure_ratio 0.5 allows it');
    for (let count = 0; count < 6; count += 1) expect(await ask(p)).toMatchObject({ status: 200, version: '2' });
    expect(await running(p, 'web')).toHaveLength(2);
  });
});

test('failure_action pause leaves the new containers without requests, to be looked at, until the next deploy', async () => {
  await withProject('pause', { files: {} }, async (p) => {
    const version = async (number: number, health: string) => ({
      web: await site(
        p,
        { VERSION: number, HEALTH: health },
        { ...QUICK, deploy: replicas(2, { failure_action: 'pause', parallelism: 0 }) },
      ),
    });
    await deploy(p, await version(1, 'ok'));
    const before = await running(p, 'web');
    const load = await p.load({ mix: SHORT_MIX });
    await p.write('compose.yaml', stack(p, await version(2, 'fail')));
    const failed = await p.composure(['deploy', '--yes']);
    expect(failed.code, failed.err).toBe(5);
    expect(failed.err).toContain('run on without requests, to be looked at (failure_action: pause of web)');
    const now = await running(p, 'web');
    expect(now).toHaveLength(4);
    expect(now).toEqual(expect.arrayContaining(before));
    const looked = now.find((id) => !before.includes(id)) ?? '';
    expect((await p.docker(['exec', looked, 'printenv', 'VERSION'])).stdout.trim()).toBe('2');
    for (let count = 0; count < 4; count += 1) expect((await ask(p)).version).toBe('1');

    // The plan of the next release does not take them for its own.
    expect((await p.composure(['plan'])).out).toMatch(/web +replace/);
    const next = await deploy(p, await version(3, 'ok'));
    expect(next.err).toContain('removed 2 containers that release 2 had left for inspection');
    expect(await running(p, 'web')).toHaveLength(2);
    expect((await p.containers('web')).map(({ Id }) => Id)).not.toContain(looked);
    expect((await ask(p)).version).toBe('3');
    const report = await endsWell(load);
    expect(report.versions['2']).toBeUndefined();
  });
});

test('failure_action continue leaves a failing service as it was while the others go on', async () => {
  await withProject('continue', { files: {} }, async (p) => {
    const services = async (version: number, health: string) => ({
      web: await site(p, { VERSION: version }),
      reports: await app(
        { ROLE: 'worker', VERSION: version, HEALTH: health },
        { ...QUICK, deploy: replicas(1, { order: 'start-first', failure_action: 'continue' }) },
      ),
      extra: await site(
        p,
        { VERSION: version, HEALTH: health },
        { ...QUICK, deploy: replicas(1, { failure_action: 'continue' }) },
        { path: '/extra' },
      ),
    });
    await deploy(p, await services(1, 'ok'));
    const kept = [...(await running(p, 'reports')), ...(await running(p, 'extra'))];
    const load = await p.load({ mix: SHORT_MIX });
    await p.write('compose.yaml', stack(p, await services(2, 'fail')));
    const { out, err } = await deploy(p);
    expect(err).toContain('reports stays as it was (failure_action: continue)');
    expect(err).toContain('extra stays as it was (failure_action: continue)');
    expect(out).toMatch(/is at release 2 .*without (extra, reports|reports, extra)/);
    expect([...(await running(p, 'reports')), ...(await running(p, 'extra'))]).toEqual(kept);
    expect((await ask(p)).version).toBe('2');
    expect((await ask(p, '/extra')).version).toBe('1');
    expect(await p.containers('reports')).toHaveLength(1);
    await endsWell(load);
    // The next deploy tries them again.
    await deploy(p, await services(3, 'ok'));
    expect((await ask(p, '/extra')).version).toBe('3');
    expect(await running(p, 'reports')).not.toContain(kept[0]);
  });
});
