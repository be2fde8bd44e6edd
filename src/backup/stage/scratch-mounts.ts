import { normalize } from 'node:path';
import { type Mapping, mapping } from './mapping.ts';
import type { ComposeModel } from './model.ts';

/** Folders and files of the host that every container may read: without them time zones and certificates are missing. */
const HARMLESS = ['/etc/localtime', '/etc/timezone', '/usr/share/zoneinfo', '/etc/ssl/certs', '/usr/share/ca-certificates'];

export const isHarmless = (path: string): boolean => HARMLESS.includes(path);

/** The volume's key in the model to the scratch volume that stands for it. */
export function volumeNames(source: ComposeModel, volumes: Record<string, string>): Map<string, string> {
  const pairs = Object.entries(mapping(source.volumes)).flatMap(([key, definition]) => {
    const placed = volumes[String(mapping(definition).name ?? key)];
    return placed === undefined ? [] : [[key, placed] as const];
  });
  return new Map(pairs);
}

export function placedMount(
  mount: Mapping,
  volumes: ReadonlyMap<string, string>,
  folders: Record<string, string>,
): { mount: Mapping; volume?: string; missing?: string } {
  const { type, source, target } = mount;
  const readOnly = mount.read_only === true ? { read_only: true } : {};
  if (type === 'volume' && typeof source === 'string' && source !== '') {
    const volume = volumes.get(source);
    if (volume === undefined) return { mount: { type: 'tmpfs', target }, missing: `volume ${source}` };
    const subpath = mapping(mount.volume).subpath;
    const nocopy = mapping(mount.volume).nocopy;
    const settings = { ...(subpath === undefined ? {} : { subpath }), ...(nocopy === undefined ? {} : { nocopy }) };
    return {
      mount: { type, source: volume, target, ...readOnly, ...(Object.keys(settings).length > 0 ? { volume: settings } : {}) },
      volume,
    };
  }
  if (type === 'bind') {
    const path = String(source);
    if (isHarmless(path)) return { mount: { type, source: path, target, read_only: true } };
    const placed = placeOf(path, folders);
    if (placed === undefined) return { mount: { type: 'tmpfs', target }, missing: path };
    return { mount: { type, source: placed, target, ...readOnly, bind: { create_host_path: false } } };
  }
  if (type === 'volume') return { mount: { type, target } };
  return { mount: { type: 'tmpfs', target, ...(mount.tmpfs === undefined ? {} : { tmpfs: mount.tmpfs }) } };
}

/** Where a path of the set's host is now: the longest folder of those that are known decides. Pure. */
export function placeOf(written: string, folders: Record<string, string>): string | undefined {
  const path = normalize(written);
  const within = Object.keys(folders).filter((folder) => path === folder || path.startsWith(folder.endsWith('/') ? folder : `${folder}/`));
  const nearest = within.reduce<string | undefined>(
    (best, folder) => (best === undefined || folder.length > best.length ? folder : best),
    undefined,
  );
  return nearest === undefined ? undefined : `${folders[nearest]}${path.slice(nearest.length)}`;
}
