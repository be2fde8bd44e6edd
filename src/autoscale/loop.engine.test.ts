import { expect, test } from 'vitest';
import { eventually } from '../../test/support/eventually.ts';
import { type ScenarioProject, withProject } from '../../test/support/scenario.ts';
import { openJobs, ROOMY, spawnAutoscaler, startAutoscaler, workerProject } from '../../test/support/worker.ts';
import { openDocker } from '../docker/api.ts';
import { thawFrozen } from '../docker/thaw.ts';
import { sleep } from '../kit/wait.ts';
import { lockPath } from '../rollout/journal.ts';
import { takeLock } from '../state/lock.ts';
import { markWorker, readWorkerMarks } from '../state/workers.ts';
import { readStatus } from './status.ts';

const states = async (project: ScenarioProject) => (await project.containers('worker')).map(({ State }) => State).sort();

test('from nothing: a job brings a container that Compose takes for its own, and without jobs it goes again', {
  timeout: 90_000,
}, async () => {
  await withProject('scale cold', { files: workerProject() }, async (project) => {
    expect((await project.compose(['up', '-d', 'redis'])).code).toBe(0);
    const jobs = await openJobs(project);
    const autoscaler = await startAutoscaler(project);
    try {
      await jobs.add('first', 1500);
      await eventually(async () => expect(await jobs.began()).toHaveLength(1), { timeoutMs: 20_000 });
      const ps = await project.compose(['ps', '--format', 'json']);
      expect(ps.stdout).toContain(`${project.name}-worker-1`);
      const [before] = await project.containers('worker');
      const up = await project.compose(['up', '-d', '--no-recreate']);
      expect([up.code, up.stderr]).toEqual([0, expect.not.stringContaining('Recreat')]);
      expect((await project.containers('worker')).map(({ Id }) => Id)).toEqual([before?.Id]);
      // Nothing of the service has changed, as Compose sees it.
      const again = await project.compose(['up', '-d', '--no-deps', 'worker', '--dry-run']);
      expect(again.stderr).not.toMatch(/Recreat/);
      await eventually(async () => expect(await states(project)).toEqual([]), { timeoutMs: 30_000 });
      expect((await jobs.signals()).map(({ busy, count }) => [busy, count])).toEqual([[0, 1]]);
      await jobs.add('second');
      await eventually(async () => expect(await jobs.ended()).toHaveLength(2), { timeoutMs: 20_000 });
      expect((await project.compose(['down', '-t', '1'])).code).toBe(0);
      expect(await project.containers()).toEqual([]);
    } finally {
      await autoscaler.stop();
      await jobs.close();
    }
  });
});

test('a frozen worker runs a job within milliseconds of its arrival, and is frozen again', { timeout: 90_000 }, async () => {
  await withProject('scale frozen', { files: workerProject({ tier: { warm: 'frozen' } }) }, async (project) => {
    expect((await project.compose(['up', '-d'])).code).toBe(0);
    const jobs = await openJobs(project);
    const autoscaler = await startAutoscaler(project);
    const frozen = () => eventually(async () => expect(await states(project)).toEqual(['paused']), { timeoutMs: 30_000 });
    try {
      await frozen();
      const waits: number[] = [];
      for (let index = 0; index < 3; index++) {
        const at = await jobs.add(`job ${index}`);
        const began = await eventually(
          async () => {
            const found = (await jobs.began()).find(({ job }) => job === `job ${index}`);
            expect(found).toBeDefined();
            return found;
          },
          { timeoutMs: 10_000, everyMs: 20 },
        );
        waits.push((began?.at ?? 0) - at);
        await frozen();
      }
      expect(Math.min(...waits)).toBeLessThan(100);
      expect(await jobs.signals()).toEqual([]);
    } finally {
      await autoscaler.stop();
      await jobs.close();
    }
    // Whoever leaves thaws.
    expect(await states(project)).toEqual(['running']);
  });
});

test('a busy worker is never asked to end, and the idle one beside it is', { timeout: 90_000 }, async () => {
  await withProject('scale busy', { files: workerProject() }, async (project) => {
    expect((await project.compose(['up', '-d', 'redis'])).code).toBe(0);
    const jobs = await openJobs(project);
    const autoscaler = await startAutoscaler(project);
    try {
      await Promise.all([jobs.add('long', 12_000), jobs.add('short', 200), jobs.add('short too', 200)]);
      await eventually(async () => expect(await jobs.began()).toHaveLength(3), { timeoutMs: 20_000 });
      const long = (await jobs.began()).find(({ job }) => job === 'long');
      // The others go while it works.
      await eventually(async () => expect((await jobs.signals()).length).toBeGreaterThan(0), { timeoutMs: 10_000 });
      expect((await jobs.ended()).map(({ job }) => job)).not.toContain('long');
      expect((await jobs.signals()).map(({ host }) => host)).not.toContain(long?.host);
      await eventually(async () => expect(await states(project)).toEqual([]), { timeoutMs: 30_000 });
      expect((await jobs.ended()).map(({ job }) => job)).toContain('long');
      const signals = await jobs.signals();
      expect(signals.map(({ busy, count }) => `${busy} ${count}`)).toEqual(signals.map(() => '0 1'));
    } finally {
      await autoscaler.stop();
      await jobs.close();
    }
  });
});

test('one that was to end, and ended while nobody watched, is removed also where the engine remembers no signal', {
  timeout: 60_000,
}, async () => {
  await withProject('scale ended', { files: workerProject() }, async (project) => {
    expect((await project.compose(['up', '-d'])).code).toBe(0);
    await project.docker(['stop', `${project.name}-worker-1`]);
    const [worker] = await project.containers('worker');
    // biome-ignore lint/suspicious/noThenProperty: what follows the exit, in the mark's own words; nobody awaits a mark
    const mark = { kind: 'draining', signalled: false, then: 'remove', why: 'idle', service: 'worker', sinceMs: Date.now() } as const;
    await markWorker(project.state, project.name, worker?.Id ?? '', mark);
    const autoscaler = await startAutoscaler(project);
    try {
      await eventually(async () => expect(await states(project)).toEqual([]), { timeoutMs: 20_000 });
    } finally {
      await autoscaler.stop();
    }
  });
});

test('a worker that ignores its signal is waited for as draining, by the next autoscaler too, and gets no second one', {
  timeout: 90_000,
}, async () => {
  const files = workerProject({ environment: { IGNORE_SIGTERM: '1' } });
  await withProject('scale stubborn', { files }, async (project) => {
    expect((await project.compose(['up', '-d'])).code).toBe(0);
    const jobs = await openJobs(project);
    const phases = async () => (await readStatus(project.state))?.status.tiers.flatMap(({ workers }) => workers.map(({ phase }) => phase));
    const first = await spawnAutoscaler(project);
    try {
      await eventually(async () => expect(await jobs.signals()).toHaveLength(1), { timeoutMs: 20_000 });
      await eventually(async () => expect(await phases()).toEqual(['draining']), { timeoutMs: 5000 });
    } finally {
      await first.kill('SIGKILL');
    }
    const second = await startAutoscaler(project);
    try {
      await eventually(async () => expect((await readStatus(project.state))?.status.agent.pid).toBe(process.pid), { timeoutMs: 5000 });
      await eventually(async () => expect(await phases()).toEqual(['draining']), { timeoutMs: 5000 });
      await sleep(4000);
      expect(await states(project)).toEqual(['running']);
      expect(await jobs.signals()).toHaveLength(1);
      await project.docker(['kill', '--signal', 'KILL', `${project.name}-worker-1`]);
      await eventually(async () => expect(await states(project)).toEqual([]), { timeoutMs: 5000 });
      // The note goes once the container has gone.
      await eventually(async () => expect([...(await readWorkerMarks(project.state, project.name))]).toEqual([]), { timeoutMs: 5000 });
    } finally {
      await second.stop();
      await jobs.close();
    }
  });
});

test('an autoscaler that is killed leaves a frozen worker; the next one thaws it and goes on', { timeout: 90_000 }, async () => {
  await withProject('scale killed', { files: workerProject({ tier: { warm: 'frozen' } }) }, async (project) => {
    expect((await project.compose(['up', '-d'])).code).toBe(0);
    const jobs = await openJobs(project);
    const first = await spawnAutoscaler(project);
    try {
      await eventually(async () => expect(await states(project)).toEqual(['paused']), { timeoutMs: 20_000 });
    } finally {
      await first.kill('SIGKILL');
    }
    await jobs.add('while nobody was there');
    await sleep(500);
    expect(await jobs.began()).toEqual([]);
    const second = await startAutoscaler(project);
    try {
      await eventually(async () => expect(await jobs.ended()).toHaveLength(1), { timeoutMs: 5000 });
      await eventually(async () => expect(await states(project)).toEqual(['paused']), { timeoutMs: 20_000 });
      // A command that has the project's lock finds nothing frozen, and nothing becomes so while it has it.
      const lock = await takeLock(lockPath(project.state, project.name), { purpose: 'deploy' });
      await thawFrozen(openDocker(), project.state, project.name);
      expect(await states(project)).toEqual(['running']);
      await sleep(5000);
      expect(await states(project)).toEqual(['running']);
      await lock.release();
      await eventually(async () => expect(await states(project)).toEqual(['paused']), { timeoutMs: 15_000 });
    } finally {
      await second.stop();
      await jobs.close();
    }
  });
});

test('Redis comes back under another address, and jobs bring workers as before', { timeout: 90_000 }, async () => {
  await withProject('scale redis', { files: workerProject() }, async (project) => {
    expect((await project.compose(['up', '-d', 'redis'])).code).toBe(0);
    const autoscaler = await startAutoscaler(project);
    try {
      const before = await openJobs(project);
      await before.add('before');
      await eventually(async () => expect(await before.ended()).toHaveLength(1), { timeoutMs: 20_000 });
      await before.close();
      expect((await project.compose(['rm', '-sf', 'redis'])).code).toBe(0);
      // Somebody else takes the address.
      const taken = await project.docker([
        'run',
        '-d',
        '--rm',
        '--name',
        `${project.name}-squatter`,
        '--network',
        `${project.name}_default`,
        'busybox:1',
        'sleep',
        '60',
      ]);
      expect(taken.code).toBe(0);
      expect((await project.compose(['up', '-d', 'redis'])).code).toBe(0);
      const after = await openJobs(project);
      await after.add('after');
      await eventually(async () => expect(await after.ended()).toHaveLength(1), { timeoutMs: 30_000 });
      await after.close();
    } finally {
      await project.docker(['rm', '-f', `${project.name}-squatter`]);
      await autoscaler.stop();
    }
  });
});

test('docker compose up by hand resets the count: it is said, and made up for', { timeout: 90_000 }, async () => {
  await withProject('scale by hand', { files: workerProject() }, async (project) => {
    expect((await project.compose(['up', '-d', 'redis'])).code).toBe(0);
    const jobs = await openJobs(project);
    const autoscaler = await startAutoscaler(project);
    try {
      await Promise.all(Array.from({ length: 9 }, (_, index) => jobs.add(`job ${index}`, 6000)));
      await eventually(async () => expect(await states(project)).toEqual(['running', 'running', 'running']), { timeoutMs: 15_000 });
      expect((await project.compose(['up', '-d'])).code).toBe(0);
      await eventually(() => expect(autoscaler.said.join('\n')).toContain('another command removed 2 containers without asking'), {
        timeoutMs: 5000,
      });
      await eventually(async () => expect(await states(project)).toEqual(['running', 'running', 'running']), { timeoutMs: 15_000 });
    } finally {
      await autoscaler.stop();
      await jobs.close();
    }
  });
});

test('what runs never has more than the host has room for, as the engine tells it', { timeout: 90_000 }, async () => {
  await withProject('scale budget', { files: workerProject() }, async (project) => {
    expect((await project.compose(['up', '-d', 'redis'])).code).toBe(0);
    const jobs = await openJobs(project);
    const docker = openDocker();
    const stop = new AbortController();
    const running = new Set<string>();
    let most = 0;
    const following = (async () => {
      const label = [`com.docker.compose.project=${project.name}`, 'com.docker.compose.service=worker'];
      for await (const { Action, Actor } of docker.events({ type: ['container'], event: ['start', 'die'], label }, stop.signal)) {
        if (Action === 'start') running.add(Actor.ID);
        else running.delete(Actor.ID);
        most = Math.max(most, running.size);
      }
    })().catch(() => {});
    // Half a core is the host's own; two workers of half a core each have room in what is left.
    const autoscaler = await startAutoscaler(project, { host: { ...ROOMY, cores: 1.5 } });
    try {
      await Promise.all(Array.from({ length: 8 }, (_, index) => jobs.add(`job ${index}`, 500)));
      await eventually(async () => expect(await jobs.ended()).toHaveLength(8), { timeoutMs: 30_000 });
      await eventually(async () => expect(await states(project)).toEqual([]), { timeoutMs: 30_000 });
      expect(most).toBe(2);
    } finally {
      stop.abort();
      await following;
      await autoscaler.stop();
      await jobs.close();
    }
  });
});

test('a worker that is kept stopped stays so whatever its restart policy, and the next job starts it', { timeout: 90_000 }, async () => {
  const files = workerProject({ tier: { warm: 'stopped' }, service: { restart: 'always' } });
  await withProject('scale warm', { files }, async (project) => {
    expect((await project.compose(['up', '-d'])).code).toBe(0);
    const jobs = await openJobs(project);
    const autoscaler = await startAutoscaler(project);
    try {
      await eventually(async () => expect(await states(project)).toEqual(['exited']), { timeoutMs: 20_000 });
      const [kept] = await project.containers('worker');
      await sleep(2000);
      expect(await states(project)).toEqual(['exited']);
      await eventually(async () => {
        // With `always` the engine would start it when it starts itself.
        expect((await project.inspect(kept?.Id ?? '')).HostConfig.RestartPolicy.Name).toBe('unless-stopped');
      });
      await jobs.add('job');
      await eventually(async () => expect(await jobs.ended()).toHaveLength(1), { timeoutMs: 20_000 });
      expect((await project.containers('worker')).map(({ Id }) => Id)).toEqual([kept?.Id]);
    } finally {
      await autoscaler.stop();
      await jobs.close();
    }
  });
});
