import { join } from 'node:path';
import type { Docker } from '../docker/api.ts';
import { readFiles } from '../docker/injected.ts';
import { COMPOSE } from '../docker/labels.ts';
import { type ComposeCall, composeCreate } from '../docker/release.ts';
import { Failure } from '../kit/errors.ts';
import { readFileIfThere, writeFileIfChanged } from '../kit/files.ts';
import { projectFolder } from '../state/folder.ts';
import { type Crew, isObsolete } from './crew.ts';
import { type Template, templateOf } from './template.ts';

/** What outlives the agent of a scaled service: mode 600, because a template holds the service's environment. */
interface Stored {
  template: Template;
  bootMs?: number;
}

const storedPath = (state: string, crew: Pick<Crew, 'tier'>): string =>
  join(projectFolder(state, crew.tier.project), 'templates', `${crew.tier.service}.json`);

export async function readStored(state: string, crew: Pick<Crew, 'tier'>): Promise<Stored | undefined> {
  const text = await readFileIfThere(storedPath(state, crew));
  try {
    return text ? (JSON.parse(text) as Stored) : undefined;
  } catch {
    return undefined;
  }
}

export async function writeStored(state: string, crew: Crew): Promise<void> {
  if (!crew.template) return;
  const stored: Stored = { template: crew.template, ...(crew.bootMs === undefined ? {} : { bootMs: crew.bootMs }) };
  await writeFileIfChanged(storedPath(state, crew), JSON.stringify(stored));
}

/**
 * The template by what is there: the newest container of the service as it is now, else the one on record. Undefined when neither is of the
 * present configuration and image.
 */
export async function knownTemplate(docker: Docker, state: string, crew: Crew): Promise<Template | undefined> {
  const siblings = [...crew.containers.values()]
    .filter((member) => !isObsolete(member, crew.current))
    .sort((a, b) => b.created - a.created || b.number - a.number);
  for (const { id } of siblings) {
    const info = await docker.findContainer(id);
    // One that never ran was not given its files yet.
    const files = info && crew.injected.length > 0 ? await readFiles(docker, id, crew.injected) : undefined;
    if (!info || (crew.injected.length > 0 && !files)) continue;
    return withImage(docker, { ...templateOf(info, crew.networks), ...(files ? { files: files.toString('base64') } : {}) });
  }
  const stored = (await readStored(state, crew))?.template;
  if (!stored || isObsolete(stored, crew.current) || (crew.injected.length > 0 && stored.files === undefined)) return undefined;
  return withImage(docker, stored);
}

/** A name that means another image by now would make a different container; one that means the same reads better. */
export async function withImage(docker: Docker, template: Template): Promise<Template> {
  const found = await docker.findImage(template.image);
  return { ...template, useImage: found?.Id === template.imageId ? template.image : template.imageId };
}

/**
 * Has Compose make one container of the service, to see what it would make, and removes it; it is never started. Throws COMMAND_FAILED with
 * Compose's words, or when Compose gives the service files only at a start.
 */
export async function templateByCompose(docker: Docker, compose: ComposeCall, crew: Crew): Promise<Template> {
  const { project, service } = crew.tier;
  if (crew.injected.length > 0) {
    throw new Failure(
      'COMMAND_FAILED',
      `Compose puts ${crew.injected.join(', ')} into each container of ${service} when it starts it, and there is none yet that has it`,
      { where: `${project}/${service}`, next: `docker compose up -d --no-deps ${service} starts one, from which the others are made` },
    );
  }
  const list = async () =>
    (await docker.listContainers([`${COMPOSE.project}=${project}`, `${COMPOSE.service}=${service}`])).filter(
      ({ Labels }) => Labels[COMPOSE.oneoff]?.toLowerCase() !== 'true',
    );
  const before = new Set((await list()).map(({ Id }) => Id));
  await composeCreate(compose, { [service]: before.size + 1 });
  const made = (await list()).filter(({ Id, State }) => !before.has(Id) && State === 'created');
  let template: Template | undefined;
  for (const { Id } of made) {
    template ??= templateOf(await docker.inspectContainer(Id), crew.networks);
    await docker.removeContainer(Id);
  }
  if (!template) throw new Failure('COMMAND_FAILED', `docker compose made no container of ${service}`, { where: `${project}/${service}` });
  return withImage(docker, template);
}
