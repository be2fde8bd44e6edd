import { expect, test } from 'vitest';
import { eventually } from '../../test/support/eventually.ts';
import { withProject } from '../../test/support/scenario.ts';
import { openJobs, startAutoscaler, workerProject } from '../../test/support/worker.ts';

test('a worker that the autoscaler makes has the secrets and configs that Compose puts in at a start', { timeout: 90_000 }, async () => {
  const files = workerProject({ service: { secrets: ['token'], configs: [{ source: 'settings', target: '/etc/app/settings.conf' }] } });
  const model = JSON.parse(files['compose.yaml'] ?? '');
  const whole = { ...model, secrets: { token: { environment: 'TOKEN' } }, configs: { settings: { content: 'mode=$$fast' } } };
  await withProject(
    'scale injected',
    { files: { 'compose.yaml': JSON.stringify(whole) }, env: { TOKEN: 'only-for-workers' } },
    async (project) => {
      expect((await project.compose(['up', '-d'])).code).toBe(0);
      const jobs = await openJobs(project);
      const autoscaler = await startAutoscaler(project);
      try {
        await Promise.all(Array.from({ length: 3 }, (_, index) => jobs.add(`job ${index}`, 8000)));
        const workers = await eventually(
          async () => {
            const found = (await project.containers('worker')).filter(({ State }) => State === 'running');
            expect(found).toHaveLength(3);
            return found;
          },
          { timeoutMs: 20_000 },
        );
        for (const { Id } of workers) {
          const seen = await project.docker([
            'exec',
            Id,
            'sh',
            '-c',
            'stat -c "%n %a" /run/secrets/token; cat /run/secrets/token /etc/app/settings.conf',
          ]);
          expect([seen.code, seen.stdout]).toEqual([0, '/run/secrets/token 444\nonly-for-workersmode=$fast']);
        }
      } finally {
        await autoscaler.stop();
        await jobs.close();
      }
    },
  );
});

test('without a container that has them, none is made and it is said why', { timeout: 60_000 }, async () => {
  const model = JSON.parse(workerProject({ service: { secrets: ['token'] } })['compose.yaml'] ?? '');
  const file = JSON.stringify({ ...model, secrets: { token: { environment: 'TOKEN' } } });
  await withProject('scale not injected', { files: { 'compose.yaml': file }, env: { TOKEN: 'x' } }, async (project) => {
    expect((await project.compose(['up', '-d', 'redis'])).code).toBe(0);
    const jobs = await openJobs(project);
    const autoscaler = await startAutoscaler(project);
    try {
      await jobs.add('job');
      await eventually(() => expect(autoscaler.said.join('\n')).toContain('Compose puts /run/secrets/token into each container of worker'));
      expect(await project.containers('worker')).toEqual([]);
    } finally {
      await autoscaler.stop();
      await jobs.close();
    }
  });
});
