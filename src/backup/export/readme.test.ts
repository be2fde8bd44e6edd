import { expect, test } from 'vitest';
import { manifest, origin, store } from '../restore/fixtures.ts';
import { exportReadme } from './readme.ts';

const set = manifest([
  store('project'),
  store('db/postgres-roles', { path: '/roles.sql' }),
  store('db/postgres/shop', { path: '/shop.dump', tool: 'pg_dump 18' }),
  store('legacy/mysql/old shop', { name: 'old shop', path: '/old shop.sql', tool: 'mariadb-dump 11' }),
  store('app/files/uploads', { origin: origin('/data', { volume: 'shop_uploads' }) }),
]);

test('an archive says how it is unpacked and how each part is read', () => {
  const text = exportReadme(set, 'archive');
  expect(text).toContain(`    tar --extract --zstd --numeric-owner --file shop-${set.set}.tar.zst\n`);
  expect(text.slice(text.indexOf('## Roles'))).toMatchInlineSnapshot();
});

test('a folder was unpacked already', () => {
  const text = exportReadme(set, 'folder');
  expect(text).not.toContain('tar --extract');
  expect(text).toContain('Who has this folder has the project’s env files');
});
