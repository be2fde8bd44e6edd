import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { eventually } from '../../test/support/eventually.ts';
import { readResults } from '../backup/proven.ts';
import { type Chosen, readRegistration, registerBackups } from '../backup/registration.ts';
import { appendHistory } from '../backup/run/history.ts';
import { openDocker } from '../docker/api.ts';
import type { RunResult } from '../kit/spawn.ts';
import type { BackupSettings, Project } from '../project/model.ts';
import { commandOf, lastWords, projectsWithBackups, runBackups, type StartCommand } from './backups.ts';

let state: string;
beforeEach(async () => {
  state = await mkdtemp(join(tmpdir(), 'composure-agent-backups-'));
});
afterEach(() => rm(state, { recursive: true, force: true }));

const settings: BackupSettings = { repository: '/mnt/backup', schedule: '0 3 * * *', timezone: 'UTC', keep: {}, secrets: [] };

function register(
  name: string,
  backup: BackupSettings | undefined = settings,
  chosen: Chosen = {},
  since = '2026-11-24T00:00:00Z',
): Promise<void> {
  const project = { name, folder: `/srv/${name}`, settings: backup ? { backup } : {} } as Project;
  return registerBackups(state, project, chosen, new Date(since));
}

/** The agent's loop at a time that stands still, until `enough` is so. Answers the command lines that it started and what it said. */
async function loop(
  now: string,
  start: (line: string) => Promise<Partial<RunResult>>,
  enough: (started: string[]) => void | Promise<void>,
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
    docker: openDocker('/nowhere.sock'),
    report: (event) => void ('text' in event && said.push(event.text)),
    signal: stop.signal,
    start: command,
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

test('command lines of the jobs', () => {
  const args = ['-f', '/srv/a b/compose.yaml', '-p', 'shop'];
  expect(commandOf({ args }, 'run')).toEqual(['backup', 'run', '--json', '--wait', '2h', ...args]);
  expect(commandOf({ args }, 'prune')).toEqual(['backup', 'prune', '--json', '--wait', '2h', '--yes', ...args]);
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
