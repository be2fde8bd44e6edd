import { mkdir, readdir, realpath, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Docker } from '../../docker/api.ts';
import { OURS } from '../../docker/labels.ts';
import { Failure } from '../../kit/errors.ts';
import { folderFacts } from '../files/facts.ts';
import { isWithin } from '../files/mounts.ts';
import { walk } from '../files/walk.ts';
import type { SavedStore } from '../model.ts';
import { backupFolder } from '../places.ts';
import type { Restic } from '../restic/program.ts';
import { differences } from '../stage/compare.ts';
import { inStep } from '../stage/load-dumps.ts';
import type { Staged, StageTargets, StageWorld } from '../stage/model.ts';
import { restoreFiles } from '../stage/restore-files.ts';
import type { DrillPlan } from './model.ts';

/**
 * Makes the drill's volumes and answers where each is, after proving that each is the drill's own and new. Throws DRILL_IMPOSSIBLE for one that
 * is anybody else's.
 */
export async function makeVolumes(docker: Docker, plan: DrillPlan, labels: Record<string, string>): Promise<Map<string, string>> {
  const made = new Map<string, string>();
  for (const { name } of plan.volumes) {
    await docker.createVolume(name, labels);
    made.set(name, await requireScratch(docker, name, plan.id));
  }
  return made;
}

/** The volume's folder. A drill writes into nothing that does not carry its own label. */
export async function requireScratch(docker: Docker, name: string, id: string): Promise<string> {
  const found = await docker.findVolume(name);
  if (found?.Labels?.[OURS.scratch] === id) return found.Mountpoint;
  throw new Failure('DRILL_IMPOSSIBLE', `the volume ${name} is not of this drill, and nothing else is written to`, {
    where: name,
    next: 'it was left as it is; run the drill again',
  });
}

/** Puts the set's copy of the project's files where the scratch services will read them. Throws RESTORE_FAILED, REPOSITORY_*. */
export function makeFiles(world: StageWorld, restic: Restic, { files: { tree } }: DrillPlan, store: SavedStore): Promise<Staged> {
  return inStep(world, store, async () => {
    await mkdir(tree, { recursive: true, mode: 0o700 });
    await restoreFiles(restic, store, tree, world);
    await requireNoWayOut(tree);
    return differences(store.facts, await folderFacts(tree));
  });
}

/** A link in a bound folder would give a container what it leads to, on this host. Throws RESTORE_FAILED. */
async function requireNoWayOut(tree: string): Promise<void> {
  const root = await realpath(tree);
  const links: string[] = [];
  await walk(tree, ({ path, stat }) => {
    if (stat.isSymbolicLink()) links.push(path.toString('utf8'));
    return undefined;
  });
  for (const link of links) {
    const target = await realpath(join(tree, link)).catch(() => undefined);
    if (target === undefined || isWithin(target, root)) continue;
    throw new Failure('RESTORE_FAILED', `project: the link ${link} leads out of the project’s files`, { where: target });
  }
}

export function stageTargets(
  plan: DrillPlan,
  {
    images,
    env,
    labels,
    made,
  }: { images: Record<string, string>; env: Record<string, string>; labels: Record<string, string>; made: ReadonlyMap<string, string> },
): StageTargets {
  const data = Object.fromEntries(Object.entries(plan.places.folders).map(([folder, volume]) => [folder, made.get(volume) ?? '']));
  return {
    project: plan.project,
    labels,
    model: plan.source,
    images,
    env,
    volumes: plan.places.volumes,
    folders: { ...plan.files.folders, ...data },
  };
}

/** Removes the files of drills of the project that have nothing in Docker any more. Answers of how many drills. */
export async function removeOldFiles(docker: Docker, state: string, project: string): Promise<number> {
  const folder = backupFolder(state, project);
  const names = (await readdir(folder).catch(() => [])).filter((name) => name.startsWith('drill-'));
  if (names.length === 0) return 0;
  const [containers, volumes] = await Promise.all([docker.listContainers([OURS.scratch]), docker.listVolumes()]);
  const used = new Set(
    [...containers.map(({ Labels }) => Labels), ...volumes.map(({ Labels }) => Labels ?? {})].map((labels) => labels[OURS.scratch]),
  );
  const old = names.filter((name) => !used.has(name.slice('drill-'.length)));
  for (const name of old) await rm(join(folder, name), { recursive: true, force: true });
  return old.length;
}
