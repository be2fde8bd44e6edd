import { type ContainerInfo, type Docker, EngineError } from '../docker/api.ts';
import { COMPOSE } from '../docker/labels.ts';
import { tarArchive } from '../docker/tar.ts';
import { unpause } from '../docker/thaw.ts';
import { Failure } from '../kit/errors.ts';
import type { Report } from '../kit/events.ts';
import type { ContainerFile, Hook } from '../project/model.ts';

/** The project's own containers of services, one-off ones left out, by Compose's labels. */
export async function listProjectContainers(docker: Docker, project: string) {
  const found = await docker.listContainers([`${COMPOSE.project}=${project}`]);
  return found.filter((container) => container.Labels[COMPOSE.oneoff] !== 'True' && container.Labels[COMPOSE.service]);
}

export const serviceOf = (labels: Record<string, string>): string => labels[COMPOSE.service] ?? '';
export const numberOf = (labels: Record<string, string>): number => Number(labels[COMPOSE.number] ?? 0);
export const nameOf = (info: ContainerInfo): string => info.Name.replace(/^\//, '');

/** Runs a service's hooks inside a container, one after the other. A hook that fails is a failure of the release. */
export async function runHooks(
  docker: Docker,
  container: ContainerInfo,
  hooks: Hook[],
  which: 'post_start' | 'pre_stop',
  report: Report,
): Promise<void> {
  for (const hook of hooks) {
    const result = await docker.exec(container.Id, hook.command, {
      ...(hook.user ? { user: hook.user } : {}),
      ...(hook.workingDir ? { workingDir: hook.workingDir } : {}),
      env: hook.environment,
      privileged: hook.privileged,
    });
    const lines = result.output.split('\n').filter(Boolean);
    for (const line of lines) report({ kind: 'output', source: nameOf(container), text: line });
    if (result.code !== 0) {
      throw new Failure('RELEASE_FAILED', `the ${which} hook of ${nameOf(container)} ended with code ${result.code}`, {
        where: nameOf(container),
        details: lines.slice(-10),
      });
    }
  }
}

/** Evidence about a container that failed: its state, its last log lines and its health check's last words. */
export async function evidence(docker: Docker, id: string): Promise<string[]> {
  const info = await docker.findContainer(id);
  if (!info) return ['the container is gone'];
  const { State: state } = info;
  const facts = [
    `${nameOf(info)}: ${state.Status}${state.Status === 'running' ? '' : `, exit code ${state.ExitCode}`}${state.OOMKilled ? ', killed because it ran out of memory' : ''}${info.RestartCount > 0 ? `, restarted ${info.RestartCount} times` : ''}`,
  ];
  if (info.RestartCount > 0) {
    const code = await lastExitCode(docker, info);
    if (code !== undefined) facts.push(`it ended with exit code ${code} before it was restarted`);
  }
  const check = state.Health?.Log?.at(-1);
  if (check && check.ExitCode !== 0)
    facts.push(`health check, code ${check.ExitCode}: ${check.Output.trim().split('\n').slice(-3).join(' / ') || '(no output)'}`);
  const log = await docker.logTail(id, 20).catch(() => []);
  facts.push(log.length > 0 ? 'its last log lines:' : 'it logged nothing', ...log.map((line) => `  ${line}`));
  return facts;
}

/** Of a container that was restarted: the code of its last end, as far as the engine still has the event. */
async function lastExitCode(docker: Docker, { Id, Created }: ContainerInfo): Promise<string | undefined> {
  const ends = await docker.pastEvents({ type: ['container'], event: ['die'], container: [Id] }, Date.parse(Created), Date.now());
  return ends.at(-1)?.Actor.Attributes.exitCode;
}

/** Stops a container by its own signal and grace; one that is gone or stopped already is fine. */
export async function stopGently(docker: Docker, id: string): Promise<void> {
  const info = await docker.findContainer(id);
  if (!info) return;
  if (info.State.Paused) await unpause(docker, id);
  await docker.stopContainer(id);
}

/** Starts a container; says what is in the way when the engine refuses. */
export async function startNamed(docker: Docker, id: string): Promise<void> {
  try {
    await docker.startContainer(id);
  } catch (error) {
    if (!(error instanceof EngineError)) throw error;
    const name = await docker.findContainer(id).then((info) => (info ? nameOf(info) : id.slice(0, 12)));
    if (/port is already allocated|address already in use/i.test(error.message)) {
      throw new Failure('PORT_IN_USE', `${name} cannot start: a host port that it publishes is in use`, {
        where: name,
        details: [error.message],
        next: 'find who listens there (ss -ltnp), or publish another port',
      });
    }
    if (/no space left on device/i.test(error.message)) {
      throw new Failure('DISK_FULL', `${name} cannot start: the disk is full`, {
        where: name,
        details: [error.message],
        next: 'free some space (docker system df shows what Docker holds), then run the command again',
      });
    }
    throw new Failure('RELEASE_FAILED', `${name} cannot start`, { where: name, details: [error.message], cause: error });
  }
}

/**
 * Puts a service's secrets and configs that are no files of the host into new containers that have not started. Compose does so only when it
 * starts a container itself. They stay in the container, so that one which is started again has what it began with.
 */
export async function putFiles(docker: Docker, ids: readonly string[], files: readonly ContainerFile[] = []): Promise<void> {
  if (files.length === 0) return;
  const archive = tarArchive(files, new Date());
  await Promise.all(
    ids.map(async (id) => {
      try {
        await docker.putArchive(id, '/', archive);
      } catch (error) {
        if (!(error instanceof EngineError)) throw error;
        const name = await docker.findContainer(id).then((info) => (info ? nameOf(info) : id.slice(0, 12)));
        throw new Failure('RELEASE_FAILED', `${files.map(({ path }) => path).join(', ')} cannot be put into ${name}`, {
          where: name,
          details: [error.message],
          cause: error,
        });
      }
    }),
  );
}
