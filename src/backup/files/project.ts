import { createHash } from 'node:crypto';
import { chmod, constants, copyFile, lchown, mkdir, stat, utimes, writeFile } from 'node:fs/promises';
import { basename, dirname, join, relative } from 'node:path';
import { certificateText, fileNameOf } from '../../edge/certificates/store.ts';
import { storageFailure } from '../../kit/files.ts';
import type { Project } from '../../project/model.ts';
import { observeImages } from '../discover/images.ts';
import type { BackupWorld, PlannedStore, SavedStore } from '../model.ts';
import { resticFailure } from '../restic/outcome.ts';
import type { Restic } from '../restic/program.ts';
import { folderFacts } from './facts.ts';
import { isWithin } from './mounts.ts';
import type { MadeContent } from './save-files.ts';
import { copyDatabase, isDatabase } from './sqlite.ts';

/**
 * The folder of a project's own files in a set:
 *
 *     project.json             ProjectRecord
 *     compose.resolved.yaml    Compose's resolved model, dollars doubled: a compose file by itself. Holds secrets
 *     images.json              by service: reference, id, digest
 *     files/…                  files in the project's folder, where they lie in it
 *     outside/…                files elsewhere, under their absolute path
 *     edge/certs/…             certificates with keys that the edge holds for the project's hosts, named as in the state folder
 */
export interface ProjectRecord {
  version: 1;
  name: string;
  /** Absolute, on the machine that was saved. */
  folder: string;
  environment?: string;
  /** Compose's global arguments, with paths of the machine that was saved. */
  composeArgs: string[];
  /** Compose files in merge order, absolute. */
  composeFiles: string[];
  profiles: string[];
  /** Hosts with a certificate in edge/certs. */
  hosts: string[];
  files: { path: string; original: string }[];
}

export const PROJECT_RECORD = 'project.json';
export const RESOLVED_MODEL = 'compose.resolved.yaml';
export const IMAGES_RECORD = 'images.json';

/** Where a file lies in that folder. Pure. */
export const savedPath = (file: string, folder: string): string =>
  isWithin(file, folder) ? join('files', relative(folder, file)) : join('outside', file);

/** SHA-256 of Compose's resolved model. */
export const composeHash = ({ resolved }: Project): string => createHash('sha256').update(resolved).digest('hex');

/** A file of a set's project store. Throws REPOSITORY_*. */
export async function readSavedFile(restic: Restic, { snapshot, path }: SavedStore, set: string, name: string): Promise<string> {
  const result = await restic.run(['dump', '--no-lock', snapshot, join(path, name)]);
  if (result.code !== 0) throw resticFailure(result, `read ${name} of set ${set}`, restic.repository);
  return result.stdout;
}

/** Copies the project's own files into an empty folder. Throws DISK_FULL. */
export async function makeProject(
  { project, docker, stateFolder, signal }: BackupWorld,
  { files }: Extract<PlannedStore, { kind: 'project' }>,
  folder: string,
): Promise<MadeContent> {
  const contentAt = new Date().toISOString();
  try {
    const vanished: string[] = [];
    const copied: ProjectRecord['files'] = [];
    for (const original of files) {
      const path = savedPath(original, project.folder);
      if (await copyWithAttributes(original, join(folder, path), signal)) copied.push({ path, original });
      else vanished.push(original);
    }
    const hosts = await writeCertificates(project, stateFolder, folder);
    const images = await observeImages(docker, project);
    await writeFile(join(folder, RESOLVED_MODEL), pretty(JSON.parse(project.resolved)), { mode: 0o600 });
    await writeFile(join(folder, IMAGES_RECORD), pretty(images), { mode: 0o600 });
    await writeFile(join(folder, PROJECT_RECORD), pretty(recordOf(project, copied, hosts)), { mode: 0o600 });
    const facts = await folderFacts(folder);
    return { path: '/', bytes: facts.bytes, contentAt, facts, ...(vanished.length > 0 ? { vanished } : {}) };
  } catch (error) {
    throw storageFailure(error, folder);
  }
}

function recordOf(project: Project, files: ProjectRecord['files'], hosts: string[]): ProjectRecord {
  const { name, folder, environment, compose } = project;
  const given = compose.args.flatMap((arg, index) => (arg === '--profile' ? [compose.args[index + 1] ?? ''] : []));
  const fromEnvironment = (compose.env.COMPOSE_PROFILES ?? process.env.COMPOSE_PROFILES ?? '').split(',').filter(Boolean);
  return {
    version: 1,
    name,
    folder,
    ...(environment === undefined ? {} : { environment }),
    composeArgs: compose.args,
    composeFiles: project.files,
    profiles: [...new Set([...given, ...fromEnvironment])],
    hosts,
    files,
  };
}

const pretty = (value: unknown): string => `${JSON.stringify(value, undefined, 2)}\n`;

/** False when the file is gone. A link becomes the file that it leads to. */
async function copyWithAttributes(from: string, to: string, signal: AbortSignal): Promise<boolean> {
  const found = await stat(from, { bigint: true }).catch(() => undefined);
  if (!found) return false;
  await mkdir(dirname(to), { recursive: true, mode: 0o700 });
  if (isDatabase(Buffer.from(dirname(from)), { path: Buffer.from(basename(from)), stat: found }))
    await copyDatabase(from, to, { store: 'project', name: from, signal });
  else await copyFile(from, to, constants.COPYFILE_FICLONE);
  await lchown(to, Number(found.uid), Number(found.gid));
  await chmod(to, Number(found.mode) & 0o7777);
  await utimes(to, found.atime, found.mtime);
  return true;
}

async function writeCertificates({ services }: Project, stateFolder: string, folder: string): Promise<string[]> {
  const wanted = Object.values(services).flatMap(({ edge }) =>
    edge.flatMap(({ tls, hosts, redirectFrom }) => (tls === 'acme' ? [...hosts, ...redirectFrom] : [])),
  );
  const held: string[] = [];
  for (const host of [...new Set(wanted)].sort()) {
    const text = await certificateText(stateFolder, host);
    if (text === undefined) continue;
    await mkdir(join(folder, 'edge', 'certs'), { recursive: true, mode: 0o700 });
    await writeFile(join(folder, 'edge', 'certs', `${fileNameOf(host)}.pem`), text, { mode: 0o600 });
    held.push(host);
  }
  return held;
}
