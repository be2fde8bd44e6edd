import { expect, test } from 'vitest';
import { eventually } from '../../test/support/eventually.ts';
import { type ScenarioProject, withProject } from '../../test/support/scenario.ts';
import { openJobs, startAutoscaler, workerProject } from '../../test/support/worker.ts';

const states = async (project: ScenarioProject) => (await project.containers('worker')).map(({ State }) => State).sort();

test('from nothing: a job brings a container that Compose takes for its own, and without jobs it goes again', {
  timeout: 90_000,
}, async () => {
  await withProject('scale cold', { files: workerProject() }, async (project) => {
    expect((await project.compose(['up', '-d', 'redis'])).code).toBe(0);
    const jobs = await openJobs(project);
    const autoscaler = startAutoscaler(project);
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
    const autoscaler = startAutoscaler(project);
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
      console.log('waits', waits);
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
