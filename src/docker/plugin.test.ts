import { chmod, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { composeCommand } from './plugin.ts';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'composure-plugin-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

async function program(path: string): Promise<string> {
  await mkdir(join(path, '..'), { recursive: true });
  await writeFile(path, '#!/bin/sh\n');
  await chmod(path, 0o755);
  return path;
}

test('the plugin of the user comes before one that the configuration names', async () => {
  await program(join(folder, 'bin', 'docker'));
  const named = await program(join(folder, 'extra', 'docker-compose'));
  const env = { PATH: join(folder, 'bin'), DOCKER_CONFIG: join(folder, 'config') };
  await mkdir(env.DOCKER_CONFIG);
  await writeFile(join(env.DOCKER_CONFIG, 'config.json'), JSON.stringify({ cliPluginsExtraDirs: [join(folder, 'extra')] }));
  expect(composeCommand(env)).toEqual({ program: named, prefix: [] });
  const own = await program(join(env.DOCKER_CONFIG, 'cli-plugins', 'docker-compose'));
  expect(composeCommand(env)).toEqual({ program: own, prefix: [] });
});

test('without the docker command its plugins are not used', async () => {
  await program(join(folder, 'config', 'cli-plugins', 'docker-compose'));
  expect(composeCommand({ PATH: join(folder, 'bin'), DOCKER_CONFIG: join(folder, 'config') })).toEqual({
    program: 'docker',
    prefix: ['compose'],
  });
});
