import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { inspectDatabases } from './inspect-databases.ts';

let folder: string;
const file = (name: string): string => join(folder, name);

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'composure-inspect-'));
  const database = new DatabaseSync(file('good'));
  database.exec(`CREATE TABLE "odd "" name" (n); INSERT INTO "odd "" name" VALUES (1), (2); CREATE TABLE empty (n)`);
  database.close();
  await writeFile(file('bad'), 'no database at all');
});
afterAll(() => rm(folder, { recursive: true, force: true }));

test('tells the rows of every table, and of each damaged database why', async () => {
  expect(await inspectDatabases([file('bad'), file('good')], 'integrity_check')).toEqual([
    { fault: 'file is not a database' },
    {
      tables: [
        { name: 'empty', rows: 0 },
        { name: 'odd " name', rows: 2 },
      ],
    },
  ]);
});

test('this thread works meanwhile, and need not wait for the end', async () => {
  const database = new DatabaseSync(file('large'));
  database.exec(
    `CREATE TABLE t (n); INSERT INTO t WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r LIMIT 300000) SELECT n FROM r`,
  );
  database.close();
  let turns = 0;
  const turning = setInterval(() => turns++, 1);
  expect(await inspectDatabases(Array(8).fill(file('large')), 'quick_check')).toHaveLength(8);
  clearInterval(turning);
  expect(turns).toBeGreaterThan(1);
  const impatient = inspectDatabases(Array(200).fill(file('large')), 'integrity_check', AbortSignal.timeout(20));
  await expect(impatient).rejects.toThrow(/abort/i);
});
