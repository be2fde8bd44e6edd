import { expect, test } from 'vitest';
import { lostMount, mountedIn, mountPointOf, unmountedAt, wantedIn } from './mounts.ts';

const mounted = mountedIn(`22 1 8:1 / / rw,relatime - ext4 /dev/sda1 rw
30 22 0:26 / /proc rw - proc proc rw
41 22 8:17 / /mnt/my\\040photos rw - ext4 /dev/sdb1 rw
42 41 8:18 / /mnt/my\\040photos/raw rw - ext4 /dev/sdc1 rw
`);
const wanted = wantedIn(`# <file system> <mount point>
UUID=1 / ext4 defaults 0 1
UUID=2 none swap sw 0 0
/swapfile swap swap sw 0 0
\t/dev/sdb1  /mnt/my\\040photos ext4 nofail 0 2
/dev/sdd1 /srv/data ext4 nofail 0 2
/dev/sde1 /mnt/usb ext4 noauto,user 0 0
`);

test('mount points are read as the kernel and fstab write them', () => {
  expect(mounted).toEqual(['/', '/proc', '/mnt/my photos', '/mnt/my photos/raw']);
  expect(wanted).toEqual(['/', '/mnt/my photos', '/srv/data']);
});

test.each([
  ['/mnt/my photos/raw/a', '/mnt/my photos/raw'],
  ['/mnt/my photos/rawer', '/mnt/my photos'],
  ['/mnt/my photos', '/mnt/my photos'],
  ['/mnt', '/'],
])('%s lies on %s', (path, point) => {
  expect(mountPointOf(path, { mounted, wanted })).toBe(point);
});

test.each([
  ['/srv/data/shop', '/srv/data'],
  ['/srv', '/srv/data'],
  ['/srv/database', undefined],
  ['/mnt/my photos/a', undefined],
])('for %s the disk that is not there is %s', (path, point) => {
  expect(unmountedAt(path, { mounted, wanted })).toBe(point);
});

test.each([
  ['/mnt/photos', '/', '/mnt/photos'],
  ['/mnt/photos', '/mnt', '/mnt/photos'],
  ['/', '/mnt/photos', undefined],
  ['/mnt', '/mnt/photos', undefined],
  ['/mnt', '/mnt', undefined],
  [undefined, '/', undefined],
])('on %s before and on %s now, %s is lost', (before, now, lost) => {
  expect(lostMount(before, now)).toBe(lost);
});
