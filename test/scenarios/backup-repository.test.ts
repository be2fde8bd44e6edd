import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { readResults } from '../../src/backup/proven.ts';
import { eventually } from '../support/eventually.ts';
import { startRestServer } from '../support/rest-server.ts';
import { withProject } from '../support/scenario.ts';
import { pathWithoutRestic } from '../support/without-restic.ts';

const APP = `
    image: busybox:1
    command: [sh, -c, "trap exit TERM; echo something > /data/file; while :; do sleep 0.2; done"]
    healthcheck: {test: [CMD, test, -e, /data/file], interval: 5s, retries: 100, start_period: 60s, start_interval: 300ms}
    volumes: [data:/data]`.trimStart();

const compose = `
services:
  app:
    ${APP}
volumes: {data: {}}
x-composure: {backup: {repository: ./repository, keep-last: 1, verify: {schedule: "0 4 * * *", parts: 2}}}
`;

test('a repository from its creation to what is pruned from it', async () => {
  await withProject('backup repository', { files: { 'compose.yaml': compose } }, async (p) => {
    const backup = async (...args: string[]) => {
      const { code, out, err } = await p.composure(['backup', ...args]);
      return { code, out: out.replaceAll(p.name, 'shop'), err };
    };
    const wrong = (...args: string[]) => p.composure(['backup', ...args], { env: { RESTIC_PASSWORD: 'another' } });
    const repository = join(p.folder, 'repository');
    const secrets = join(p.folder, 'secrets.age.yaml');
    expect((await p.compose(['up', '-d', '--wait'])).code).toBe(0);

    expect(await backup('list')).toMatchObject({ code: 3, err: expect.stringMatching(/no RESTIC_PASSWORD.*composure backup init/s) });
    expect(await wrong('list')).toMatchObject({ code: 4, err: expect.stringContaining('REPOSITORY_MISSING') });
    const dry = await backup('init', '--dry-run');
    expect(dry).toMatchObject({ code: 0 });
    expect(dry.out).toMatch(
      /app\/files\/data .*\+ create the repository .*repository, encrypted .*\+ make RESTIC_PASSWORD .*same file system/s,
    );
    expect(await backup('init')).toMatchObject({ code: 9 });
    expect([repository, secrets].map((path) => existsSync(path))).toEqual([false, false]);

    const made = await backup('init', '--yes');
    expect(made).toMatchObject({ code: 0, out: expect.stringMatching(/created .*repository.*composure backup kit/s) });
    const password = (await p.composure(['secrets', 'get', 'RESTIC_PASSWORD'])).out;
    expect(password).toMatch(/^[\w-]{43}$/);
    expect(made.out + made.err + (await readFile(secrets, 'utf8'))).not.toContain(password);
    expect((await backup('init', '--yes')).out).toContain('is a repository already, and RESTIC_PASSWORD opens it');
    expect(await wrong('init', '--yes')).toMatchObject({ code: 4, err: expect.stringContaining('REPOSITORY_PASSWORD') });
    expect(await wrong('verify')).toMatchObject({ code: 4, err: expect.stringContaining('REPOSITORY_PASSWORD') });
    expect(await backup('list')).toMatchObject({ code: 0, out: expect.stringContaining('has no backup of shop yet') });

    expect(await backup('run')).toMatchObject({ code: 0 });
    expect(await p.composure(['backup', 'run'], { env: { PATH: pathWithoutRestic() } })).toMatchObject({ code: 0 });
    const { sets } = JSON.parse((await backup('list', '--json')).out) as { sets: { set: string }[] };
    const [newest, older] = sets.map(({ set }) => set);
    const list = await backup('list');
    expect(list.out.split('\n').slice(1, 3)).toEqual([
      expect.stringMatching(`^${newest} .* unproven$`),
      expect.stringMatching(`^${older} .* unproven$`),
    ]);
    const shown = await backup('show', older ?? '');
    expect(shown.out).toMatch(
      new RegExp(`^set ${older} of shop: unproven\n.*app/files/data\n  .* snapshot [0-9a-f]{8}; .*\n  1 file in `, 's'),
    );
    expect(JSON.parse((await backup('show', '--json')).out)).toMatchObject({ set: newest, missing: [], contents: { project: 'shop' } });
    expect(await backup('show', 'x')).toMatchObject({ code: 3, err: expect.stringMatching(new RegExp(`${newest}.*SET_UNKNOWN`, 's')) });

    expect((await backup('verify')).out).toMatch(/is whole: part 1 of 2 read, all \d+ snapshots of 2 sets there/);
    expect((await backup('verify')).out).toContain('part 2 of 2');
    expect((await backup('verify', '--all')).out).toContain('all data read');

    const plan = await backup('prune', '--dry-run');
    expect(plan.out).toMatch(new RegExp(`  keep    ${newest} .* last snapshot, newest\n- remove  ${older} .* no rule keeps it`));
    expect(await backup('prune')).toMatchObject({ code: 9 });
    expect(await backup('prune', '--yes')).toMatchObject({ code: 0, out: plan.out });
    expect((await backup('list')).out).not.toContain(older);
    expect((await backup('unlock')).out).toMatch(/^nothing holds /);
    const living = spawn('restic', ['backup', '--stdin', '-r', repository], {
      env: { ...process.env, RESTIC_PASSWORD: password },
      stdio: ['pipe', 'ignore', 'ignore'],
    });
    await eventually(async () =>
      expect((await backup('unlock')).out).toMatch(/ shared +alive: that restic runs on this host\n0 of 1 removed/),
    );
    expect(await backup('unlock', '--all')).toMatchObject({ code: 9 });
    expect((await backup('unlock', '--all', '--yes')).out).toContain('1 of 1 removed');
    living.kill('SIGKILL');

    const results = await readResults(p.state, p.name);
    expect(
      results.filter(({ kind }) => kind !== 'run').map(({ kind, ok, code, numbers }) => ({ kind, ok, code, part: numbers.part })),
    ).toEqual([
      { kind: 'verify', ok: false, code: 'REPOSITORY_PASSWORD' },
      { kind: 'verify', ok: true, part: 1 },
      { kind: 'verify', ok: true, part: 2 },
      { kind: 'verify', ok: true },
      { kind: 'prune', ok: true },
    ]);
  });
});

test('a REST server that only takes additions: refusals are told as what they are, and nothing is pruned by itself', async () => {
  const rest = await startRestServer(['--append-only']);
  const file = (more: string, post = 'true') => `
services:
  app:
    ${APP}
    x-backup: {post: ['${post}']}
volumes: {data: {}}
x-composure:
  backup:
    repository: ${rest.repository}
    schedule: 15 3 * * *
    keep-last: 1
    secrets: [RESTIC_REST_USERNAME, RESTIC_REST_PASSWORD]${more}
`;
  try {
    await withProject('append only', { files: { 'compose.yaml': file('') } }, async (p) => {
      const backup = (...args: string[]) => p.composure(['backup', ...args], { env: rest.credentials });
      const planned = async () =>
        (JSON.parse((await backup('status', '--json')).out) as { next: { job: string }[] }).next.map(({ job }) => job);
      expect(await p.compose(['up', '-d', '--wait'])).toMatchObject({ code: 0 });
      expect(await p.composure(['backup', 'init', '--yes'], { env: { ...rest.credentials, RESTIC_REST_PASSWORD: 'x' } })).toMatchObject({
        code: 4,
        err: expect.stringMatching(/401 Unauthorized/),
      });
      expect(await backup('init', '--yes')).toMatchObject({ code: 0 });
      for (let count = 0; count < 2; count++) expect(await backup('run')).toMatchObject({ code: 0 });
      expect(await planned()).toEqual(['run', 'prune', 'verify', 'drill']);
      const refused = await backup('prune', '--yes');
      expect(refused).toMatchObject({ code: 4, err: expect.stringMatching(/lets nothing be removed from here.*append-only/s) });
      expect(refused.err).not.toMatch(/runtime|\.go:/);

      await p.write('compose.yaml', file('', 'false'));
      const failed = await backup('run');
      expect(failed).toMatchObject({
        code: 5,
        err: expect.stringMatching(/could not be taken back, and does not count: .* removed from here\n.*error: post of app ended/s),
      });

      await p.write('compose.yaml', file('\n    append-only: true', 'false'));
      expect((await backup('run')).err).toMatch(/stays in the repository and does not count\n.*error: post of app ended/s);
      await p.write('compose.yaml', file('\n    append-only: true'));
      const again = await backup('run');
      expect(again).toMatchObject({ code: 0 });
      expect(again.err).not.toMatch(/not finished|unfinished/);
      expect(await planned()).toEqual(['run', 'verify', 'drill']);
      const { sets } = JSON.parse((await backup('list', '--json')).out) as { sets: { complete: boolean }[] };
      expect(sets.map(({ complete }) => complete)).toEqual([true, false, false, true, true]);
      expect((await backup('verify', '--all')).out).toMatch(/is whole/);
    });
  } finally {
    await rest.stop();
  }
});
