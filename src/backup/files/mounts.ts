import { readFile } from 'node:fs/promises';

/** The file systems of this machine: those that are mounted, and those that /etc/fstab wants. */
export interface Mounts {
  mounted: string[];
  wanted: string[];
}

export async function readMounts(): Promise<Mounts> {
  const [mountinfo, fstab] = await Promise.all([readFile('/proc/self/mountinfo', 'utf8'), readFile('/etc/fstab', 'utf8').catch(() => '')]);
  return { mounted: mountedIn(mountinfo), wanted: wantedIn(fstab) };
}

/** Mount points in the text of /proc/self/mountinfo. Pure. */
export const mountedIn = (mountinfo: string): string[] =>
  fields(mountinfo).flatMap((line) => (line[4] === undefined ? [] : [plain(line[4])]));

/** Mount points that the text of /etc/fstab wants at every start: swap has none, and `noauto` waits for somebody. Pure. */
export const wantedIn = (fstab: string): string[] =>
  fields(fstab).flatMap((line) =>
    line[1]?.startsWith('/') && line[2] !== 'swap' && !line[3]?.split(',').includes('noauto') ? [plain(line[1])] : [],
  );

const fields = (text: string): string[][] =>
  text
    .split('\n')
    .filter((line) => line.trim() !== '' && !line.trimStart().startsWith('#'))
    .map((line) => line.trim().split(/\s+/));

/** The kernel writes spaces and the like as three octal digits. */
const plain = (text: string): string =>
  text.replace(/\\([0-7]{3})/g, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 8)));

export const isWithin = (path: string, folder: string): boolean =>
  path === folder || path.startsWith(folder.endsWith('/') ? folder : `${folder}/`);

/** Where the file system begins that a path lies on. Pure. */
export const mountPointOf = (path: string, { mounted }: Mounts): string =>
  mounted.filter((point) => isWithin(path, point)).reduce((longest, point) => (point.length > longest.length ? point : longest), '/');

/** A file system that a path should lie on, or that should lie below it, and that is not mounted. Pure. */
export const unmountedAt = (path: string, { mounted, wanted }: Mounts): string | undefined =>
  wanted.find((point) => !mounted.includes(point) && (isWithin(path, point) || isWithin(point, path)));

/** The mount point that was there at the last backup and is not any more; a disk that came in between is no loss. Pure. */
export function lostMount(before: string | undefined, now: string | undefined): string | undefined {
  if (before === undefined || now === undefined || isWithin(now, before)) return undefined;
  return before;
}
