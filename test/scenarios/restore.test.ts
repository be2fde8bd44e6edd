import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { openDocker } from '../../src/docker/api.ts';
import { type ScenarioProject, withProject } from '../support/scenario.ts';
import { running, succeeds } from '../support/stacks.ts';

const COMPOSE = (repository: string): string => `
services:
  db:
    image: postgres:18-alpine
    environment: {POSTGRES_PASSWORD: for tests only}
    volumes: [db:/var/lib/postgresql]
    healthcheck: {test: [CMD, pg_isready, -q, -h, 127.0.0.1], interval: 500ms, retries: 60}
    stop_grace_period: 20s
  app:
    image: busybox:1
    command: [sleep, infinity]
    stop_signal: SIGKILL
    environment: {DATABASE_URL: "postgres://db/app"}
    volumes: [uploads:/data, ./shared:/shared]
    depends_on: {db: {condition: service_healthy}}
  other:
    image: busybox:1
    command: [sleep, infinity]
    stop_signal: SIGKILL
volumes: {db: {}, uploads: {}}
x-composure: {backup: {repository: ${repository}}}
`;

const sql = async (p: ScenarioProject, text: string): Promise<string> => {
  const [container = ''] = await running(p, 'db');
  const result = await p.docker(['exec', container, 'psql', '-U', 'postgres', '-h', '127.0.0.1', '-v', 'ON_ERROR_STOP=1', '-AtXqc', text]);
  expect(result.stderr).toBe('');
  return result.stdout.trim();
};

const inApp = async (p: ScenarioProject, script: string): Promise<string> => {
  const [container = ''] = await running(p, 'app');
  return succeeds(await p.docker(['exec', container, 'sh', '-c', script])).stdout;
};

const env = { RESTIC_PASSWORD: 'for tests only' };

test('restore', async () => {
  await withProject('restore', { files: (facts) => ({ 'compose.yaml': COMPOSE(`${facts.folder}.repo`), 'shared/note': 'old' }), env }, async (p) => {
    succeeds(await p.compose(['up', '-d', '--wait']));
    await sql(p, 'CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t SELECT generate_series(1, 1000)');
    await inApp(p, 'echo old > /data/file; chown -R 1234:1234 /data; chmod 750 /data');
    succeeds(await p.composure(['backup', 'init', '--yes']));
    const first = JSON.parse(succeeds(await p.composure(['backup', 'run', '--json'])).out.trim().split('\n').at(-1) ?? '');
    await sql(p, 'DELETE FROM t WHERE id > 10');
    await inApp(p, 'echo new > /data/file; echo more > /data/added; echo new > /shared/note');
    console.log((await p.composure(['backup', 'restore', '--dry-run'])).out);
    const done = await p.composure(['backup', 'restore', '--yes']);
    console.log(done.out, done.err);
    expect(await sql(p, 'SELECT count(*) FROM t')).toBe('1000');
    console.log(await inApp(p, 'ls -la /data; cat /data/file /shared/note'));
    void first; void readdir; void readFile; void join; void openDocker;
  });
});
