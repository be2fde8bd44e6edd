import { dumpContract } from './contract.ts';
import { mysql } from './mysql.ts';

const sql = (text: string): string[] => ['mariadb', '-uroot', '-pfor-tests-only', 'shop', '-e', text];

dumpContract(mysql, {
  image: 'mariadb:11',
  run: ['-e', 'MARIADB_ROOT_PASSWORD=for-tests-only', '-e', 'MARIADB_DATABASE=shop'],
  database: 'shop',
  program: 'mariadb-dump',
  notDumped: [
    'db: accounts of the server are in no dump, and after a restore reporting is gone: have a script in /docker-entrypoint-initdb.d make it',
  ],
  fill: [
    sql("CREATE USER reporting@'%' IDENTIFIED BY 'for-tests-only'"),
    sql(`CREATE TABLE orders (id int PRIMARY KEY, note text, picture blob);
      INSERT INTO orders SELECT seq, REPEAT(MD5(seq), 40), UNHEX(MD5(seq)) FROM seq_1_to_10000;
      CREATE TABLE \`odd\`\`name\` (a int); ALTER DATABASE shop CHARACTER SET latin1 COLLATE latin1_german2_ci`),
  ],
  same: sql("SELECT * FROM information_schema.schemata WHERE schema_name = 'shop'"),
});
