import { readdir, readFile } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { expect, test } from 'vitest';
import { type ScenarioProject, withProject } from '../support/scenario.ts';
import { running, succeeds } from '../support/stacks.ts';

const FILE_VALUE = 'c4n4ry-in-a-file';
const ENV_VALUE = 'c4n4ry-in-the-environment';

const COMPOSE = `
services:
  app:
    image: busybox:1
    user: "1234"
    command: [sleep, infinity]
    stop_signal: SIGKILL
    environment:
      DATABASE_URL: "db://app:\${DATABASE_PASSWORD}@db"
    secrets:
      - {source: token, target: TOKEN, uid: "1234", gid: "1234", mode: 0400}
      - dotenv
    configs:
      - {source: motd, target: /etc/motd}
    deploy: {update_config: {monitor: 0s}}
secrets:
  token: {environment: TOKEN}
  dotenv: {environment: FROM_DOTENV}
configs:
  motd: {content: "hello $$USER\\n"}
`;

async function inApp(p: ScenarioProject, ...command: string[]): Promise<string> {
  const [container] = await running(p, 'app');
  return succeeds(
    await p.docker(['exec', container ?? '', ...command]).then(({ code, stdout, stderr }) => ({ code, out: stdout, err: stderr })),
  ).out;
}

/** Files below a folder that hold the text, relative to it. */
async function filesWith(folder: string, text: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  const found = await Promise.all(files.map(async (file) => ((await readFile(file)).includes(text) ? [relative(folder, file)] : [])));
  return found.flat().sort();
}

/** Command lines of all processes of the machine that hold the text, while `work` goes on. */
async function commandLinesWith(text: string, work: Promise<unknown>): Promise<{ looks: number; found: string[] }> {
  const found = new Set<string>();
  let looks = 0;
  let ended = false;
  const done = work.finally(() => {
    ended = true;
  });
  while (!ended) {
    looks += 1;
    for (const name of await readdir('/proc')) {
      if (!/^\d+$/.test(name)) continue;
      const line = await readFile(`/proc/${name}/cmdline`, 'utf8').catch(() => '');
      if (line.includes(text)) found.add(line.replaceAll('\0', ' '));
    }
    await new Promise((resolve) => setTimeout(resolve, 40));
  }
  await done;
  return { looks, found: [...found] };
}

test('secrets reach the containers of a release as files with owner and mode, and are found nowhere but where the guide says', async () => {
  await withProject('secrets', { files: { 'compose.yaml': COMPOSE, '.env': 'FROM_DOTENV="from .env"\n' } }, async (p) => {
    expect(await p.composure(['deploy', '--yes'])).toMatchObject({ code: 3, err: expect.stringMatching(/TOKEN/) });

    succeeds(await p.composure(['secrets', 'set', 'TOKEN'], { input: FILE_VALUE }));
    succeeds(await p.composure(['secrets', 'set', 'DATABASE_PASSWORD'], { input: ENV_VALUE }));
    succeeds(await p.composure(['secrets', 'set', 'UNUSED'], { input: 'c4n4ry-unused' }));
    const deploying = p.spawnComposure(['deploy', '--yes']);
    const { looks, found } = await commandLinesWith('c4n4ry', deploying.done);
    const { out, err } = deploying.output();
    expect(err + out).toContain('at release 1');
    expect(looks).toBeGreaterThan(5);
    expect(found).toEqual([]);
    expect(out + err).not.toContain('c4n4ry');
    expect(out + err).toMatch(/compose\.yaml:8:\d+: docker inspect shows DATABASE_PASSWORD, because services\.app\.environment holds it/);

    expect(await inApp(p, 'cat', '/run/secrets/TOKEN')).toBe(FILE_VALUE);
    expect(await inApp(p, 'stat', '-c', '%a %u %g', '/run/secrets/TOKEN')).toBe('400 1234 1234\n');
    expect(await inApp(p, 'cat', '/run/secrets/dotenv', '/etc/motd')).toBe('from .envhello $USER\n');

    const [container] = await running(p, 'app');
    const inspected = JSON.stringify(await p.inspect(container ?? ''));
    expect(inspected).not.toContain(FILE_VALUE);
    expect(inspected).not.toContain('c4n4ry-unused');
    expect(inspected).toContain(ENV_VALUE);
    for (const folder of [p.folder, p.state]) {
      expect(await filesWith(folder, FILE_VALUE)).toEqual([]);
      expect(await filesWith(folder, 'c4n4ry-unused')).toEqual([]);
    }
    expect(await filesWith(p.folder, ENV_VALUE)).toEqual([]);
    expect(await filesWith(p.state, ENV_VALUE)).toEqual([`projects/${p.name}/releases/1.compose.json`]);

    expect(succeeds(await p.composure(['deploy', '--yes'])).out).toContain('nothing to do');
    const up = succeeds(await p.composure(['secrets', 'exec', '--dry-run', '--', 'docker', 'compose', 'up', '-d']));
    expect(up.out).toContain('DATABASE_PASSWORD, TOKEN, UNUSED');
    const command = p.spawnComposure(['secrets', 'exec', '--', 'docker', 'compose', 'up', '-d']);
    expect((await command.done).code).toBe(0);
    expect(await running(p, 'app')).toEqual([container]);
  });
});

test('a secret that was set anew replaces the services that read it, and a rollback brings back the containers with the value that they had', async () => {
  await withProject('secret changed', { files: { 'compose.yaml': COMPOSE, '.env': 'FROM_DOTENV=x\n' } }, async (p) => {
    succeeds(await p.composure(['secrets', 'set', 'TOKEN'], { input: 'first' }));
    succeeds(await p.composure(['secrets', 'set', 'DATABASE_PASSWORD'], { input: 'one' }));
    succeeds(await p.composure(['deploy', '--yes']));
    succeeds(await p.composure(['secrets', 'set', 'TOKEN'], { input: 'second' }));
    const plan = succeeds(await p.composure(['plan']));
    expect(plan.out).toMatch(/app +replace +content changed of \/run\/secrets\/TOKEN/);
    expect(plan.out + plan.err).toContain('docker inspect shows DATABASE_PASSWORD');
    succeeds(await p.composure(['deploy', '--yes']));
    expect(await inApp(p, 'cat', '/run/secrets/TOKEN')).toBe('second');

    await p.write('.env', 'FROM_DOTENV=y\n');
    expect(succeeds(await p.composure(['plan'])).out).toMatch(/app +replace +content changed/);
    await p.write('.env', 'FROM_DOTENV=x\n');
    expect(succeeds(await p.composure(['plan'])).out).toContain('Nothing to do');

    succeeds(await p.composure(['secrets', 'set', 'DATABASE_PASSWORD'], { input: 'two' }));
    succeeds(await p.composure(['deploy', '--yes']));
    expect(await inApp(p, 'sh', '-c', 'echo $DATABASE_URL')).toBe('db://app:two@db\n');
    succeeds(await p.composure(['secrets', 'set', 'TOKEN'], { input: 'third' }));
    succeeds(await p.composure(['rollback', '--yes']));
    expect(await inApp(p, 'sh', '-c', 'echo $DATABASE_URL; cat /run/secrets/TOKEN')).toBe('db://app:one@db\nsecond');
    succeeds(await p.composure(['secrets', 'set', 'DATABASE_PASSWORD'], { input: 'one' }));
    expect(succeeds(await p.composure(['plan'])).out).toMatch(/app +replace +content changed of \/run\/secrets\/TOKEN/);
  });
});
