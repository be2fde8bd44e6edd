import { existsSync } from 'node:fs';
import { mkdir, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Docker } from '../../docker/api.ts';
import { OURS } from '../../docker/labels.ts';
import { readFileIfThere, storageFailure } from '../../kit/files.ts';
import { packageVersion } from '../../kit/package.ts';
import { run } from '../../kit/spawn.ts';
import { agentLockPath, readAgentStatus } from '../../state/agent.ts';
import { agentName } from '../../state/folder.ts';
import { readLock } from '../../state/lock.ts';
import type { Found, InstalledForm, Wanted } from './model.ts';
import { agentImageName, packageScript } from './package.ts';
import { UNIT_FOLDER, UNIT_MARK } from './unit.ts';

/** Where this host's init system is; tests have a folder and an answer of their own. */
export interface Host {
  unitFolder: string;
  /** systemd runs this machine: it makes this folder when it boots one. */
  systemd: boolean;
  /** This process may write units. */
  root: boolean;
}

export const thisHost = (): Host => ({
  unitFolder: UNIT_FOLDER,
  systemd: existsSync('/run/systemd/system'),
  root: process.getuid?.() === 0,
});

export const unitPath = (host: Host, state: string): string => join(host.unitFolder, `${agentName(state)}.service`);

/** What `agent install` is asked for, from this process's own place and the state folder's owner. */
export async function wantedInstallation(
  docker: Docker,
  state: string,
  form: InstalledForm,
  { image, metrics }: { image?: string | undefined; metrics?: string | undefined } = {},
): Promise<Wanted> {
  const socket = await stat(docker.socketPath).catch(() => ({ gid: 0 }));
  const owner = await ownerOf(state);
  return {
    form,
    name: agentName(state),
    state,
    ...(metrics === undefined ? {} : { metrics }),
    owner,
    socket: { path: docker.socketPath, gid: socket.gid },
    node: process.execPath,
    script: packageScript(),
    version: packageVersion(),
    image: image ?? (form === 'container' ? await agentImageName() : ''),
    builds: image === undefined && form === 'container',
  };
}

/** Of the state folder, or of the folder that it will be made in by this process. */
async function ownerOf(state: string): Promise<Wanted['owner']> {
  const found = await stat(state).catch(() => undefined);
  if (found) return { uid: found.uid, gid: found.gid };
  return { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 };
}

/** The state folder exists before anything is to write into it: a bind mount would make it as root, whoever it is for. */
export async function ensureStateFolder(state: string): Promise<void> {
  try {
    await mkdir(dirname(agentLockPath(state)), { recursive: true, mode: 0o700 });
  } catch (error) {
    throw storageFailure(error, state);
  }
}

export async function findInstallation(docker: Docker, state: string, host: Host, image = ''): Promise<Found> {
  const [unit, container, hasImage, agent, status] = await Promise.all([
    findUnit(host, state),
    findAgentContainer(docker, state),
    image === '' ? false : docker.findImage(image).then((found) => found !== undefined),
    readLock(agentLockPath(state)),
    readAgentStatus(state),
  ]);
  return {
    root: host.root,
    systemd: host.systemd,
    ...(unit ? { unit } : {}),
    ...(container ? { container } : {}),
    hasImage,
    ...(agent ? { agent } : {}),
    ...(agent && status?.running ? { agentForm: status.status.form, agentVersion: status.status.version } : {}),
  };
}

async function findUnit(host: Host, state: string): Promise<Found['unit']> {
  const path = unitPath(host, state);
  const text = await readFileIfThere(path);
  if (text === undefined) return undefined;
  const ask = async (verb: string): Promise<boolean> =>
    host.systemd && (await run('systemctl', [verb, '--quiet', `${agentName(state)}.service`])).code === 0;
  const [enabled, active] = await Promise.all([ask('is-enabled'), ask('is-active')]);
  return { path, text, ours: text.startsWith(UNIT_MARK), enabled, active };
}

async function findAgentContainer(docker: Docker, state: string): Promise<Found['container']> {
  const [found] = await docker.listContainers([`${OURS.agent}=${agentName(state)}`]);
  if (!found) return undefined;
  const image = found.Labels[OURS.agentImage];
  return {
    id: found.Id,
    state: found.State,
    image: image ?? found.Image,
    spec: found.Labels[OURS.agentSpec] ?? '',
    built: image !== undefined,
  };
}
