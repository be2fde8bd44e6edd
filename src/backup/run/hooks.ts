import type { ContainerSummary } from '../../docker/api.ts';
import { COMPOSE } from '../../docker/labels.ts';
import { Failure } from '../../kit/errors.ts';
import type { Project } from '../../project/model.ts';
import type { BackupWorld } from '../model.ts';

/** Lines of a hook's output that a failure shows. */
const LAST_WORDS = 8;

/**
 * Runs a service's `pre` or `post` command in its first running container, its output as events. Throws BACKUP_FAILED with its last words
 * when it ends with another code than 0, or when no container of the service runs.
 */
export async function runHook(
  { docker, project, report, signal }: Pick<BackupWorld, 'docker' | 'project' | 'report' | 'signal'>,
  service: string,
  which: 'pre' | 'post',
  command: readonly string[],
): Promise<void> {
  const name = `${which} of ${service}`;
  const container = await firstRunning(docker.listContainers([`${COMPOSE.project}=${project.name}`, `${COMPOSE.service}=${service}`]));
  if (!container) {
    throw new Failure('BACKUP_FAILED', `${name} has no container to run in`, {
      where: service,
      next: `start the service, or take \`${which}\` out of its x-backup`,
    });
  }
  const attached = await docker.execAttached(container.Id, [...command]);
  const stop = (): void => attached.close();
  signal.addEventListener('abort', stop, { once: true });
  try {
    const lines: string[] = [];
    let rest = '';
    for await (const chunk of attached.stdout) {
      const parts = (rest + (chunk as Buffer).toString('utf8')).split('\n');
      rest = parts.pop() ?? '';
      for (const text of parts.filter((part) => part !== '')) {
        report({ kind: 'output', source: name, text });
        lines.push(text);
        lines.splice(0, lines.length - LAST_WORDS);
      }
    }
    const { code, stderr } = await attached.ended;
    signal.throwIfAborted();
    if (code === 0) return;
    const words = [...lines, rest, ...stderr.split('\n')].filter((line) => line.trim() !== '').slice(-LAST_WORDS);
    throw new Failure('BACKUP_FAILED', `${name} ended with exit code ${code ?? 'unknown'}: ${command.join(' ')}`, {
      where: service,
      details: words,
      next: 'run the command in the container by hand until it works',
    });
  } finally {
    signal.removeEventListener('abort', stop);
  }
}

async function firstRunning(listing: Promise<ContainerSummary[]>): Promise<ContainerSummary | undefined> {
  const number = ({ Labels }: ContainerSummary): number => Number(Labels[COMPOSE.number] ?? 0);
  return (await listing)
    .filter(({ State, Labels }) => State === 'running' && Labels[COMPOSE.oneoff]?.toLowerCase() !== 'true')
    .sort((a, b) => number(a) - number(b))[0];
}

/** The services that want a command run before or after they are saved. Pure. */
export const hookedServices = ({ services }: Pick<Project, 'services'>): ReadonlySet<string> =>
  new Set(Object.values(services).flatMap(({ name, backup }) => (backup?.pre || backup?.post ? [name] : [])));
