import { fork } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { readFile, rm } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { run } from '../../src/kit/spawn.ts';
import { buildTestApp } from './app.ts';
import { eventually } from './eventually.ts';
import { freePort, releasePort } from './ports.ts';
import { removeLeftovers } from './registry.ts';
import { type ScenarioProject, withProject } from './scenario.ts';

const compose = (image: string, port: number) => `
services:
  web:
    image: ${image}
    environment: {VERSION: "1"}
    ports: ["127.0.0.1:${port}:3000"]
    volumes: ["data:/data"]
volumes: {data: {}}
`;

const left = async (name: string) =>
  (await run('docker', ['ps', '-a', '-q', '--filter', `label=com.docker.compose.project=${name}`])).stdout;

test('a project runs, takes load, and leaves nothing', { timeout: 60_000 }, async () => {
  const image = await buildTestApp();
  let kept: ScenarioProject | undefined;
  await withProject('support works', { files: (facts) => ({ 'compose.yaml': compose(image, facts.httpPort) }) }, async (p) => {
    kept = p;
    const up = await p.compose(['up', '-d', '--wait']);
    expect(up.stderr).toContain('Healthy');
    expect((await p.containers('web')).map((container) => container.State)).toEqual(['running']);
    const load = await p.load({ mix: { keepAliveGet: 2, post: 1, newConnections: 1, slow: 1, webSockets: 1, sse: 1 }, slowMs: 300 });
    await load.waitForVersion('1', 5000);
    await eventually(async () => expect((await load.snapshot()).ok).toBeGreaterThan(20));
    expect(await load.stop()).toMatchObject({ failed: 0, failures: [], streams: { opened: 2, cut: 0 } });
  });
  expect(kept && (await left(kept.name))).toBe('');
  expect((await run('docker', ['volume', 'ls', '-q', '--filter', `label=com.docker.compose.project=${kept?.name}`])).stdout).toBe('');
  expect((await run('docker', ['network', 'ls', '-q', '--filter', `label=com.docker.compose.project=${kept?.name}`])).stdout).toBe('');
  expect(existsSync(kept?.folder ?? '')).toBe(false);
});

test('a failing scenario keeps what explains it, and leaves nothing', { timeout: 60_000 }, async () => {
  const image = await buildTestApp();
  let name = '';
  const scenario = withProject('support fails', { files: (facts) => ({ 'compose.yaml': compose(image, facts.httpPort) }) }, async (p) => {
    name = p.name;
    await p.compose(['up', '-d', '--wait']);
    throw new Error('as intended');
  });
  await expect(scenario).rejects.toThrow('as intended');
  const folder = fileURLToPath(new URL(`../../artifacts/${name}/`, import.meta.url));
  expect(await readFile(`${folder}error.txt`, 'utf8')).toContain('as intended');
  expect(await readFile(`${folder}${name}-web-1.log`, 'utf8')).toContain('version 1 listens on 3000');
  expect(await readFile(`${folder}project/compose.yaml`, 'utf8')).toContain(image);
  expect(await left(name)).toBe('');
  await rm(folder, { recursive: true });
});

test('what a killed test process has left is removed by the next', { timeout: 60_000 }, async () => {
  const child = fork(fileURLToPath(new URL('./abandoned.fixture.ts', import.meta.url)), [], { execArgv: [] });
  const [name] = (await once(child, 'message')) as [string];
  child.kill('SIGKILL');
  await once(child, 'exit');
  expect(await left(name)).not.toBe('');
  expect(await removeLeftovers(undefined)).toContain(name);
  expect(await left(name)).toBe('');
});

test('ports are handed out once', async () => {
  const ports = await Promise.all(Array.from({ length: 50 }, freePort));
  expect(new Set(ports).size).toBe(50);
  ports.forEach(releasePort);
});
