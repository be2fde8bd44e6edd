import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { run } from '../../kit/spawn.ts';
import type { Wanted } from './model.ts';
import { unitText, unitWord } from './unit.ts';

const wanted: Wanted = {
  form: 'systemd',
  name: 'composure-agent',
  state: '/var/lib/composure',
  owner: { uid: 0, gid: 0 },
  socket: { path: '/var/run/docker.sock', gid: 998 },
  node: '/usr/bin/node',
  script: '/usr/lib/node_modules/composure/bin/composure.js',
  version: '1.0.0',
  image: '',
  builds: false,
};

test('the unit of an ordinary host', async () => {
  await expect(unitText(wanted)).toMatchFileSnapshot('unit.golden.service');
});

test('as another user, with odd paths, the state folder where PrivateTmp would hide it', () => {
  const lines = unitText({
    ...wanted,
    owner: { uid: 1000, gid: 100 },
    state: '/tmp/the state "x" 100%',
    metrics: '/var/lib/node exporter',
    node: '/opt/$node/bin/node',
  }).split('\n');
  expect(lines).toEqual(
    expect.arrayContaining([
      'ExecStart="/opt/$$node/bin/node" /usr/lib/node_modules/composure/bin/composure.js agent run',
      'ReadWritePaths="/tmp/the state \\"x\\" 100%%" "/var/lib/node exporter"',
      'Environment="COMPOSURE_METRICS_DIR=/var/lib/node exporter"',
      'Environment="COMPOSURE_STATE_DIR=/tmp/the state \\"x\\" 100%%" DOCKER_HOST=unix:///var/run/docker.sock COMPOSURE_AGENT_FORM=systemd',
      'Environment=NODE_OPTIONS=--max-semi-space-size=1 MALLOC_ARENA_MAX=1 MALLOC_TRIM_THRESHOLD_=65536',
      'User=1000',
      'Group=100',
      'SupplementaryGroups=998',
      'CapabilityBoundingSet=',
    ]),
  );
  expect(lines).not.toContain('PrivateTmp=yes');
});

test.each([
  ['/usr/bin/node', '/usr/bin/node'],
  ['two words', '"two words"'],
  ['a"b\\c', '"a\\"b\\\\c"'],
  ['50%', '"50%%"'],
])('a word of a unit: %s', (text, expected) => {
  expect(unitWord(text)).toBe(expected);
});

const analyze = (await run('systemd-analyze', ['--version'])).code === 0;

test.skipIf(!analyze)('systemd itself takes the unit as it is, and finds little that could be taken from it', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'composure-unit-'));
  try {
    const path = join(folder, 'composure-agent.service');
    // What is run has to exist for systemd to be content.
    await writeFile(path, unitText({ ...wanted, node: process.execPath, script: import.meta.filename, state: folder }));
    const verified = await run('systemd-analyze', ['verify', '--man=no', path]);
    expect(`${verified.stdout}${verified.stderr}`.split('\n').filter((line) => line.includes('composure-agent'))).toEqual([]);
    const rated = await run('systemd-analyze', ['security', '--offline=yes', '--no-pager', path]);
    const exposure = /Overall exposure level for \S+: ([\d.]+)/.exec(rated.stdout)?.[1];
    expect(Number(exposure)).toBeLessThan(4);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});
