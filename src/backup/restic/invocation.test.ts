import { expect, test } from 'vitest';
import { isLocal, withoutPassword } from './invocation.ts';

test.each([
  ['rest:https://ops:s3cr:et@backup.example.com:8000/shop', 'rest:https://ops:***@backup.example.com:8000/shop'],
  ['rest:http://ops:a@b@host/', 'rest:http://ops:***@host/'],
  ['rest:https://ops@host/shop', 'rest:https://ops@host/shop'],
  ['s3:https://s3.example.com:9000/a:b@c', 's3:https://s3.example.com:9000/a:b@c'],
  ['sftp:backup@nas:/srv/restic', 'sftp:backup@nas:/srv/restic'],
  ['/mnt/a:b@c', '/mnt/a:b@c'],
])('%s is shown as %s', (address, shown) => {
  expect(withoutPassword(address)).toBe(shown);
  expect(isLocal(shown)).toBe(isLocal(address));
});
