import { expect, test } from 'vitest';
import { allCommands, buildProgram } from '../../src/cli/program.ts';
import { withProject } from '../support/scenario.ts';
import { site, stack } from '../support/stacks.ts';

/** In the order of a project's life; `fields` are what a script would look for. */
const LIFE: [line: string, fields: string[]][] = [
  ['plan', ['plan']],
  ['autoscale export', ['project', 'scaledObjects']],
  ['edge start --dry-run', ['name', 'running', 'httpPort']],
  ['deploy --yes', ['project', 'changed', 'release', 'durationMs', 'services']],
  ['deploy --yes', ['project', 'changed']],
  ['deploy --yes --wait 10s', ['project', 'changed', 'release']],
  ['deploy --dry-run', ['plan']],
  ['status', ['project', 'release', 'edge', 'services']],
  ['releases', ['project', 'releases']],
  ['recover --dry-run', ['project', 'recovered', 'text']],
  ['recover', ['project', 'recovered', 'text']],
  ['rollback --dry-run', ['plan']],
  ['rollback --yes', ['project', 'changed', 'release', 'kind', 'of']],
  ['edge status', ['name', 'running', 'servers', 'certificates']],
  ['edge start', ['name', 'running', 'httpPort']],
  ['edge certificates --dry-run', ['certificates']],
  ['autoscale export', ['project', 'scaledObjects']],
  ['autoscale status', ['running', 'tiers']],
  ['autoscale pause', ['project', 'agent', 'pause']],
  ['autoscale resume --dry-run', ['project', 'agent', 'pause']],
  ['autoscale replay --hours 1', ['events', 'differences']],
  ['simulate --scenario reference --workload minutely --hours 1', ['scenario', 'workload', 'seed', 'reports']],
  ['agent status', ['running', 'warnings']],
  ['agent install --container --dry-run', ['action', 'form', 'steps', 'changed']],
  ['agent thaw', ['thawed']],
  ['edge upgrade --dry-run', ['from', 'to']],
  ['edge upgrade', ['name', 'container', 'haproxy']],
  ['edge stop --dry-run', ['routes']],
  ['down --dry-run', ['project', 'containers', 'routes', 'volumes']],
  ['down --yes', ['project', 'down']],
  ['edge stop --yes', ['name', 'running']],
  ['help errors', ['errors']],
];

test('with --json every command prints one JSON object, and its progress as JSON lines on stderr', async () => {
  await withProject('json', { files: {} }, async (p) => {
    await p.write('compose.yaml', stack(p, { web: await site(p, { VERSION: 1 }) }));
    for (const [line, fields] of LIFE) {
      if (line.includes('--wait')) await p.write('compose.yaml', stack(p, { web: await site(p, { VERSION: 2 }) }));
      const { code, out, err } = await p.composure([...line.split(' '), '--json']);
      expect(code, `${line}: ${out}${err}`).toBe(0);
      expect(out.trim().split('\n'), line).toHaveLength(1);
      const result = JSON.parse(out);
      for (const field of fields) expect(result, line).toHaveProperty(field);
      for (const event of err.split('\n').filter(Boolean)) expect(JSON.parse(event), line).toHaveProperty('kind');
      if (line === 'status') {
        const logs = await p.composure(['logs', '--tail', '5', '--json']);
        const lines = logs.out
          .trim()
          .split('\n')
          .map((text) => JSON.parse(text));
        expect(lines.some(({ stream, text }) => stream === 'stdout' && /version 2 listens/.test(text))).toBe(true);
      }
    }
    expect(await p.containers()).toEqual([]);
    expect(await p.edgeContainers()).toEqual([]);
  });
});

/**
 * What needs a scaled service, an agent, a file of secrets or a repository of backups has its own tests: test/scenarios/scaled.test.ts,
 * src/agent/installation/container.engine.test.ts, test/cli/secrets.test.ts, test/scenarios/backup-run.test.ts, restore.test.ts, rebuild.test.ts.
 */
const ELSEWHERE = [
  'autoscale explain',
  'scale',
  'agent uninstall',
  'agent logs',
  ...['set', 'get', 'list', 'rm', 'import', 'exec', 'identity'].map((name) => `secrets ${name}`),
  ...['run', 'status', 'list', 'show', 'drill', 'init', 'verify', 'prune', 'unlock', 'restore', 'kit', 'export'].map(
    (name) => `backup ${name}`,
  ),
  'rebuild',
  ...['list', 'add', 'rm', 'sync'].map((name) => `recipients ${name}`),
];

test('the life above has every command that ends by itself', () => {
  const names = allCommands(buildProgram())
    .filter((command) => command.commands.length === 0)
    .map((command) => (command.parent?.parent ? `${command.parent.name()} ${command.name()}` : command.name()));
  const covered = new Set([...LIFE.map(([line]) => names.find((name) => `${line} `.startsWith(`${name} `))), 'logs']);
  expect(names.filter((name) => !covered.has(name)).sort()).toEqual([...ELSEWHERE, 'agent run'].sort());
});
