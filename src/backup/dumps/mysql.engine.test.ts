import { describe } from 'vitest';
import { hasImage } from '../../../test/support/images.ts';
import { dumpContract } from './contract.ts';
import { mysql } from './mysql.ts';

const IMAGES = [
  { title: 'MariaDB', image: 'mariadb:11', shell: 'mariadb', program: 'mariadb-dump', prefix: 'MARIADB' },
  { title: 'MySQL', image: 'mysql:9', shell: 'mysql', program: 'mysqldump', prefix: 'MYSQL' },
];

const DIGITS = Array.from({ length: 10 }, (_, digit) => `SELECT ${digit}`).join(' UNION ALL ');

for (const { title, image, shell, program, prefix } of IMAGES) {
  const sql = (text: string): string[] => ['env', 'MYSQL_PWD=for-tests-only', shell, '--user=root', 'shop', '-e', text];
  describe.skipIf(!(await hasImage(image, title)))(title, () => {
    dumpContract(mysql, {
      image,
      run: ['-e', `${prefix}_ROOT_PASSWORD=for-tests-only`, '-e', `${prefix}_DATABASE=shop`],
      database: 'shop',
      program,
      fill: [
        sql(`CREATE TABLE orders (id int PRIMARY KEY, note text, picture blob);
          INSERT INTO orders WITH digits (d) AS (${DIGITS}), numbers (n) AS (SELECT e.d + 10 * z.d + 100 * h.d + 1000 * t.d FROM digits e, digits z, digits h, digits t)
            SELECT n, REPEAT(SHA2(n, 256), 20), UNHEX(SHA2(n, 256)) FROM numbers;
          CREATE TABLE \`odd\`\`name\` (a int); ALTER DATABASE shop CHARACTER SET latin1 COLLATE latin1_german2_ci`),
      ],
      same: sql("SELECT * FROM information_schema.schemata WHERE schema_name = 'shop'"),
    });
  });
}
