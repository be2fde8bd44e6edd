import { dumpContract } from './contract.ts';
import { postgres } from './postgres.ts';

const sql = (text: string): string[] => ['psql', '-U', 'shop', '-d', 'shop', '-v', 'ON_ERROR_STOP=1', '-qc', text];

dumpContract(postgres, {
  image: 'postgres:18-alpine',
  run: ['-e', 'POSTGRES_USER=shop', '-e', 'POSTGRES_PASSWORD=for tests only', '-e', 'POSTGRES_DB=shop'],
  database: 'shop',
  program: 'pg_dump',
  fill: [
    sql(`CREATE TABLE orders (id int PRIMARY KEY, note text, created_at timestamptz DEFAULT now());
      INSERT INTO orders SELECT g, repeat(md5(g::text), 40) FROM generate_series(1, 60000) g;
      CREATE TABLE "Odd ""name" (a int); CREATE VIEW v AS SELECT 1; CREATE SEQUENCE s`),
  ],
});
