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
  tells: sql(
    `SELECT json_build_array(pg_get_userbyid(datdba), (SELECT array_agg(a::text ORDER BY a::text) FROM unnest(datacl) a), shobj_description(oid, 'pg_database'),
        (SELECT array_agg(setconfig) FROM pg_db_role_setting s WHERE s.setdatabase = d.oid))
      FROM pg_database d WHERE datname LIKE 'odd %'`,
  ),
  fill: [
    sql(`CREATE DATABASE ${QUOTED}`),
    sql(
      `ALTER DATABASE ${QUOTED} OWNER TO pg_monitor; ALTER DATABASE ${QUOTED} SET statement_timeout TO '7min';
      COMMENT ON DATABASE ${QUOTED} IS 'the odd one'; REVOKE CONNECT ON DATABASE ${QUOTED} FROM PUBLIC; GRANT CREATE ON DATABASE ${QUOTED} TO pg_read_all_data`,
    ),
    sql(
      `CREATE TABLE orders (id int PRIMARY KEY, note text, created_at timestamptz DEFAULT now());
      INSERT INTO orders SELECT g, repeat(md5(g::text), 40) FROM generate_series(1, 60000) g;
      CREATE TABLE "Odd ""name" (a int); CREATE VIEW v AS SELECT 1; CREATE SEQUENCE s`,
      DATABASE,
    ),
  ],
});
