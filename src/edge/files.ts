import { existsSync } from 'node:fs';
import { mkdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { readFileIfThere, writeFileDurably, writeFileIfChanged } from '../kit/files.ts';
import { edgeFolder } from '../state/folder.ts';
import { type EdgeHost, type RenderedEdge, renderMap } from './render.ts';

export const configPath = (folder: string, name: string): string => join(edgeFolder(folder), 'config', name);
export const certificateFolder = (folder: string): string => join(edgeFolder(folder), 'certs');

export const thisHost = (): EdgeHost => ({ ipv6: existsSync('/proc/net/if_inet6') });

/** Owner of the state folder: the edge must be able to read it, and its owner to reach the sockets. */
export async function folderOwner(folder: string): Promise<number> {
  await mkdir(edgeFolder(folder), { recursive: true, mode: 0o700 });
  return (await stat(edgeFolder(folder))).uid;
}

/** Everything that HAProxy starts from. The file comes last: what it names is there by then. */
export async function writeEdgeFiles(folder: string, rendered: RenderedEdge): Promise<void> {
  await writeFileIfChanged(configPath(folder, 'routes.map'), renderMap(rendered.maps.routes));
  await writeFileIfChanged(configPath(folder, 'redirects.map'), renderMap(rendered.maps.redirects));
  await ensureSideFiles(folder);
  await writeFileIfChanged(configPath(folder, 'haproxy.cfg'), rendered.config);
}

/** Files that a configuration may name and that no state describes. */
export async function ensureSideFiles(folder: string): Promise<void> {
  for (const name of ['routes.map', 'redirects.map', 'challenges.map', 'certificates.list']) {
    const path = configPath(folder, name);
    if ((await readFileIfThere(path)) === undefined) await writeFileDurably(path, '');
  }
}
