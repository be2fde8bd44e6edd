import pg from 'pg';
import { log, readPassword, settings } from './settings.ts';

export function openDatabase({ connections }: { connections: number }): pg.Pool {
  const pool = new pg.Pool({
    ...settings.postgres,
    password: readPassword,
    max: connections,
    connectionTimeoutMillis: 5_000,
    idleTimeoutMillis: 30_000,
    application_name: settings.hostname,
  });
  // A connection that dies while nobody uses it is replaced at the next query; without a listener it would end the process.
  pool.on('error', (error) => log('postgres', { error: error.message }));
  return pool;
}
