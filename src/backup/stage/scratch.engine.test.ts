import { randomBytes } from 'node:crypto';
import { expect, test } from 'vitest';
import { openDocker } from '../../docker/api.ts';
import { run } from '../../kit/spawn.ts';
import { removeScratch, scratchLabels } from './scratch.ts';

test('commands that clear away the same at the same time do not get into each other’s way', async () => {
  const docker = openDocker();
  const id = randomBytes(4).toString('hex');
  const labels = Object.entries(scratchLabels(id)).flatMap(([key, value]) => ['--label', `${key}=${value}`]);
  const name = `composure-test-scratch-${id}`;
  for (const args of [
    ['network', 'create', ...labels, name],
    ['volume', 'create', ...labels, name],
    ['run', '--detach', '--network', name, '--volume', `${name}:/data`, ...labels, '--name', name, 'busybox:1', 'sleep', '1000'],
  ])
    expect(await run('docker', args)).toMatchObject({ code: 0 });
  await Promise.all([1, 2, 3].map(() => removeScratch(docker, id)));
  expect(await docker.findContainer(name)).toBeUndefined();
  expect(await docker.findVolume(name)).toBeUndefined();
  expect((await run('docker', ['network', 'ls', '--quiet', '--filter', `name=${name}`])).stdout).toBe('');
});
