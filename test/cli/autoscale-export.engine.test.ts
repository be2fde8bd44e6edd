import { mkdtemp, realpath, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { parseAllDocuments } from 'yaml';
import { main } from '../../src/cli/main.ts';

let cwd: string;
beforeAll(async () => {
  cwd = await realpath(await mkdtemp(join(tmpdir(), 'composure-export-')));
  const scaled = (list: string, more = '') =>
    `{image: x, deploy: {resources: {limits: {memory: 64M}}}, x-autoscale: {triggers: [{type: redis, metadata: {address: "redis:6379", listName: ${list}}}]${more}}}`;
  await writeFile(
    join(cwd, 'compose.yaml'),
    `name: shop\nservices:\n  web: {image: x}\n  mail: ${scaled('mail')}\n  report: ${scaled('report', ', maxReplicaCount: 2, tier: {class: heavy}')}\n`,
  );
});
afterAll(() => rm(cwd, { recursive: true, force: true }));

async function composure(...argv: string[]): Promise<{ code: number; out: string; err: string }> {
  const said = { out: '', err: '' };
  const env = { ...process.env, COMPOSURE_STATE_DIR: join(cwd, 'state') };
  const code = await main(argv, {
    cwd,
    env,
    stdout: (text) => {
      said.out += text;
    },
    stderr: (text) => {
      said.err += text;
    },
    isTTY: false,
  });
  return { code, ...said };
}

test('all scaled services are written, one document each, and what was assumed is said beside it', async () => {
  const { code, out, err } = await composure('autoscale', 'export');
  expect(code).toBe(0);
  const objects = parseAllDocuments(out).map(
    (document) => document.toJS() as { metadata: { name: string }; spec: { maxReplicaCount: number } },
  );
  expect(objects.map(({ metadata }) => metadata.name)).toEqual(['mail', 'report']);
  expect(objects[0]?.spec.maxReplicaCount).toBeGreaterThan(0);
  expect(objects[1]?.spec.maxReplicaCount).toBe(2);
  expect(err).toContain('warning: service mail has no deploy.resources.limits.cpus: 1 CPU is assumed');
});

test('a chosen service, as JSON', async () => {
  const { code, out } = await composure('autoscale', 'export', 'report', '--json');
  expect(code).toBe(0);
  expect(JSON.parse(out)).toMatchObject({
    project: 'shop',
    scaledObjects: [
      {
        service: 'report',
        object: { kind: 'ScaledObject', spec: { maxReplicaCount: 2, triggers: [{ metadata: { listName: 'report', listLength: '1' } }] } },
        notes: expect.arrayContaining([expect.stringContaining('terminationGracePeriodSeconds')]),
      },
    ],
  });
});

test('a service that is not scaled, or not there, is refused by name', async () => {
  const unscaled = await composure('autoscale', 'export', 'web');
  expect(unscaled.code).toBe(3);
  expect(unscaled.err).toContain(
    'error: the service web has no x-autoscale\n  at compose.yaml:3:3\n  next: services that are scaled: mail, report\n',
  );
  expect((await composure('autoscale', 'export', 'nobody')).err).toContain('error: the project shop has no service nobody');
});

test('a project without scaled services says so, and nothing that kubectl would apply', async () => {
  await writeFile(join(cwd, 'plain.yaml'), 'name: shop\nservices:\n  web: {image: x}\n');
  const { code, out } = await composure('autoscale', 'export', '-f', 'plain.yaml');
  expect([code, out]).toEqual([0, '# no service of shop has x-autoscale\n']);
});
