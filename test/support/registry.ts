import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { COMPOSE, OURS } from '../../src/docker/labels.ts';
import { run } from '../../src/kit/spawn.ts';
import { agentName, edgeName } from '../../src/state/folder.ts';
import { isAlive } from './alive.ts';

/** Every test resource has a name that begins so; nothing else is ever removed. */
export const PREFIX = 'composure-test-';

const FOLDER = join(tmpdir(), 'composure-test-registry');

/** What a scenario has on this machine. Written down before anything is created, so that it can be removed whatever happens to the test. */
export interface Entry {
  /** The project, and the last part of `folder`. */
  name: string;
  folder: string;
  state: string;
  pid: number;
  /** The test run that it belongs to. */
  run: string;
}

export async function register(entry: Entry): Promise<void> {
  await mkdir(FOLDER, { recursive: true });
  await writeFile(join(FOLDER, `${entry.name}.json`), JSON.stringify(entry));
}

/** Removes all that a scenario has left: containers, networks and volumes of its project, the edge of its state folder, its folder. */
export async function removeScenario(entry: Entry): Promise<void> {
  if (!entry.name.startsWith(PREFIX) || !entry.folder.includes(PREFIX) || !entry.state.includes(PREFIX))
    throw new Error(`${entry.name} is not a scenario's`);
  const labels = scenarioLabels(entry);
  const containers = await list('ps', ['-a', '-q'], labels);
  if (containers.length) await docker(['rm', '--force', '--volumes', ...containers]);
  const networks = await list('network', ['ls', '-q'], labels);
  if (networks.length) await docker(['network', 'rm', ...networks]);
  const volumes = await list('volume', ['ls', '-q'], labels);
  if (volumes.length) await docker(['volume', 'rm', '--force', ...volumes]);
  for (const folder of [entry.folder, entry.state]) await rm(folder, { recursive: true, force: true });
  await rm(join(FOLDER, `${entry.name}.json`), { force: true });
}

/** One of these is on everything that a scenario creates. */
export function scenarioLabels(entry: Pick<Entry, 'name' | 'folder' | 'state'>): string[] {
  return [
    `${COMPOSE.project}=${entry.name}`,
    `${COMPOSE.workingDir}=${entry.folder}`,
    `${OURS.project}=${entry.name}`,
    `${OURS.edge}=${edgeName(entry.state)}`,
    `${OURS.agent}=${agentName(entry.state)}`,
  ];
}

/** Removes what dead test processes left, and all that belongs to `run`. Scenarios of other living runs are left alone. */
export async function removeLeftovers(run: string | undefined): Promise<string[]> {
  const removed: string[] = [];
  for (const file of await readdir(FOLDER).catch(() => [])) {
    const text = await readFile(join(FOLDER, file), 'utf8').catch(() => '');
    if (!text) continue;
    const entry = JSON.parse(text) as Entry;
    if (entry.run !== run && isAlive(entry.pid)) continue;
    await removeScenario(entry);
    removed.push(entry.name);
  }
  return removed;
}

async function list(noun: string, args: string[], labels: string[]): Promise<string[]> {
  const found = new Set<string>();
  for (const label of labels) {
    const verb = noun === 'ps' ? ['ps'] : [noun];
    const result = await docker([...verb, ...args, '--filter', `label=${label}`]);
    for (const id of result.split('\n')) if (id) found.add(id);
  }
  return [...found];
}

async function docker(args: string[]): Promise<string> {
  const result = await run('docker', args, { timeoutMs: 60_000 });
  if (result.code !== 0 && !/No such|not found/i.test(result.stderr))
    throw new Error(`docker ${args[0]} failed while cleaning up: ${result.stderr}`);
  return result.stdout;
}
