import { expect, test } from 'vitest';
import { eventually } from '../support/eventually.ts';
import { type ScenarioProject, withProject } from '../support/scenario.ts';
import { succeeds } from '../support/stacks.ts';
import { ROOMY, startAutoscaler, workerProject } from '../support/worker.ts';

interface Tiers {
  tiers: { service: string; triggers: { summary: string; failing: boolean }[]; workers: unknown[] }[];
  warnings: string[];
}

const statusOf = async (p: ScenarioProject): Promise<Tiers> =>
  JSON.parse(succeeds(await p.composure(['autoscale', 'status', '--json'])).out);

/** The compose file as lines, so that a refusal's line and column can be known. */
const file = (autoscale: string, deploy = 'deploy: {resources: {limits: {memory: 64M, cpus: "0.1"}}}') => `services:
  worker:
    image: busybox:1
    command: [sleep, "600"]
    ${deploy}
    x-autoscale:
      ${autoscale}
`;

const redis = 'triggers: [{type: redis, metadata: {address: "redis:6379", listName: jobs}}]';

test.each([
  {
    name: 'min above max',
    text: file(`minReplicaCount: 5\n      maxReplicaCount: 2\n      ${redis}`),
    message: '5 is more than maxReplicaCount, 2',
    where: 'compose.yaml:7:7',
  },
  {
    name: 'no memory limit',
    text: file(redis, 'deploy: {resources: {limits: {cpus: "0.1"}}}'),
    message: 'x-autoscale needs deploy.resources.limits.memory',
    where: 'compose.yaml:6:5',
  },
  {
    name: 'an unknown trigger',
    text: file('triggers: [{type: rediss, metadata: {}}]'),
    message: 'there is no trigger "rediss"; did you mean "redis"?',
    where: 'compose.yaml:7:19',
  },
])('refused before anything is touched: $name', async ({ name, text, message, where }) => {
  await withProject(`input ${name}`, { files: { 'compose.yaml': text } }, async (p) => {
    for (const args of [['plan'], ['deploy', '--yes']]) {
      const { code, out } = await p.composure([...args, '--json']);
      expect(code).toBe(3);
      const { error } = JSON.parse(out.trim().split('\n').at(-1) ?? '');
      expect(error).toMatchObject({ code: 'CONFIG_INVALID', where, message: expect.stringContaining(message) });
    }
    expect(await p.containers()).toEqual([]);
  });
});

test('a tier that can never fit this host: said by plan and deploy before it starts, and by status while it is asked for', {
  timeout: 90_000,
}, async () => {
  const files = workerProject({ service: { deploy: { resources: { limits: { memory: '900G', cpus: '0.5' } } } } });
  await withProject('input never fits', { files }, async (p) => {
    const said = /compose\.yaml:1:\d+: worker can never run here: one container may use 0\.5 CPUs and 900 GiB, and this host has/;
    expect(succeeds(await p.composure(['plan'])).out).toMatch(said);
    expect(await p.containers()).toEqual([]);
    succeeds(await p.compose(['up', '-d', 'redis']));
    const autoscaler = await startAutoscaler(p, { host: ROOMY });
    try {
      await eventually(async () => expect((await statusOf(p)).warnings.join('\n')).toContain('worker can never run here'), {
        timeoutMs: 20_000,
      });
      expect(succeeds(await p.composure(['autoscale', 'status'])).out).toContain('worker can never run here');
      expect(await p.containers('worker')).toEqual([]);
    } finally {
      await autoscaler.stop();
    }
  });
});

test('a trigger that cannot be reached or refuses its password is shown, costs no worker, and no text holds the password', {
  timeout: 90_000,
}, async () => {
  const secret = 'hunter2-is-no-password';
  const trigger = (metadata: object) => ({ triggers: [{ type: 'redis', metadata: { listName: 'jobs', ...metadata } }] });
  const files = workerProject({
    autoscale: { minReplicaCount: 1, ...trigger({ address: 'redis:6379', passwordFromEnv: 'REDIS_PASSWORD' }) },
    environment: { REDIS_PASSWORD: secret },
  });
  await withProject('input password', { files }, async (p) => {
    const compose = JSON.parse(await p.read('compose.yaml'));
    compose.services.redis.command = 'redis-server --save "" --requirepass another';
    const { 'x-autoscale': key, ...worker } = compose.services.worker;
    compose.services.lost = { ...worker, 'x-autoscale': { ...key, ...trigger({ address: 'nowhere:6379' }) } };
    await p.write('compose.yaml', JSON.stringify(compose));
    succeeds(await p.compose(['up', '-d', '--no-build', 'redis', 'worker', 'lost']));
    const before = (await p.containers()).map(({ Id }) => Id);
    const autoscaler = await startAutoscaler(p);
    try {
      await eventually(
        async () => {
          const { tiers } = await statusOf(p);
          const of = (name: string) => tiers.find(({ service }) => service === name)?.triggers[0];
          expect(of('worker')).toMatchObject({ failing: true, summary: expect.stringMatching(/WRONGPASS|password/i) });
          expect(of('lost')).toMatchObject({ failing: true, summary: expect.stringContaining('nowhere') });
        },
        { timeoutMs: 30_000 },
      );
      const text = succeeds(await p.composure(['autoscale', 'status'])).out;
      expect(text).toMatch(/redis-0: failing, .*nowhere/);
      expect(succeeds(await p.composure(['autoscale', 'explain', 'worker'])).out).toMatch(/fail/);
      expect((await p.containers()).map(({ Id }) => Id)).toEqual(expect.arrayContaining(before));
      const everything = [
        text,
        JSON.stringify(await statusOf(p)),
        succeeds(await p.composure(['autoscale', 'explain', 'worker', '--json'])).out,
        succeeds(await p.composure(['autoscale', 'replay', '--hours', '1', '--json'])).out,
        ...autoscaler.said,
      ].join('\n');
      expect(everything).not.toContain(secret);
    } finally {
      await autoscaler.stop();
    }
  });
});
