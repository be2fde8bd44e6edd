import { randomBytes } from 'node:crypto';
import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { type ContainerSummary, type Docker, EngineError } from '../../docker/api.ts';
import { COMPOSE } from '../../docker/labels.ts';
import { Failure } from '../../kit/errors.ts';
import type { Report } from '../../kit/events.ts';
import { readFileIfThere, writeFileDurably } from '../../kit/files.ts';
import { lockPath } from '../../rollout/journal.ts';
import { takeLock } from '../../state/lock.ts';
import { isAlive, ownIdentity, type ProcessIdentity } from '../../state/process.ts';
import { listProjects } from '../../state/projects.ts';
import { holdsFolder } from '../places.ts';

/** Containers that stand still while files are read. Written before the first of them does, so that whoever comes next can undo it. */
export interface Hold {
  by: ProcessIdentity;
  /** ISO 8601. */
  since: string;
  containers: HeldContainer[];
}

export interface HeldContainer {
  id: string;
  /** Where the container was replaced meanwhile, the newest with these of Compose's labels takes its place. */
  service: string;
  number: string;
  how: 'pause' | 'stop';
}

export interface HoldWorld {
  docker: Docker;
  stateFolder: string;
  report: Report;
}

export interface Held {
  /** Says which container ran meanwhile; undefined: none, what was read is of one moment. */
  disturbed(): Promise<string | undefined>;
  /** Everything runs again. Throws BACKUP_FAILED when something cannot; then the record stays for the next command. */
  release(): Promise<void>;
}

/**
 * Pauses or stops the running containers of these services. The caller holds the project's lock until `release`: nothing else may move
 * containers meanwhile.
 */
export async function hold(
  world: HoldWorld,
  project: string,
  services: readonly string[],
  consistency: 'pause' | 'stop',
  afterRecord?: (hold: Hold) => void,
): Promise<Held> {
  const { docker, stateFolder } = world;
  const running = (await containersOf(docker, project, services)).filter(({ State }) => State === 'running');
  const record: Hold = {
    by: ownIdentity(),
    since: new Date().toISOString(),
    containers: running.map((container) => ({
      id: container.Id,
      ...nameOf(container),
      how: isOneOff(container) ? 'pause' : consistency,
    })),
  };
  const path = join(holdsFolder(stateFolder, project), `${randomBytes(6).toString('hex')}.json`);
  if (running.length > 0) await writeFileDurably(path, JSON.stringify(record));
  const release = async (): Promise<void> => {
    if (running.length > 0) await end(world, project, path, record);
  };
  try {
    afterRecord?.(record);
    await Promise.all(
      running.map((container) => (isOneOff(container) || consistency === 'pause' ? pause(docker, container) : stop(docker, container))),
    );
  } catch (error) {
    await release();
    throw error;
  }
  return {
    async disturbed() {
      const awake = (await containersOf(docker, project, services)).find(({ State }) => State === 'running' || State === 'restarting');
      return awake === undefined ? undefined : title(nameOf(awake));
    },
    release,
  };
}

/**
 * Ends what processes that are gone held, of one project or of all, and says so. Whoever holds the project's lock is at work on its
 * containers, and ended the holds of others before: it is waited for up to `waitMs`, then left alone. Repeating it is harmless.
 */
export async function endHoldsOfDead(
  world: HoldWorld,
  { project, waitMs = 0 }: { project?: string; waitMs?: number } = {},
): Promise<{ project: string; containers: string[] }[]> {
  const ended: { project: string; containers: string[] }[] = [];
  for (const name of project === undefined ? await listProjects(world.stateFolder) : [project]) {
    if ((await readHolds(world.stateFolder, name)).every(({ hold: { by } }) => isAlive(by))) continue;
    const lock = await takeLock(lockPath(world.stateFolder, name), { purpose: 'end what a killed backup held', waitMs }).catch(
      (error: unknown) => {
        if (error instanceof Failure && error.code === 'LOCKED') return undefined;
        throw error;
      },
    );
    if (!lock) continue;
    try {
      for (const { path, hold: record } of await readHolds(world.stateFolder, name)) {
        if (isAlive(record.by)) continue;
        await end(world, name, path, record);
        const containers = record.containers.map(title);
        world.report({ kind: 'note', text: `a backup of ${name} was killed while ${containers.join(', ')} stood still; running again` });
        ended.push({ project: name, containers });
      }
    } finally {
      await lock.release();
    }
  }
  return ended;
}

/** What is held in a project now, and whether by somebody who is still there. */
export async function readHolds(state: string, project: string): Promise<{ path: string; hold: Hold }[]> {
  const folder = holdsFolder(state, project);
  const names = (await readdir(folder).catch(() => [] as string[])).filter((name) => name.endsWith('.json'));
  const found = await Promise.all(
    names.map(async (name) => {
      const text = await readFileIfThere(join(folder, name));
      return text === undefined ? [] : [{ path: join(folder, name), hold: JSON.parse(text) as Hold }];
    }),
  );
  return found.flat();
}

async function end({ docker, report }: HoldWorld, project: string, path: string, record: Hold): Promise<void> {
  const present = await containersOf(
    docker,
    project,
    record.containers.map(({ service }) => service),
  );
  const problems: string[] = [];
  await Promise.all(
    record.containers.map(async (held) => {
      const container = nowIn(present, held);
      if (!container) {
        if (held.how === 'stop')
          report({ kind: 'warning', text: `${title(held)} is gone since the backup stopped it; docker compose up -d brings it back` });
        return;
      }
      try {
        if (container.State === 'paused') await docker.unpauseContainer(container.Id);
        // A container that was paused and has ended since did so by itself or by somebody's wish.
        else if (held.how === 'stop' && container.State !== 'running') await docker.startContainer(container.Id);
      } catch (error) {
        if (!isGoneOrAwake(error)) problems.push(`${title(held)}: ${(error as Error).message}`);
      }
    }),
  );
  if (problems.length > 0) {
    throw new Failure('BACKUP_FAILED', 'containers that stood still for the backup do not run again', {
      where: project,
      details: problems,
      next: 'docker compose up -d, once what the engine says is solved',
    });
  }
  await rm(path, { force: true });
}

/** The container itself, or what replaced it; one-off runs and what a release keeps for a rollback are never started in its place. */
function nowIn(present: readonly ContainerSummary[], held: HeldContainer): ContainerSummary | undefined {
  const replacing = present.filter(
    (container) => !isOneOff(container) && title(nameOf(container)) === title(held) && container.State !== 'removing',
  );
  return present.find(({ Id }) => Id === held.id) ?? replacing.sort((a, b) => b.Created - a.Created)[0];
}

async function pause(docker: Docker, { Id }: ContainerSummary): Promise<void> {
  await docker.pauseContainer(Id).catch((error: unknown) => {
    if (!(error instanceof EngineError && (error.status === 404 || /not running/i.test(error.message)))) throw error;
  });
}

async function stop(docker: Docker, { Id }: ContainerSummary): Promise<void> {
  await docker.stopContainer(Id).catch((error: unknown) => {
    if (!(error instanceof EngineError && error.status === 404)) throw error;
  });
}

const isGoneOrAwake = (error: unknown): boolean =>
  error instanceof EngineError && (error.status === 404 || /not paused|not running/i.test(error.message));

const isOneOff = ({ Labels }: ContainerSummary): boolean => Labels[COMPOSE.oneoff]?.toLowerCase() === 'true';

const nameOf = ({ Labels, Id }: ContainerSummary): { service: string; number: string } => ({
  service: Labels[COMPOSE.service] ?? Id.slice(0, 12),
  number: Labels[COMPOSE.number] ?? '1',
});

const title = ({ service, number }: { service: string; number: string }): string => `${service}-${number}`;

async function containersOf(docker: Docker, project: string, services: readonly string[]): Promise<ContainerSummary[]> {
  const containers = await docker.listContainers([`${COMPOSE.project}=${project}`]);
  return containers.filter(({ Labels }) => services.includes(Labels[COMPOSE.service] ?? ''));
}
