import { expect, test } from 'vitest';
import { eventually } from '../support/eventually.ts';
import { type ScenarioProject, withProject } from '../support/scenario.ts';
import {
  app,
  ask,
  deploy,
  endsWell,
  expectUpChangesNothing,
  replicas,
  running,
  SHORT_MIX,
  serving,
  site,
  stack,
  succeeds,
} from '../support/stacks.ts';

const numbers = async (p: ScenarioProject, service: string): Promise<number[]> =>
  (await p.containers(service))
    .filter(({ State }) => State === 'running')
    .map(({ Labels }) => Number(Labels['com.docker.compose.container-number']))
    .sort((a, b) => a - b);

const startedAt = async (p: ScenarioProject, id: string): Promise<number> => Date.parse((await p.inspect(id)).State.StartedAt);

test('a changed file behind a bind mount or a config replaces the service and the plan names the file; an unchanged one does not', async () => {
  await withProject('changed file', { files: { 'mounted.txt': 'one', 'config.txt': 'one' } }, async (p) => {
    const mounted = await site(
      p,
      { VERSION: 1, CONFIG_FILE: '/settings.txt' },
      { volumes: ['./mounted.txt:/settings.txt:ro'], deploy: replicas(1) },
    );
    const configured = await app({ VERSION: 1 }, { configs: [{ source: 'settings', target: '/settings.txt' }] });
    const file = stack(p, { mounted, configured }, { configs: { settings: { file: './config.txt' } } });
    await p.write('compose.yaml', file);
    await deploy(p);
    expect((await ask(p, '/config')).body).toBe('one');
    const first = await serving(p);
    expect((await deploy(p)).out).toContain('nothing to do');

    await p.write('mounted.txt', 'two');
    const plan = succeeds(await p.composure(['plan']));
    expect(plan.out).toMatch(/mounted +replace +content changed of .*mounted\.txt/);
    expect(plan.out).toMatch(/configured +keep +unchanged/);
    await deploy(p);
    expect((await ask(p, '/config')).body).toBe('two');

    await p.write('config.txt', 'two');
    const second = succeeds(await p.composure(['plan', '--json']));
    const actions = JSON.parse(second.out).plan.services.map(({ service, action, why }: Record<string, string>) => [service, action, why]);
    expect(actions).toEqual(
      expect.arrayContaining([
        ['mounted', 'keep', 'unchanged'],
        ['configured', 'replace', expect.stringContaining('config.txt')],
      ]),
    );
    await deploy(p);
    expect(Object.keys(await serving(p)).filter((id) => id in first)).toEqual([]);
    expect((await deploy(p)).out).toContain('nothing to do');
    await expectUpChangesNothing(p);
  });
});

test('a compose file edited back by hand to what ran before is deployed like any other, and Compose agrees', async () => {
  await withProject('edited back', { files: {} }, async (p) => {
    await deploy(p, { web: await site(p, { VERSION: 1 }) });
    await deploy(p, { web: await site(p, { VERSION: 2 }) });
    const load = await p.load({ mix: SHORT_MIX });
    await deploy(p, { web: await site(p, { VERSION: 1 }) });
    expect((await ask(p)).version).toBe('1');
    expect(await running(p, 'web')).toHaveLength(2);
    await endsWell(load);
    await expectUpChangesNothing(p);
  });
});

test('scaling keeps the containers that stay, counts their numbers on, and restarts no other service', async () => {
  await withProject('scale', { files: {} }, async (p) => {
    const services = async (count: number) => ({
      web: await site(p, { VERSION: 1 }, { deploy: replicas(count, { parallelism: 0 }) }),
      other: await app({ ROLE: 'worker' }),
    });
    await deploy(p, await services(1));
    const first = await serving(p);
    const [original] = await running(p, 'web');
    const load = await p.load({ mix: SHORT_MIX });
    const up = await deploy(p, await services(3));
    expect(up.out).toMatch(/web +scale +1 of 3 replicas run/);
    expect(await serving(p)).toMatchObject(first);
    expect(await numbers(p, 'web')).toEqual([1, 2, 3]);
    // All three get requests.
    const status = JSON.parse(succeeds(await p.composure(['status', '--json'])).out);
    expect(status.services.find(({ service }: { service: string }) => service === 'web')).toMatchObject({ running: 3, wanted: 3 });

    await deploy(p, await services(1));
    expect(await serving(p)).toEqual(first);
    expect(await running(p, 'web')).toEqual([original]);
    await deploy(p, await services(2));
    expect(await serving(p)).toMatchObject(first);
    expect(await running(p, 'web')).toHaveLength(2);
    await endsWell(load);
    await expectUpChangesNothing(p);
  });
});

test('the first start follows depends_on: healthy before the job, the job done before what waits for it', async () => {
  await withProject('first start', { files: {} }, async (p) => {
    const services = async (version: number) => ({
      web: await site(p, { VERSION: version }, { depends_on: { migrate: { condition: 'service_completed_successfully' } } }),
      migrate: await app(
        { ROLE: 'job', VERSION: version, JOB_SLEEP_MS: 300 },
        { healthcheck: { disable: true }, depends_on: { database: { condition: 'service_healthy' } } },
      ),
      database: await app({ VERSION: 'db', BOOT_DELAY_MS: 1000 }),
    });
    await deploy(p, await services(1));
    const [database] = await running(p, 'database');
    const job = (await p.containers('migrate'))[0]?.Id ?? '';
    const ran = (await p.inspect(job)).State as { StartedAt: string; FinishedAt?: string };
    const web = Math.min(...(await Promise.all((await running(p, 'web')).map((id) => startedAt(p, id)))));
    expect(Date.parse(ran.StartedAt) - (await startedAt(p, database ?? ''))).toBeGreaterThan(1000);
    expect(web).toBeGreaterThanOrEqual(Date.parse(ran.StartedAt) + 300);

    // A release of the two runs the job again, in the new image, and leaves the database alone.
    const next = await deploy(p, await services(2));
    expect(next.err).toContain('job of version 2 ends with 0');
    expect(await running(p, 'database')).toEqual([database]);
    expect((await ask(p)).version).toBe('2');
  });
});

test('a first start that fails leaves nothing behind', async () => {
  await withProject('failed first start', { files: {} }, async (p) => {
    const services = {
      web: await site(p, { VERSION: 1 }, { depends_on: { migrate: { condition: 'service_completed_successfully' } } }),
      migrate: await app({ ROLE: 'job', VERSION: 1, JOB_EXIT: 4 }, { healthcheck: { disable: true }, depends_on: ['database'] }),
      database: await app({ VERSION: 'db' }),
    };
    await p.write('compose.yaml', stack(p, services));
    const result = await p.composure(['deploy', '--yes']);
    expect(result.code, result.err).toBe(5);
    expect(result.err).toContain('job of version 1 ends with 4');
    expect(await p.containers()).toEqual([]);
    const edge = JSON.parse(succeeds(await p.composure(['edge', 'status', '--json'])).out);
    expect(JSON.stringify(edge)).not.toContain(p.host);

    const second = {
      ...services,
      web: await site(p, { VERSION: 2, CRASH_AT_START: 'bad luck' }),
      migrate: await app({ ROLE: 'job' }, { healthcheck: { disable: true } }),
    };
    await p.write('compose.yaml', stack(p, second));
    const crashed = await p.composure(['deploy', '--yes']);
    expect(crashed.code, crashed.err).toBe(5);
    expect(crashed.err).toContain('nothing ran before');
    expect(await p.containers()).toEqual([]);
    expect(JSON.stringify(JSON.parse(succeeds(await p.composure(['edge', 'status', '--json'])).out))).not.toContain(p.host);
  });
});

test('post_start hooks run in every new container and pre_stop hooks in every old one; a post_start that fails takes the release back', async () => {
  await withProject('hooks', { files: {} }, async (p) => {
    const hook = (text: string, exit = 0) => [
      { command: ['node', '-e', `console.log('${text} in version ' + process.env.VERSION); process.exit(${exit})`] },
    ];
    const services = async (version: number, exit = 0) => ({
      web: await site(p, { VERSION: version }, { post_start: hook('warmed up', exit), pre_stop: hook('says goodbye') }),
    });
    expect((await deploy(p, await services(1))).err.match(/warmed up in version 1/g)).toHaveLength(2);
    const second = await deploy(p, await services(2));
    expect(second.err.match(/warmed up in version 2/g)).toHaveLength(2);
    expect(second.err.match(/says goodbye in version 1/g)).toHaveLength(2);
    const before = await serving(p);
    await p.write('compose.yaml', stack(p, await services(3, 9)));
    const failed = await p.composure(['deploy', '--yes']);
    expect(failed.code, failed.err).toBe(5);
    expect(failed.err).toMatch(/the post_start hook of \S+ ended with code 9/);
    expect(await serving(p)).toEqual(before);
    expect((await ask(p)).version).toBe('2');
  });
});

test('parallelism and delay of update_config are kept', async () => {
  await withProject('parallelism', { files: {} }, async (p) => {
    const update = { parallelism: 2, delay: '1500ms' };
    await deploy(p, { web: await site(p, { VERSION: 1 }, { deploy: replicas(3, { parallelism: 0 }) }) });
    await deploy(p, { web: await site(p, { VERSION: 2 }, { deploy: replicas(3, update) }) });
    const times = (await Promise.all((await running(p, 'web')).map((id) => startedAt(p, id)))).sort((a, b) => a - b);
    expect(times).toHaveLength(3);
    const [first = 0, second = 0, third = 0] = times;
    expect(second - first).toBeLessThan(1000);
    expect(third - second).toBeGreaterThanOrEqual(1500);
  });
});

test('down removes the project’s containers and networks, and the edge forgets its routes', async () => {
  await withProject('down', { files: {} }, async (p) => {
    await deploy(p, { web: await site(p, { VERSION: 1 }) });
    expect((await ask(p)).status).toBe(200);
    expect((await p.composure(['down'])).code).toBe(9);
    expect(await running(p, 'web')).toHaveLength(2);
    succeeds(await p.composure(['down', '--yes']));
    expect(await p.containers()).toEqual([]);
    await eventually(async () => expect([404, 503]).toContain((await ask(p)).status));
    expect(JSON.stringify(JSON.parse(succeeds(await p.composure(['edge', 'status', '--json'])).out))).not.toContain(p.host);
    const networks = succeeds(await p.docker(['network', 'ls', '--format', '{{.Name}}'])).stdout;
    expect(networks).not.toContain(p.name);
  });
});
