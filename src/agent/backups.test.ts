import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { eventually } from '../../test/support/eventually.ts';
import type { BackupResult } from '../backup/model.ts';
import { readResults } from '../backup/proven.ts';
import { type Chosen, noteDown, readRegistration, registerBackups } from '../backup/registration.ts';
import { appendHistory } from '../backup/run/history.ts';
import { type Docker, openDocker } from '../docker/api.ts';
import type { RunResult } from '../kit/spawn.ts';
import type { BackupSettings, Project, ServiceBackup } from '../project/model.ts';
import { commandOf, lastWords, projectsWithBackups, runBackups, type StartCommand } from './backups.ts';

let state: string;
/** A webhook's other end. */
let told: { address: string; bodies: unknown[] };
let hook: Server;
beforeEach(async () => {
  state = await mkdtemp(join(tmpdir(), 'composure-agent-backups-'));
  const bodies: unknown[] = [];
  hook = createServer(async (request, response) => {
    bodies.push(JSON.parse((await request.toArray()).join('')));
    response.end();
  });
  await new Promise<void>((resolve) => hook.listen(0, '127.0.0.1', resolve));
  told = { address: `http://127.0.0.1:${(hook.address() as AddressInfo).port}/token`, bodies };
});
afterEach(async () => {
  hook.close();
  await rm(state, { recursive: true, force: true });
});

const settings: BackupSettings = { repository: '/mnt/backup', schedule: '0 3 * * *', timezone: 'UTC', keep: {}, secrets: [] };

function register(
  name: string,
  backup: BackupSettings | undefined = settings,
  chosen: Chosen = {},
  since = '2026-11-24T00:00:00Z',
  services: Record<string, ServiceBackup> = {},
): Promise<void> {
  const found = Object.entries(services).map(([service, own]) => [service, { name: service, backup: own }]);
  const project = { name, folder: `/srv/${name}`, settings: backup ? { backup } : {}, services: Object.fromEntries(found) } as Project;
  return registerBackups(state, project, chosen, new Date(since));
}

/** The agent's loop at a time that stands still, until `enough` is so. Answers the command lines that it started and what it said. */
async function loop(
  now: string,
  start: (line: string) => Promise<Partial<RunResult>>,
  enough: (started: string[]) => void | Promise<void>,
  docker: Docker = openDocker('/nowhere.sock'),
): Promise<{ started: string[]; said: string[]; mostAtOnce: number }> {
  const stop = new AbortController();
  const started: string[] = [];
  const said: string[] = [];
  let atOnce = 0;
  let mostAtOnce = 0;
  const command: StartCommand = async (args, { cwd, onLine }) => {
    started.push(`${cwd}: ${args.join(' ')}`);
    mostAtOnce = Math.max(mostAtOnce, ++atOnce);
    onLine('{"kind":"step-start","step":"a","text":"save a"}');
    onLine('{"kind":"warning","text":"a volume is empty"}');
    const answer = { code: 0, stdout: '', stderr: '', ...(await start(args.join(' '))) };
    atOnce--;
    return answer;
  };
  const running = runBackups({
    stateFolder: state,
    docker,
    report: (event) => void ('text' in event && said.push(event.text)),
    signal: stop.signal,
    start: command,
    addresses: async ({ project }) => {
      if (project === 'closed') throw new Error('there is no identity');
      return { HOOK: told.address };
    },
    now: () => new Date(now),
    everyMs: 5,
  });
  try {
    await eventually(() => enough(started), { everyMs: 5 });
    // Time for a command too many.
    await new Promise((resolve) => setTimeout(resolve, 50));
  } finally {
    stop.abort();
    await running;
  }
  return { started, said, mostAtOnce };
}

test('a project is registered as it was chosen, keeps when it was first known, and is forgotten without a schedule', async () => {
  await register('shop', settings, { file: ['/srv/shop/compose.yaml'], env: 'prod', profile: ['jobs'] });
  await register('shop', { ...settings, cpus: 1 }, { env: 'prod' }, '2026-12-01T00:00:00Z');
  const known = await readRegistration(state, 'shop');
  expect(known).toMatchObject({ since: '2026-11-24T00:00:00.000Z', settings: { cpus: 1 }, args: ['--env', 'prod', '-p', 'shop'] });
  await register('shop', { ...settings, schedule: '0 4 * * *' }, {}, '2026-12-02T00:00:00Z');
  expect((await readRegistration(state, 'shop'))?.since).toBe('2026-12-02T00:00:00.000Z');
  expect(await projectsWithBackups(state)).toEqual(['shop']);
  const { schedule: _none, ...unplanned } = settings;
  await register('shop', unplanned);
  expect(await projectsWithBackups(state)).toEqual([]);
});

const alone = (schedule: string, more: Partial<ServiceBackup> = {}): ServiceBackup => ({
  skip: false,
  exclude: [],
  consistency: 'none',
  empty: false,
  schedule,
  ...more,
});

test('a service with a schedule of its own is registered, with the project’s schedule or without', async () => {
  const { schedule: _none, ...unplanned } = settings;
  await register('shop', unplanned, {}, '2026-12-01T00:00:00Z', { db: alone('0 * * * *'), web: alone('0 * * * *', { skip: true }) });
  expect(await readRegistration(state, 'shop')).toMatchObject({ since: '2026-12-01T00:00:00.000Z', services: { db: '0 * * * *' } });
  await register('shop', unplanned, {}, '2026-12-02T00:00:00Z', { db: alone('0 * * * *') });
  expect((await readRegistration(state, 'shop'))?.since).toBe('2026-12-01T00:00:00.000Z');
  await register('shop', unplanned, {}, '2026-12-03T00:00:00Z', { db: alone('30 * * * *') });
  expect((await readRegistration(state, 'shop'))?.since).toBe('2026-12-03T00:00:00.000Z');
});

test('a service alone is saved at its own times, and how that went is noted apart', async () => {
  await register('shop', settings, {}, '2026-11-24T00:00:00Z', { db: alone('0 * * * *') });
  const answer = { code: 4, stdout: JSON.stringify({ error: { code: 'PROJECT_INVALID', message: 'the compose file is no YAML' } }) };
  const { started, said } = await loop(
    '2026-11-24T01:00:10Z',
    async () => answer,
    async () => expect(await readResults(state, 'shop')).toHaveLength(1),
  );
  expect(started).toEqual(['/srv/shop: backup run --json --wait 2h --only db -p shop']);
  expect(said).toContain('shop: backup run of db failed: the compose file is no YAML');
  expect(await readResults(state, 'shop')).toMatchObject([
    { kind: 'run', only: ['db'], ok: false, message: 'the compose file is no YAML' },
  ]);
});

test('command lines of the jobs', () => {
  const args = ['-f', '/srv/a b/compose.yaml', '-p', 'shop'];
  expect(commandOf({ args }, { job: 'run' })).toEqual(['backup', 'run', '--json', '--wait', '2h', ...args]);
  expect(commandOf({ args }, { job: 'prune' })).toEqual(['backup', 'prune', '--json', '--wait', '2h', '--yes', ...args]);
  expect(commandOf({ args }, { job: 'run', service: 'db' })).toEqual(['backup', 'run', '--json', '--wait', '2h', '--only', 'db', ...args]);
});

test('what a command said last, as a failure or not', () => {
  const failure = JSON.stringify({ error: { code: 'BACKUP_FAILED', message: 'no space' } });
  expect(lastWords({ stdout: `${failure}\n`, stderr: '{"kind":"note","text":"x"}\n' })).toBe('no space');
  expect(lastWords({ stdout: '', stderr: '{"kind":"note","text":"x"}\nthis is a bug\n  at x\n' })).toBe('this is a bug');
  expect(lastWords({ stdout: '', stderr: '' })).toBe('it was killed');
});

test('what is due of all projects is started once, one at a time, with its warnings', async () => {
  await register('shop');
  await register('blog');
  const done = async (line: string): Promise<object> => {
    const name = line.split(' ').at(-1) ?? '';
    const at = '2026-11-24T03:00:01.000Z';
    await appendHistory(state, name, {
      kind: 'run',
      scheduled: true,
      startedAt: at,
      endedAt: new Date().toISOString(),
      ok: true,
      numbers: {},
    });
    return {};
  };
  const { started, said, mostAtOnce } = await loop('2026-11-24T03:00:10Z', done, (lines) => expect(lines).toHaveLength(2));
  expect(started.sort()).toEqual(['/srv/blog: backup run --json --wait 2h -p blog', '/srv/shop: backup run --json --wait 2h -p shop']);
  expect(mostAtOnce).toBe(1);
  expect(said).toContain('shop: a volume is empty');
  expect(said).toContain('shop: backup run went well');
});

test('a project that is down on purpose is not saved until it has containers again; checks and drills go on', async () => {
  await register('shop', { ...settings, verify: { schedule: '30 5 * * *', parts: 7 } });
  const saved = {
    kind: 'run',
    scheduled: true,
    ok: true,
    numbers: {},
    startedAt: '2026-11-23T03:00:00.000Z',
    endedAt: '2026-11-23T03:01:00.000Z',
  };
  await appendHistory(state, 'shop', saved as BackupResult);
  await appendHistory(state, 'shop', {
    ...saved,
    kind: 'prune',
    startedAt: '2026-11-23T04:00:00.000Z',
    endedAt: '2026-11-23T04:00:00.000Z',
  } as BackupResult);
  await noteDown(state, 'shop', new Date('2026-11-23T10:00:00Z'));
  // A command that reads the file leaves it as it is.
  await register('shop', { ...settings, verify: { schedule: '30 5 * * *', parts: 7 } });
  const containers: { Id: string }[] = [];
  const engine = { listContainers: async () => containers } as unknown as Docker;
  const down = await loop(
    '2026-11-24T06:00:00Z',
    async () => ({}),
    (lines) => expect(lines).toHaveLength(1),
    engine,
  );
  expect(down.started).toEqual(['/srv/shop: backup verify --json --wait 2h -p shop']);
  containers.push({ Id: 'a' });
  const up = await loop(
    '2026-11-24T06:00:10Z',
    async () => ({}),
    (lines) => expect(lines.length).toBeGreaterThan(0),
    engine,
  );
  expect(up.started[0]).toBe('/srv/shop: backup run --json --wait 2h -p shop');
  expect(up.said).toContain('shop is up again, and so are its scheduled backups');
  expect((await readRegistration(state, 'shop'))?.downSince).toBeUndefined();
});

test('what a command could not tell itself, the agent tells; where nobody can be told, it says so', async () => {
  const notify = [{ kind: 'webhook' as const, secret: 'HOOK' }];
  await register('shop', { ...settings, notify });
  await register('closed', { ...settings, notify });
  const answer = { code: 4, stdout: JSON.stringify({ error: { code: 'PROJECT_INVALID', message: 'the compose file is no YAML' } }) };
  const { said } = await loop(
    '2026-11-24T03:00:10Z',
    async () => answer,
    async () => {
      expect(await readResults(state, 'closed')).toHaveLength(1);
      expect(told.bodies).toHaveLength(1);
    },
  );
  expect(told.bodies[0]).toMatchObject({ event: 'failed', project: 'shop', kind: 'run', message: 'the compose file is no YAML' });
  expect(said).toContain('closed: nobody could be told: there is no identity');
  expect(said.join('\n')).not.toContain(told.address);
});

test('a command that came to nothing is noted by the agent, and not tried again until its next time', async () => {
  await register('shop');
  const answer = { code: 4, stdout: JSON.stringify({ error: { code: 'IDENTITY_MISSING', message: 'there is no identity' } }) };
  const { started, said } = await loop(
    '2026-11-24T03:00:10Z',
    async () => answer,
    async () => expect(await readResults(state, 'shop')).toHaveLength(1),
  );
  expect(started).toHaveLength(1);
  expect(said).toContain('shop: backup run failed: there is no identity');
  expect(await readResults(state, 'shop')).toMatchObject([{ kind: 'run', scheduled: true, ok: false, message: 'there is no identity' }]);
});
