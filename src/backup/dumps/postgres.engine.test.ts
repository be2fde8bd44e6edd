import { dumpContract } from './contract.ts';
import { connectionTo, postgres } from './postgres.ts';

/** A name that a connection string, a shell and SQL would each read as something else. */
const DATABASE = `odd host=nowhere.invalid "n'\\ame $(id), 100%`;
const QUOTED = `"${DATABASE.replaceAll('"', '""')}"`;
const sql = (text: string, database = 'shop'): string[] => [
  'psql',
  '-U',
  'shop',
  '-d',
  connectionTo(database),
  '-v',
  'ON_ERROR_STOP=1',
  '-qc',
  text,
];

dumpContract(postgres, {
  image: 'postgres:18-alpine',
  run: ['-e', 'POSTGRES_USER=shop', '-e', 'POSTGRES_PASSWORD=for tests only', '-e', 'POSTGRES_DB=shop'],
  database: DATABASE,
  program: 'pg_dump',
  fill: [
    sql(`CREATE DATABASE ${QUOTED} TEMPLATE template0 LOCALE 'C' ENCODING 'SQL_ASCII'`),
    sql(`ALTER DATABASE ${QUOTED} SET work_mem = '5 MB'`),
    sql(`REVOKE CONNECT ON DATABASE ${QUOTED} FROM PUBLIC`),
    sql(
      `CREATE TABLE orders (id int PRIMARY KEY, note text, created_at timestamptz DEFAULT now());
      INSERT INTO orders SELECT g, repeat(md5(g::text), 40) FROM generate_series(1, 12000) g;
      CREATE TABLE "Odd ""name" (a int); CREATE VIEW v AS SELECT 1; CREATE SEQUENCE s`,
      DATABASE,
    ),
  ],
  same: sql(
    `SELECT pg_get_userbyid(datdba), datcollate, pg_encoding_to_char(encoding), ARRAY(SELECT unnest(datacl)::text ORDER BY 1), setconfig
      FROM pg_database LEFT JOIN pg_db_role_setting ON setdatabase = pg_database.oid WHERE datname LIKE 'odd%'`,
  ),
});
