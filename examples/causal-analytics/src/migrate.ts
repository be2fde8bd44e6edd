import { setTimeout as sleep } from 'node:timers/promises';
import { openDatabase } from './database.ts';
import { log } from './settings.ts';

/**
 * Brings the database to the shape that this version needs, and ends. Each step runs once, in its own transaction; an advisory lock lets
 * two of them at once run one after the other.
 */
const steps: [name: string, sql: string][] = [
  [
    '001 events',
    `create table events (
       id bigint generated always as identity primary key,
       at timestamptz not null,
       segment text not null,
       value double precision not null
     );
     create index events_at on events (at);
     select setseed(0.42);
     insert into events (at, segment, value)
     select date_trunc('day', now()) - random() * interval '90 days',
            (array['new', 'returning', 'loyal', 'lapsed'])[1 + floor(random() * 4)::int],
            round((exp(3 + random()))::numeric, 2)
     from generate_series(1, 20000)`,
  ],
  [
    '002 results',
    `create table rollups (
       period text not null,
       start timestamptz not null,
       segment text not null,
       count integer not null,
       sum double precision not null,
       min double precision not null,
       max double precision not null,
       primary key (period, start, segment)
     );
     create table results (
       job text primary key,
       tier text not null,
       kind text not null,
       version text not null,
       finished timestamptz not null default now(),
       result jsonb not null
     );
     create index results_finished on results (finished desc)`,
  ],
  ['003 twins', 'create unlogged table twins (job text not null, age real not null, spend real not null, visits real not null)'],
];

const outcome = process.env.MIGRATE_RESULT || 'ok';
const delayMs = Number(process.env.MIGRATE_DELAY_MS || 0);
if (delayMs > 0) await sleep(delayMs);

const pool = openDatabase({ connections: 1 });
const client = await pool.connect();
try {
  await client.query("select pg_advisory_lock(hashtext('migrate'))");
  await client.query('create table if not exists migrations (name text primary key, done timestamptz not null default now())');
  const { rows } = await client.query<{ name: string }>('select name from migrations');
  const done = new Set(rows.map((row) => row.name));
  if (outcome === 'fail') throw new Error('failing as MIGRATE_RESULT asks');
  for (const [name, sql] of steps) {
    if (done.has(name)) continue;
    await client.query('begin');
    await client.query(sql);
    await client.query('insert into migrations (name) values ($1)', [name]);
    await client.query('commit');
    log('migrated', { step: name });
  }
  log('database is up to date', { steps: steps.length });
} catch (error) {
  log('migration failed', { error: error instanceof Error ? error.message : String(error) });
  process.exitCode = 1;
} finally {
  // Closes the connection, which also gives the lock and an unfinished transaction back.
  client.release(true);
  await pool.end();
}
