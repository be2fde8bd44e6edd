import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { openDocker } from '../../docker/api.ts';
import { COMPOSE, OURS } from '../../docker/labels.ts';
import { run } from '../../kit/spawn.ts';
import { endKilledRestore } from './heal.ts';
import { type Begin, type RestoreEntry, restoreJournalPath } from './journal.ts';
import type { RestorePlan } from './model.ts';
import { clearForgotten, prepare } from './scratch.ts';
import { putNew } from './swap.ts';
import { openRestoreJournal, type SwapWorld, swapIn } from './swap-in.ts';

const FIXTURE = fileURLToPath(new URL('swap-in.fixture.ts', import.meta.url));
const docker = openDocker();

let name = '';
let top = '';
let world: SwapWorld;
let begin: Begin;
let notes: string[] = [];
let warnings: string[] = [];

/** A service with a volume and a folder, which is healthy only while it sees no file called "bad". */
beforeEach(async () => {
  name = `composure-test-swap-${randomBytes(3).toString('hex')}`;
  top = await mkdtemp(join(tmpdir(), 'composure-swap-in-'));
  notes = [];
  warnings = [];
  world = {
    docker,
    stateFolder: join(top, 'state'),
    project: { name, services: { app: { name: 'app', dependsOn: {}, environment: {} } } } as unknown as SwapWorld['project'],
    report: (event) => {
      if (event.kind === 'note') notes.push(event.text);
      if (event.kind === 'warning') warnings.push(event.text);
    },
    signal: new AbortController().signal,
  };
  const folder = join(top, 'shared');
  await mkdir(folder);
  await docker.createVolume(`${name}_data`, { [COMPOSE.project]: name });
  const labels = Object.entries({ [COMPOSE.project]: name, [COMPOSE.service]: 'app', [COMPOSE.number]: '1', [COMPOSE.oneoff]: 'False' });
  const made = await run('docker', [
    ...['run', '--detach', '--name', `${name}-app-1`, '--volume', `${name}_data:/data`, '--volume', `${folder}:/shared`],
    ...labels.flatMap(([key, value]) => ['--label', `${key}=${value}`]),
    ...['--stop-signal', 'SIGKILL', '--health-cmd', 'test ! -e /data/bad', '--health-interval', '200ms', '--health-retries', '1'],
    ...['busybox:1', 'sh', '-c', 'echo started >> /data/log; sleep 1000'],
  ]);
  expect(made.stderr).toBe('');
  await writeFile(join((await docker.findVolume(`${name}_data`))?.Mountpoint ?? '', 'file'), 'old');
  await writeFile(join(folder, 'file'), 'old');
  const place = (target: string, live: RestorePlan['units'][number]['places'][number]['saved']) => ({
    service: 'app',
    target,
    saved: live,
    live,
  });
  const unit = {
    kind: 'files' as const,
    service: 'app',
    title: 'files of app',
    stores: [],
    places: [place('/data', { volume: `${name}_data` }), place('/shared', { folder })],
  };
  ({ begin } = await prepare(docker, {
    project: name,
    id: 'abc123',
    set: 'S',
    savedAt: '',
    units: [unit],
    stops: [],
    stopSeconds: 0,
    leftAlone: [],
    warnings: [],
  }));
  for (const { staged } of begin.swaps) await writeFile(join(staged, 'file'), 'new');
});
afterEach(async () => {
  for (const { Id } of await docker.listContainers([`${COMPOSE.project}=${name}`])) await docker.removeContainer(Id, { force: true });
  for (const { Name, Mountpoint } of await docker.listVolumes()) {
    if (!Name.startsWith(name)) continue;
    await mkdir(Mountpoint, { recursive: true });
    await docker.removeVolume(Name);
  }
  await rm(top, { recursive: true, force: true });
});

const live = async () => ({
  contents: await Promise.all(begin.swaps.map((swap) => readFile(join(swap.live, 'file'), 'utf8'))),
  state: (await docker.inspectContainer(`${name}-app-1`)).State.Status,
});

/** Nothing is left but what is kept on purpose. */
async function expectTidy(end: 'old' | 'new'): Promise<void> {
  const volumes = (await docker.listVolumes()).map(({ Name }) => Name).filter((one) => one.startsWith(name));
  const folders = (await readdir(top)).filter((one) => one.includes('shared')).sort();
  expect(volumes.sort()).toEqual(end === 'new' ? [`${name}_data`, `${name}_data-before-abc123`] : [`${name}_data`]);
  expect(folders).toEqual(end === 'new' ? ['shared', 'shared-before-abc123'] : ['shared']);
  expect(existsSync(restoreJournalPath(world.stateFolder, name))).toBe(false);
  if (end === 'new') for (const { kept } of begin.swaps) expect(await readFile(join(kept, 'file'), 'utf8')).toBe('old');
}

test('the new data is in place, the old is kept, and the service runs on it', async () => {
  const journal = await openRestoreJournal(world);
  await journal.append(begin);
  let still = '';
  await swapIn(world, journal, begin, { services: ['app'], servers: [] }, async () => {
    still = (await live()).state;
  });
  await journal.close();
  expect(still).toBe('exited');
  expect(await live()).toEqual({ contents: ['new', 'new'], state: 'running' });
  await expectTidy('new');
});

test('a service that is not well with the new data runs on the old again, and its words are told', async () => {
  await writeFile(join(begin.swaps[0]?.staged ?? '', 'bad'), '');
  const journal = await openRestoreJournal(world);
  await journal.append(begin);
  await expect(swapIn(world, journal, begin, { services: ['app'], servers: [] }, async () => {})).rejects.toMatchObject({
    code: 'RESTORE_FAILED',
    message: expect.stringMatching(/-app-1 is not well with the restored data: its health check says unhealthy/),
    details: expect.arrayContaining(['the data is as it was before, and the services run on it']),
  });
  await journal.close();
  expect(await live()).toEqual({ contents: ['old', 'old'], state: 'running' });
  await expectTidy('old');
});

test('what cannot be saved once the services stand still leaves the old data, and they run', async () => {
  const journal = await openRestoreJournal(world);
  await journal.append(begin);
  await expect(
    swapIn(world, journal, begin, { services: ['app'], servers: [] }, () => Promise.reject(new Error('the disk is full'))),
  ).rejects.toThrow('the disk is full');
  await journal.close();
  expect(await live()).toEqual({ contents: ['old', 'old'], state: 'running' });
  await expectTidy('old');
});

test.each<[RestoreEntry['kind'], 'old' | 'new' | 'nothing']>([
  ['begin', 'nothing'],
  ['stop', 'old'],
  ['swap', 'old'],
  ['start', 'old'],
  ['commit', 'new'],
])('killed after the journal says %s it ends, at the next command, in the %s data', async (kind, end) => {
  const given = join(top, 'given.json');
  await writeFile(given, JSON.stringify({ begin, services: ['app'], project: world.project, stateFolder: world.stateFolder }));
  expect((await run(process.execPath, [FIXTURE, given, kind])).code).toBe(128);
  expect(existsSync(restoreJournalPath(world.stateFolder, name))).toBe(true);
  expect(await endKilledRestore(world)).toBe(end);
  const content = end === 'new' ? 'new' : 'old';
  expect(await live()).toEqual({ contents: [content, content], state: 'running' });
  await expectTidy(content);
  expect(notes).toEqual(
    end === 'nothing'
      ? []
      : [`a restore of ${name} was killed; it is ended: the data is the one ${end === 'new' ? 'of set S' : 'that was there before it'}`],
  );
  expect(await endKilledRestore(world)).toBe('nothing');
});

test('a container of somebody else that has the data mounted makes it go back', async () => {
  const labels = ['--label', `${COMPOSE.project}=${name}`];
  const made = await run('docker', [
    'run',
    '--detach',
    '--name',
    `${name}-stranger`,
    ...labels,
    '--volume',
    `${name}_data:/x:ro`,
    'busybox:1',
    'sleep',
    '1000',
  ]);
  expect(made.stderr).toBe('');
  const journal = await openRestoreJournal(world);
  await journal.append(begin);
  await expect(swapIn(world, journal, begin, { services: ['app'], servers: [] }, async () => {})).rejects.toMatchObject({
    code: 'RESTORE_FAILED',
    message: `${name}-stranger still has data mounted that is to be replaced`,
    details: [`${name}-stranger (running): volume ${name}_data`, 'the data is as it was before, and the services run on it'],
  });
  await journal.close();
  expect(await live()).toEqual({ contents: ['old', 'old'], state: 'running' });
  await expectTidy('old');
});

/** A journal up to one of its entries, as a killed restore leaves it. */
async function leave(...kinds: ('swap' | 'start' | 'commit')[]): Promise<void> {
  const journal = await openRestoreJournal(world);
  await journal.append(begin);
  await journal.append({ kind: 'stop', containers: [{ id: `${name}-app-1`, service: 'app', number: '1', was: 'well' }] });
  for (const kind of kinds) await journal.append({ kind });
  await journal.close();
  await run('docker', ['kill', `${name}-app-1`]);
}

test('killed once the new data stays, it ends there also when the service has become ill since', async () => {
  await leave('swap', 'start', 'commit');
  for (const swap of begin.swaps) await putNew(swap);
  await writeFile(join(begin.swaps[0]?.live ?? '', 'bad'), '');
  expect(await endKilledRestore(world)).toBe('new');
  expect(warnings.join()).toContain('app does not run as it should');
  expect(existsSync(restoreJournalPath(world.stateFolder, name))).toBe(false);
});

test('killed, and its data removed by hand since: that is said once, and the next command is free', async () => {
  await leave('swap');
  await rm(`${begin.swaps[1]?.live}`, { recursive: true });
  await rm(`${begin.swaps[1]?.staged}`, { recursive: true });
  expect(await endKilledRestore(world)).toBe('old');
  expect(warnings.join()).toContain('neither its old nor its new content is in place');
  expect(await endKilledRestore(world)).toBe('nothing');
});

test('what was made before a journal began is removed by the next restore, and nothing that holds data', async () => {
  for (const { staged } of begin.swaps) await rm(join(staged, 'file'));
  const [first] = begin.keptVolumes;
  await docker.createVolume(`${name}_data-before-filled`, { [OURS.kept]: 'filled', [OURS.project]: name });
  const filled = (await docker.findVolume(`${name}_data-before-filled`))?.Mountpoint ?? '';
  await writeFile(join(filled, 'file'), 'older');
  await mkdir(join(top, '.shared-restore-0a1b2c'));
  await writeFile(join(top, '.shared-restore-0a1b2c', 'file'), 'of somebody');
  const place = { service: 'app', target: '/shared', saved: { folder: join(top, 'shared') }, live: { folder: join(top, 'shared') } };
  const unit = { kind: 'files' as const, service: 'app', title: '', stores: [], places: [place] };
  await clearForgotten(docker, { project: name, units: [unit] });
  expect(first).toBe(`${name}_data-before-abc123`);
  const volumes = (await docker.listVolumes()).map(({ Name }) => Name).filter((one) => one.startsWith(name));
  expect(volumes.sort()).toEqual([`${name}_data`, `${name}_data-before-filled`]);
  expect((await readdir(top)).filter((one) => one.includes('shared')).sort()).toEqual(['.shared-restore-0a1b2c', 'shared']);
});

test.each([1, 2, 3])('killed after %i renames of four it ends, at the next command, in the whole old data', async (renames) => {
  const journal = await openRestoreJournal(world);
  for (const entry of [
    begin,
    { kind: 'stop', containers: [{ id: `${name}-app-1`, service: 'app', number: '1', was: 'well' }] },
    { kind: 'swap' },
  ] as RestoreEntry[])
    await journal.append(entry);
  await journal.close();
  await docker.stopContainer(`${name}-app-1`);
  const moves = begin.swaps.flatMap(({ live: at, staged, kept }): [string, string][] => [
    [at, kept],
    [staged, at],
  ]);
  for (const [from, to] of moves.slice(0, renames)) await rename(from, to);
  expect(await endKilledRestore(world)).toBe('old');
  expect(await live()).toEqual({ contents: ['old', 'old'], state: 'running' });
  await expectTidy('old');
});
