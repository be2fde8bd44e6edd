import { cp, readdir, readFile, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { networkInterfaces } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { makeVolumes, requireScratch } from '../../src/backup/drill/make.ts';
import type { DrillEvidence } from '../../src/backup/drill/model.ts';
import type { BackupSet, Manifest } from '../../src/backup/model.ts';
import { readResults } from '../../src/backup/proven.ts';
import { openRestic } from '../../src/backup/restic/program.ts';
import { saveStream } from '../../src/backup/restic/save.ts';
import { listSets, MANIFEST_FILE, readManifest, tagsOf } from '../../src/backup/sets.ts';
import { type ContainerSummary, openDocker } from '../../src/docker/api.ts';
import { COMPOSE, OURS } from '../../src/docker/labels.ts';
import { eventually } from '../support/eventually.ts';
import { type CommandResult, type ScenarioProject, withProject } from '../support/scenario.ts';
import { buildShopDatabase, DB_PASSWORD, fillShop, shopFiles } from '../support/shop.ts';
import { serving, succeeds } from '../support/stacks.ts';

/** A drill restores a whole project: the tests share one, and each spoils a copy of its repository in its own way. */
const docker = openDocker();
const PASSWORD = 'for tests only';
const env = { RESTIC_PASSWORD: PASSWORD, DB_PASSWORD };
let p: ScenarioProject;
let finish: () => void;
let over: Promise<void>;
let live: Record<string, string>;

beforeAll(async () => {
  const image = await buildShopDatabase();
  await new Promise<void>((ready, failed) => {
    over = withProject('drill', { files: shopFiles }, async (project) => {
      p = project;
      try {
        succeeds(await p.docker(['tag', image, `${p.name}-db`]));
        succeeds(await p.docker(['run', '--rm', '--volume', `${p.folder}:/w`, '--entrypoint', 'true', 'busybox:1']));
        for (const command of fillShop) succeeds(await p.compose(command, env));
        succeeds(await p.composure(['backup', 'init', '--yes'], { env }));
        succeeds(await p.composure(['backup', 'run'], { env }));
        live = await serving(p);
        const ended = new Promise<void>((resolve) => {
          finish = resolve;
        });
        ready();
        await ended;
      } finally {
        await p.docker(['rmi', `${p.name}-db`]);
      }
    });
    over.catch(failed);
  });
});
afterAll(async () => {
  finish?.();
  await over;
});

const drill = (args: string[] = [], more: Record<string, string> = {}): Promise<CommandResult> =>
  p.composure(['backup', 'drill', ...args], { env: { ...env, ...more } });

/** What scratch things of this project there are, by their names. */
async function scratch(): Promise<string[]> {
  const isMine = (labels: Record<string, string> | null): boolean =>
    labels?.[OURS.scratch] !== undefined && labels[OURS.scratchOwner]?.startsWith(`${process.pid} `) === true;
  const all = [
    ...(await docker.listContainers([OURS.scratch])).map(({ Names, Labels }) => ({ name: Names[0] ?? '', labels: Labels })),
    ...(await docker.listNetworks([OURS.scratch])).map(({ Name, Labels }) => ({ name: Name, labels: Labels })),
    ...(await docker.listVolumes()).map(({ Name, Labels }) => ({ name: Name, labels: Labels })),
  ];
  return all.filter(({ labels }) => isMine(labels)).map(({ name }) => name);
}

const nothingIsLeft = async (): Promise<void> => {
  expect(await scratch()).toEqual([]);
  expect((await readdir(join(p.state, 'projects', p.name, 'backup'))).filter((name) => name.startsWith('drill-'))).toEqual([]);
  expect(await serving(p)).toEqual(live);
};

/** A copy of the repository whose newest set is spoiled. */
async function spoiled(
  name: string,
  spoil: (repository: { folder: string; set: BackupSet; manifest: Manifest }) => Promise<Manifest | undefined>,
) {
  const folder = join(p.folder, `repository-${name}`);
  await cp(join(p.folder, 'repository'), folder, { recursive: true });
  const restic = await openRestic({ repository: folder, timezone: 'UTC', keep: {}, secrets: [] }, env);
  const [set] = await listSets(restic, p.name);
  if (!set?.manifest) throw new Error('there is no set');
  const manifest = await spoil({ folder, set, manifest: await readManifest(restic, set) });
  if (manifest !== undefined) {
    expect((await restic.run(['forget', set.manifest])).code).toBe(0);
    const stream = (async function* () {
      yield Buffer.from(JSON.stringify(manifest));
    })();
    const tags = tagsOf(p.name, set.set, 'manifest');
    await saveStream(restic, { file: MANIFEST_FILE, tags, scratch: p.folder, host: 'here', stream, verdict: async () => undefined });
  }
  return { REPOSITORY: folder, restic };
}

/** Fails for the reason that `text` says, and leaves nothing. */
async function failsWith(result: CommandResult, code: number, ...texts: string[]): Promise<void> {
  expect(result.code, result.err).toBe(code);
  for (const text of texts) expect(result.err).toContain(text);
  await nothingIsLeft();
}

test('a drill is planned without touching anything, a killed one is cleared away by the next, and that one passes', async () => {
  const planned = succeeds(await drill(['--dry-run']));
  expect(planned.out).toContain('start on networks without a way out');
  expect(planned.out).toMatch(/not drilled\n {2}proxy {2}it has \/var\/run\/docker.sock of the host\n/);
  await nothingIsLeft();

  const killed = p.spawnComposure(['backup', 'drill'], env);
  const servers = (): Promise<ContainerSummary[]> =>
    docker
      .listContainers([`${OURS.scratch}`])
      .then((all) => all.filter(({ Labels }) => Labels[OURS.scratchOwner]?.startsWith(`${killed.process.pid} `)));
  await eventually(async () => expect((await servers()).length).toBeGreaterThan(0), { timeoutMs: 60_000, everyMs: 50 });
  killed.kill('SIGKILL');
  await killed.done;
  const left = await servers();
  expect(left.length).toBeGreaterThan(0);

  const passed = succeeds(await drill(['--json']));
  expect(passed.err).toContain('removed what a drill that was killed had left');
  expect(await servers()).toEqual([]);
  const evidence = JSON.parse(passed.out) as DrillEvidence;
  expect(evidence.passed).toBe(true);
  expect(evidence.stores.map(({ id, differences }) => [id, differences])).toEqual(evidence.stores.map(({ id }) => [id, []]));
  expect(evidence.stores.map(({ id }) => id)).toEqual(
    expect.arrayContaining(['project', 'db/postgres-roles', 'db/postgres/shop', 'cache/redis']),
  );
  expect(evidence.services.map(({ service, kind }) => [service, kind])).toEqual([
    ['app', 'healthy'],
    ['cache', 'running'],
    ['count', 'ended'],
    ['db', 'healthy'],
  ]);
  expect(evidence.left).toEqual([{ service: 'proxy', why: 'it has /var/run/docker.sock of the host' }]);
  expect(evidence.numbers.gapSeconds).toBe(86_400);
  expect(evidence.numbers.rtoSeconds).toBeGreaterThan(1);
  expect(evidence.numbers.rtoSeconds).toBeLessThan(120);
  const history = await readResults(p.state, p.name);
  expect(history.at(-1)).toMatchObject({ kind: 'drill', ok: true, set: evidence.set, numbers: evidence.numbers });
  expect((await p.composure(['backup', 'list'], { env })).out).toContain('proven');
  console.log(`RTO ${evidence.numbers.rtoSeconds} s, of which restored ${evidence.numbers.stageSeconds} s`);
  await nothingIsLeft();
});
