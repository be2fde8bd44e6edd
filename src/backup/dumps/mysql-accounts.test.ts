import { expect, test } from 'vitest';
import { mysqlAccounts, statementsOf } from './mysql-accounts.ts';

test.each([
  [
    'MySQL, with a role to begin with',
    "CREATE USER `app`@`%` IDENTIFIED WITH 'caching_sha2_password' AS 0x2441 DEFAULT ROLE `a``b`@`%`,`c`@`%` REQUIRE NONE ACCOUNT UNLOCK",
    [
      "CREATE USER IF NOT EXISTS `app`@`%` IDENTIFIED WITH 'caching_sha2_password' AS 0x2441 REQUIRE NONE ACCOUNT UNLOCK;",
      "ALTER USER `app`@`%` IDENTIFIED WITH 'caching_sha2_password' AS 0x2441 REQUIRE NONE ACCOUNT UNLOCK;",
    ],
    ['ALTER USER `app`@`%` DEFAULT ROLE `a``b`@`%`,`c`@`%`;'],
  ],
  [
    'MariaDB',
    "CREATE USER `a``pp`@`10.0.%` IDENTIFIED BY PASSWORD '*C0'",
    [
      "CREATE USER IF NOT EXISTS `a``pp`@`10.0.%` IDENTIFIED BY PASSWORD '*C0';",
      "ALTER USER `a``pp`@`10.0.%` IDENTIFIED BY PASSWORD '*C0';",
    ],
    [],
  ],
  ['an older MariaDB, without a password', "CREATE USER 'it''s'@'%'", ["CREATE USER IF NOT EXISTS 'it''s'@'%';"], []],
  ['a right', 'GRANT SELECT ON `shop`.* TO `app`@`%`', ['GRANT SELECT ON `shop`.* TO `app`@`%`;'], []],
  ['a role', "CREATE ROLE IF NOT EXISTS 'readers'", ["CREATE ROLE IF NOT EXISTS 'readers';"], []],
])('%s', (_title, answer, first, last) => {
  expect(statementsOf(answer)).toEqual({ first, last });
});

test.each([
  ['without accounts', '-- Accounts completed\n'],
  ['with some', 'CREATE USER IF NOT EXISTS `a`@`%`;\nGRANT USAGE ON *.* TO `a`@`%`;\n-- Accounts completed\n'],
])('a dump %s is whole, and cut anywhere it is not', (_title, text) => {
  const verdict = (content: string): string | undefined => {
    const check = mysqlAccounts.check();
    check.write(Buffer.from(content));
    return check.end();
  };
  expect(verdict(text)).toBeUndefined();
  for (let length = 0; length < text.length; length++) expect(verdict(text.slice(0, length)), `${length}`).toEqual(expect.any(String));
});
