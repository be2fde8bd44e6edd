import { readdir, stat } from 'node:fs/promises';
import { resolve } from 'node:path';
import type { Project } from '../../project/model.ts';
import { serviceEnvFiles } from '../../project/secrets.ts';
import { readSources } from '../../project/sources.ts';
import { isWithin } from './mounts.ts';
import { walk } from './walk.ts';

/** Above this a build context is kept in Git, or it holds what does not belong into an image. */
const MAX_CONTEXT_BYTES = 64 * 1024 * 1024;
const MAX_CONTEXT_FILES = 10_000;

export interface ProjectFiles {
  /** Absolute, sorted, each once. */
  files: string[];
  /** Build contexts that are too large to be saved with the project. */
  largeContexts: { service: string; folder: string }[];
}

/**
 * The files that a project consists of and that are there: compose files with what they include, env files, files of secrets, what configs,
 * secrets, routes and bind mounts name, and build contexts in the project's folder.
 */
export async function findProjectFiles(project: Project, env: NodeJS.ProcessEnv = process.env): Promise<ProjectFiles> {
  const sources = await readSources(project.files);
  const names = await readdir(project.folder).catch(() => []);
  const candidates = [
    ...project.files,
    ...sources.map(({ file }) => file),
    ...envFiles(project, env),
    ...sources.flatMap((source) => serviceEnvFiles(source, project.folder)),
    ...names.filter((name) => /^secrets(\..+)?\.age\.yaml$/.test(name)).map((name) => resolve(project.folder, name)),
    ...Object.values(project.services).flatMap(({ contentFiles }) => contentFiles),
    ...routeFiles(project),
  ];
  const files = new Set<string>();
  for (const file of candidates) if ((await stat(file).catch(() => undefined))?.isFile()) files.add(file);
  const largeContexts: ProjectFiles['largeContexts'] = [];
  for (const { service, folder } of buildContexts(project)) {
    const inside = await smallContext(folder);
    for (const file of inside ?? []) files.add(file);
    if (!inside) largeContexts.push({ service, folder });
  }
  return { files: [...files].sort(), largeContexts };
}

function envFiles({ folder, compose }: Project, env: NodeJS.ProcessEnv): string[] {
  const given = compose.args.flatMap((arg, index) => (arg === '--env-file' ? [compose.args[index + 1] ?? ''] : []));
  const variable = compose.env.COMPOSE_ENV_FILES ?? env.COMPOSE_ENV_FILES;
  const names = given.length > 0 ? given : (variable?.split(',').filter(Boolean) ?? ['.env']);
  return names.map((name) => resolve(folder, name));
}

function routeFiles({ services, settings }: Project): string[] {
  const own = Object.values(services).flatMap(({ edge }) =>
    edge.flatMap(({ tls }) => (typeof tls === 'object' ? [tls.certificateFile, tls.keyFile] : [])),
  );
  const caFile = settings.edge.acme?.caFile;
  return [...own, ...(caFile === undefined ? [] : [caFile])];
}

function buildContexts({ resolved, folder: root, services }: Project): { service: string; folder: string }[] {
  const model = JSON.parse(resolved) as { services?: Record<string, { build?: { context?: string } }> };
  return Object.keys(services).flatMap((service) => {
    const folder = model.services?.[service]?.build?.context;
    return folder !== undefined && isWithin(folder, root) ? [{ service, folder }] : [];
  });
}

/** The context's files but what every machine makes anew, or undefined when they are too many. Links stay out: where they lead is not part of the context. */
async function smallContext(folder: string): Promise<string[] | undefined> {
  const files: string[] = [];
  let bytes = 0n;
  await walk(folder, ({ path, stat: found }) => {
    const name = path.toString('utf8');
    if (found.isDirectory()) return /(^|\/)(\.git|node_modules)$/.test(name) ? 'skip' : undefined;
    if (!found.isFile()) return undefined;
    files.push(resolve(folder, name));
    bytes += found.size;
    return bytes > MAX_CONTEXT_BYTES || files.length > MAX_CONTEXT_FILES ? 'stop' : undefined;
  });
  return bytes > MAX_CONTEXT_BYTES || files.length > MAX_CONTEXT_FILES ? undefined : files;
}
