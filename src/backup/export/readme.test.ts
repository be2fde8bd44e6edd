import { expect, test } from 'vitest';
import { manifest, origin, store } from '../restore/fixtures.ts';
import { exportReadme } from './readme.ts';

const set = manifest([
  store('project'),
  store('db/postgres-roles', { path: '/roles.sql' }),
  store('db/postgres/shop', { path: '/shop.dump', tool: 'pg_dump 18' }),
  store('legacy/mysql-accounts', { path: '/mysql-accounts.sql' }),
  store('legacy/mysql/old shop', { name: 'old shop', path: '/old shop.sql', tool: 'mariadb-dump 11' }),
  store('app/files/uploads', { origin: origin('/data', { volume: 'shop_uploads' }) }),
]);

test('an archive says how it is unpacked and how each part is read', () => {
  const text = exportReadme(set, 'archive');
  expect(text).toContain(`    tar --extract --zstd --numeric-owner --file shop-${set.set}.tar.zst\n`);
  expect(text.slice(text.indexOf('## Roles'))).toMatchInlineSnapshot(`
    "## Roles of db (before its databases)

        psql -U postgres -d template1 -f db/postgres-roles/roles.sql   # as the server’s superuser; “already exists” of that one is no fault

    ## Database shop of db (pg_dump 18)

        pg_restore -U postgres --exit-on-error --create -d template1 db/postgres/shop.dump   # makes the database, with its owner and settings

    ## Accounts of legacy (after its databases)

        mariadb -u root -p --force < legacy/mysql-accounts/mysql-accounts.sql   # MySQL: mysql; a right to a table that is gone is no fault

    ## Database old shop of legacy (mariadb-dump 11)

        mariadb-admin -u root -p create 'old shop'   # MySQL: mysqladmin
        mariadb -u root -p 'old shop' < 'legacy/mysql/old shop.sql'   # MySQL: mysql

    ## Files of app: uploads

        cp -a app/files/uploads/. TARGET/
    "
  `);
});

test('a folder was unpacked already', () => {
  const text = exportReadme(set, 'folder');
  expect(text).not.toContain('tar --extract');
  expect(text).toContain('Who has this folder has the project’s env files');
});
