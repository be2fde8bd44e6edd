import { isWithin } from '../files/mounts.ts';

/** Parts of the machine itself that containers look at. They are never a project's data. */
const FOLDERS = [
  '/proc',
  '/sys',
  '/dev',
  '/run',
  '/var/run',
  '/boot',
  '/lib',
  '/lib64',
  '/usr',
  '/bin',
  '/sbin',
  '/var/lib/docker',
  '/var/log',
  '/tmp/.X11-unix',
];
const FILES = [
  '/',
  '/etc',
  '/var',
  '/var/lib',
  '/home',
  '/root',
  '/tmp',
  '/etc/localtime',
  '/etc/timezone',
  '/etc/hosts',
  '/etc/resolv.conf',
  '/etc/hostname',
  '/etc/machine-id',
  '/etc/passwd',
  '/etc/group',
  '/etc/os-release',
];
const BELOW_ETC = ['/etc/ssl', '/etc/pki', '/etc/ca-certificates'];

/** Whether a bind mount's source is the machine's own. Docker's volumes are not. Pure. */
export function isHostPath(path: string): boolean {
  if (isWithin(path, '/var/lib/docker/volumes') && path !== '/var/lib/docker/volumes') return false;
  return FILES.includes(path) || [...FOLDERS, ...BELOW_ETC].some((folder) => isWithin(path, folder)) || /\.sock$/.test(path);
}
