import { existsSync } from 'node:fs';
import { readFile, rm, writeFile } from 'node:fs/promises';
import { expect, test } from 'vitest';
import { decryptText, newIdentity, recipientOf } from '../../src/secrets/encryption.ts';
import { eventually } from '../support/eventually.ts';
import { type ScenarioFacts, type ScenarioProject, withProject } from '../support/scenario.ts';
import { app, ask, route, running, stack, succeeds } from '../support/stacks.ts';

const db = {
  image: 'postgres:18-alpine',
  environment: { POSTGRES_PASSWORD: '${DATABASE_PASSWORD}', POSTGRES_DB: 'shop' },
  volumes: ['db:/var/lib/postgresql'],
  healthcheck: {
    test: ['CMD', 'pg_isready', '-q', '-h', '127.0.0.1'],
    interval: '5s',
    retries: 60,
    start_period: '60s',
    start_interval: '300ms',
  },
  stop_grace_period: '20s',
};

const files = async (p: ScenarioFacts): Promise<string> =>
  stack(
    p,
    {
      db,
      web: await app(
        { VERSION: 'one' },
        {
          // The whole folder is mounted too, with the files of the project in it.
          volumes: ['uploads:/uploads', './shared:/shared', '.:/project'],
          depends_on: { db: { condition: 'service_healthy' } },
          'x-edge': route(p),
        },
      ),
    },
    { volumes: { db: {}, uploads: {} }, 'x-composure': { backup: { repository: `${p.state}.repository` } } },
  );

const sql = async (p: ScenarioProject, text: string): Promise<string> => {
  const [container = ''] = await running(p, 'db');
  return succeeds(
    await p.docker(['exec', container, 'psql', '-U', 'postgres', '-d', 'shop', '-v', 'ON_ERROR_STOP=1', '-AtXqc', text]),
  ).stdout.trim();
};

const inWeb = async (p: ScenarioProject, script: string): Promise<string> => {
  const [container = ''] = await running(p, 'web');
  return succeeds(await p.docker(['exec', '-u', '0', container, 'sh', '-c', script])).stdout.trim();
};

const machine = (p: ScenarioProject) => inWeb(p, 'cat /uploads/file /shared/note; stat -c "%u %a" /uploads /uploads/file');

/** What a machine that burned down leaves: nothing but the repository. Images stay: no registry is asked. */
async function wipe(p: ScenarioProject): Promise<void> {
  succeeds(await p.compose(['down', '-v', '--timeout', '5'], { DATABASE_PASSWORD: 'any' }));
  succeeds(await p.composure(['edge', 'stop', '--yes']));
  await rm(p.folder, { recursive: true });
  await rm(p.state, { recursive: true });
}

test('a machine that has nothing but the repository and the kit serves again, with the same rows and files', {
  timeout: 300_000,
}, async () => {
  await withProject('rebuild', { files: () => ({}) }, async (p) => {
    const repository = `${p.state}.repository`;
    const kitFile = `${p.state}.kit`;
    const keyFile = `${p.state}.key`;
    try {
      await p.write('compose.yaml', await files(p));
      await p.write('shared/note', 'shared');
      await p.write('notes/later.txt', 'not a file of the project');
      succeeds(await p.composure(['secrets', 'set', 'DATABASE_PASSWORD'], { input: 'for tests only' }));
      succeeds(await p.composure(['deploy', '--yes']));
      await sql(p, 'CREATE TABLE orders AS SELECT g AS id FROM generate_series(1, 5000) g; CREATE ROLE reader');
      await inWeb(p, 'echo kept > /uploads/file; chown -R 1234 /uploads; chmod 750 /uploads');
      const before = await machine(p);
      succeeds(await p.composure(['backup', 'init', '--yes']));
      succeeds(await p.composure(['backup', 'run']));
      const key = await newIdentity();
      await writeFile(keyFile, `# recovery\n${key}\n`, { mode: 0o600 });
      const kit = succeeds(await p.composure(['backup', 'kit', '--recipient', await recipientOf(key), '--out', kitFile, '--json']));
      expect(JSON.parse(kit.out)).toMatchObject({ file: kitFile, written: true, variables: ['RESTIC_PASSWORD'], identities: 1 });
      expect(kit.out).not.toContain('AGE-SECRET-KEY');

      // While the project is there, nothing of it is written over.
      const refused = await p.composure(['rebuild', '--kit', kitFile, '--identity', keyFile, '--yes'], { cwd: '/' });
      expect(refused).toMatchObject({ code: 3, err: expect.stringContaining('this machine has something of') });

      await wipe(p);
      expect(existsSync(p.folder)).toBe(false);
      const password = /RESTIC_PASSWORD: (\S+)/.exec(await decryptText(await readFile(kitFile), [key]))?.[1] ?? '';
      const without = await p.composure(['rebuild', '--from', repository, '--yes'], { cwd: '/', env: { RESTIC_PASSWORD: password } });
      expect(without).toMatchObject({ code: 4, err: expect.stringMatching(/no identity[\s\S]*next: give the recovery kit/) });
      const unknown = await p.composure(['rebuild', '--from', repository, '--yes'], { cwd: '/' });
      expect(unknown).toMatchObject({
        code: 4,
        err: expect.stringContaining('next: give the recovery kit (--kit FILE --identity FILE), or set RESTIC_PASSWORD'),
      });
      expect(existsSync(p.folder)).toBe(false);

      const dry = succeeds(await p.composure(['rebuild', '--kit', kitFile, '--identity', keyFile, '--dry-run'], { cwd: '/' }));
      expect(dry.out).toContain(`Rebuild ${p.name} on this machine`);
      expect(existsSync(p.folder)).toBe(false);

      const done = succeeds(await p.composure(['rebuild', '--kit', kitFile, '--identity', keyFile, '--yes', '--json'], { cwd: '/' }));
      const { seconds, times } = JSON.parse(done.out.trim().split('\n').at(-1) ?? '') as { seconds: number; times: { step: string }[] };
      expect(times.map(({ step }) => step)).toEqual(['repository', 'files', 'images', 'data', 'release']);
      expect(seconds).toBeLessThan(120);
      await eventually(async () => expect(await ask(p)).toMatchObject({ status: 200, version: 'one' }));
      expect(await sql(p, 'SELECT count(*), max(id) FROM orders')).toBe('5000|5000');
      expect(await sql(p, "SELECT count(*) FROM pg_roles WHERE rolname = 'reader'")).toBe('1');
      expect(await machine(p)).toBe(before);
      expect(await p.read('notes/later.txt')).toBe('not a file of the project');
      // Plain Compose sees the same project and changes nothing.
      const ids = (await p.containers()).map(({ Id }) => Id);
      succeeds(await p.composure(['secrets', 'exec', '--', 'docker', 'compose', 'up', '-d']));
      expect((await p.containers()).map(({ Id }) => Id)).toEqual(ids);
      expect(succeeds(await p.composure(['backup', 'list'])).out).toMatch(/proven/);
    } finally {
      for (const path of [repository, kitFile, keyFile]) await rm(path, { recursive: true, force: true });
    }
  });
});
