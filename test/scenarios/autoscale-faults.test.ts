import { rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { openDocker } from '../../src/docker/api.ts';
import { COMPOSE } from '../../src/docker/labels.ts';
import { sleep } from '../../src/kit/wait.ts';
import { projectFolder } from '../../src/state/folder.ts';
import { eventually } from '../support/eventually.ts';
import { type ScenarioProject, withProject } from '../support/scenario.ts';
import { succeeds } from '../support/stacks.ts';
import { openJobs, spawnAutoscaler, startAutoscaler, workerProject } from '../support/worker.ts';

const states = async (p: ScenarioProject) => (await p.containers('worker')).map(({ State }) => State).sort();

test('Redis goes away with a backlog and comes back under another address: every job is done, and no busy worker is asked to end', {
  timeout: 120_000,
}, async () => {
  await withProject('fault redis', { files: workerProject() }, async (p) => {
    const compose = JSON.parse(await p.read('compose.yaml'));
    compose.services.redis.command = 'redis-server --appendonly yes --appendfsync always';
    compose.services.redis.volumes = ['data:/data'];
    compose.volumes = { data: {} };
    await p.write('compose.yaml', JSON.stringify(compose));
    succeeds(await p.compose(['up', '-d', 'redis']));
    const autoscaler = await startAutoscaler(p);
    const squatter = `${p.name}-squatter`;
    try {
      const before = await openJobs(p);
      await Promise.all(Array.from({ length: 12 }, (_, index) => before.add(`job ${index}`, 2500)));
      await eventually(async () => expect((await before.began()).length).toBeGreaterThanOrEqual(3), { timeoutMs: 20_000 });
      await before.close();
      const addressOf = async (): Promise<string | undefined> => {
        const [redis] = await p.containers('redis');
        return Object.values((await p.inspect(redis?.Id ?? '')).NetworkSettings.Networks)[0]?.IPAddress;
      };
      const old = await addressOf();
      succeeds(await p.compose(['rm', '-sf', 'redis']));
      succeeds(await p.docker(['run', '-d', '--rm', '--name', squatter, '--network', `${p.name}_default`, 'busybox:1', 'sleep', '90']));
      // Long enough for what runs to end while nobody can be told of it.
      await sleep(3000);
      const workers = (await p.containers('worker')).map(({ Id }) => Id);
      succeeds(await p.compose(['up', '-d', '--no-recreate', 'redis']));
      expect(await addressOf()).not.toBe(old);
      expect((await p.containers('worker')).map(({ Id }) => Id)).toEqual(workers);
      const after = await openJobs(p);
      try {
        const names = async () => new Set((await after.ended()).map(({ job }) => job)).size;
        await eventually(async () => expect(await names()).toBe(12), { timeoutMs: 60_000 });
        await eventually(async () => expect(await states(p)).toEqual([]), { timeoutMs: 30_000 });
        expect((await after.signals()).map(({ busy, count }) => `${busy} ${count}`)).toEqual(['0 1', '0 1', '0 1']);
      } finally {
        await after.close();
      }
    } finally {
      await p.docker(['rm', '-f', squatter]);
      await autoscaler.stop();
    }
  });
});

test('a job that always fails holds one worker at most, however often it is tried', { timeout: 90_000 }, async () => {
  await withProject('fault poison', { files: workerProject({ autoscale: { maxReplicaCount: 6 } }) }, async (p) => {
    succeeds(await p.compose(['up', '-d', 'redis']));
    const jobs = await openJobs(p);
    const stop = new AbortController();
    let [now, most, starts] = [0, 0, 0];
    const following = (async () => {
      const label = [`${COMPOSE.project}=${p.name}`, `${COMPOSE.service}=worker`];
      for await (const { Action } of openDocker().events({ type: ['container'], event: ['start', 'die'], label }, stop.signal)) {
        now += Action === 'start' ? 1 : -1;
        if (Action === 'start') starts += 1;
        most = Math.max(most, now);
      }
    })().catch(() => {});
    const autoscaler = await startAutoscaler(p);
    try {
      await jobs.addPoison('poison', 300);
      await eventually(async () => expect((await jobs.began()).length).toBeGreaterThan(20), { timeoutMs: 40_000 });
      expect({ most, starts }).toEqual({ most: 1, starts: 1 });
    } finally {
      stop.abort();
      await following;
      await autoscaler.stop();
      await jobs.close();
    }
  });
});

test('an autoscaler is killed while one worker drains and others work: the next one goes on, and nothing is signalled twice', {
  timeout: 120_000,
}, async () => {
  await withProject('fault killed', { files: workerProject() }, async (p) => {
    succeeds(await p.compose(['up', '-d', 'redis']));
    const jobs = await openJobs(p);
    const first = await spawnAutoscaler(p);
    try {
      await Promise.all([jobs.add('long', 14_000), jobs.add('short', 100), jobs.add('short too', 100)]);
      await eventually(async () => expect((await jobs.signals()).length).toBeGreaterThan(0), { timeoutMs: 30_000, everyMs: 10 });
    } finally {
      // Whether before or after it has noted its signal.
      await first.kill('SIGKILL');
    }
    const second = await startAutoscaler(p);
    try {
      await eventually(async () => expect(await jobs.ended()).toHaveLength(3), { timeoutMs: 30_000 });
      await eventually(async () => expect(await states(p)).toEqual([]), { timeoutMs: 30_000 });
      const signals = await jobs.signals();
      expect(signals.map(({ busy, count }) => `${busy} ${count}`)).toEqual(signals.map(() => '0 1'));
      expect(new Set(signals.map(({ host }) => host)).size).toBe(signals.length);
    } finally {
      await second.stop();
      await jobs.close();
    }
  });
});

test('workers of a plain list, of which no source tells anything, are ended once nothing waits and their CPU is quiet', {
  timeout: 90_000,
}, async () => {
  const script =
    'while true; do redis-cli -h redis BLPOP jobs 0 >/dev/null; timeout 3 sh -c "while :; do :; done"; redis-cli -h redis RPUSH done x; done';
  const files = workerProject({
    service: { image: 'redis:8-alpine', command: ['sh', '-c', script], volumes: [], stop_grace_period: '1s' },
  });
  await withProject('fault plain list', { files }, async (p) => {
    const compose = JSON.parse(await p.read('compose.yaml'));
    delete compose.services.worker['x-autoscale'].tier.framework;
    await p.write('compose.yaml', JSON.stringify(compose));
    succeeds(await p.compose(['up', '-d', 'redis']));
    const redis = async (...args: string[]) => succeeds(await p.compose(['exec', '-T', 'redis', 'redis-cli', ...args])).stdout.trim();
    const autoscaler = await startAutoscaler(p, { quietMs: 2000 });
    try {
      await redis('RPUSH', 'jobs', 'one', 'two');
      await eventually(async () => expect(await states(p)).toEqual(['running', 'running']), { timeoutMs: 20_000 });
      // Both are gone, and both jobs are done: none was ended in the middle.
      await eventually(async () => expect(await states(p)).toEqual([]), { timeoutMs: 50_000 });
      expect(await redis('LLEN', 'done')).toBe('2');
    } finally {
      await autoscaler.stop();
    }
  });
});

test('an agent that does not see the project’s folder, as in its container, makes the first container from the recorded release', {
  timeout: 90_000,
}, async () => {
  await withProject('fault no folder', { files: workerProject() }, async (p) => {
    succeeds(await p.composure(['deploy', '--yes']));
    const [worker] = await p.containers('worker');
    succeeds(await p.docker(['rm', '-f', worker?.Id ?? '']));
    await rm(join(projectFolder(p.state, p.name), 'templates'), { recursive: true, force: true });
    const jobs = await openJobs(p);
    await rename(p.folder, `${p.folder}.away`);
    const autoscaler = await startAutoscaler(p);
    try {
      await jobs.add('job', 500);
      await eventually(async () => expect(await jobs.ended()).toHaveLength(1), { timeoutMs: 30_000 });
    } finally {
      await rename(`${p.folder}.away`, p.folder);
      await autoscaler.stop();
      await jobs.close();
    }
    // It is what the files say: Compose has nothing to change about it.
    expect((await p.compose(['up', '-d', '--no-deps', 'worker', '--dry-run'])).stderr).not.toMatch(/Recreat/);
  });
});
