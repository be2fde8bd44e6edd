import { dumpContract } from './contract.ts';
import { postgres } from './postgres.ts';
import { postgresRoles } from './postgres-roles.ts';

const sql = (text: string): string[] => ['psql', '-U', 'shop', '-d', 'shop', '-v', 'ON_ERROR_STOP=1', '-qc', text];

// A dump of roles takes a while only where much is to be said about them.
dumpContract(postgresRoles, {
  image: 'postgres:18-alpine',
  run: ['-e', 'POSTGRES_USER=shop', '-e', 'POSTGRES_PASSWORD=for tests only', '-e', 'POSTGRES_DB=shop'],
  database: '',
  foundAs: postgres,
  program: 'pg_dumpall',
  fill: [
    sql(`CREATE ROLE readers; CREATE ROLE "odd ""name" LOGIN PASSWORD 'x'; GRANT readers TO "odd ""name";
      DO $$ BEGIN FOR i IN 1..800 LOOP EXECUTE format('CREATE ROLE r%s; COMMENT ON ROLE r%s IS %L', i, i, repeat(md5(i::text), 400)); END LOOP; END $$`),
  ],
});
