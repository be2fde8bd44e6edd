import { readdir, readFile, writeFile } from 'node:fs/promises';
import { type AddressInfo, createServer } from 'node:net';
import { networkInterfaces } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { makeVolumes, requireScratch } from '../../src/backup/drill/make.ts';
import type { DrillEvidence, DrillPlan } from '../../src/backup/drill/model.ts';
import type { Manifest } from '../../src/backup/model.ts';
import { readResults } from '../../src/backup/proven.ts';
import { saveFolder } from '../../src/backup/restic/save.ts';
import { tagsOf } from '../../src/backup/sets.ts';
import { keptScratch, removeScratch, scratchLabels } from '../../src/backup/stage/scratch.ts';
import { type ContainerSummary, openDocker } from '../../src/docker/api.ts';
import { COMPOSE, OURS } from '../../src/docker/labels.ts';
import { eventually } from '../support/eventually.ts';
import { type CommandResult, type ScenarioProject, withProject } from '../support/scenario.ts';
import { buildShopDatabase, fillShop, shopFiles } from '../support/shop.ts';
import { flipBit, forget, largestPack, type Spoiling, spoilCopy } from '../support/spoil.ts';
import { serving, succeeds } from '../support/stacks.ts';

// The application that is not well is waited for, and several such files may run at once.
vi.setConfig({ testTimeout: 240_000 });

/** A drill restores a whole project: the tests share one, and each spoils a copy of its repository in its own way. */
const docker = openDocker();
const PASSWORD = 'for tests only';
const env = { RESTIC_PASSWORD: PASSWORD };
let p: ScenarioProject;
let finish: () => void;
let over: Promise<void>;
let live: Record<string, string>;
/** Compose's name of the drill that was kept. */
let kept: string;

beforeAll(async () => {
  const image = await buildShopDatabase();
  await new Promise<void>((ready, failed) => {
    over = withProject('drill', { files: shopFiles }, async (project) => {
      p = project;
      try {
        succeeds(await p.docker(['tag', image, `${p.name}-db`]));
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

/** A copy of the repository whose newest set is spoiled, as the environment names it. */
async function spoiled(name: string, spoil: (spoiling: Spoiling) => Promise<Manifest | undefined>): Promise<Record<string, string>> {
  const folder = join(p.folder, `repository-${name}`);
  await spoilCopy({ from: join(p.folder, 'repository'), to: folder, password: PASSWORD, project: p.name }, spoil);
  return { REPOSITORY: folder };
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
  // Its containers any command on this host may clear away from now on, its files only the next drill.
  expect((await readdir(join(p.state, 'projects', p.name, 'backup'))).filter((name) => name.startsWith('drill-'))).toHaveLength(1);

  // Kept for the look that the next test takes at it.
  const passed = succeeds(await drill(['--keep', '--json']));
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
  expect(await serving(p)).toEqual(live);
  kept = evidence.kept ?? '';
});

test('from inside a drill nothing outside answers and not this host, nothing is published or followed, and what was kept is removed by its id', async () => {
  const listener = createServer((socket) => socket.on('error', () => {}).end('here'));
  await new Promise<void>((resolve) => listener.listen(0, '0.0.0.0', resolve));
  const { port } = listener.address() as AddressInfo;
  try {
    const id = kept.replace('composure-drill-', '');
    const containers = await docker.listContainers([`${COMPOSE.project}=${kept}`]);
    expect(containers.flatMap(({ Ports }) => (Ports ?? []).filter(({ PublicPort }) => PublicPort !== undefined))).toEqual([]);
    // Of the labels by which a proxy or another tool would follow the live containers.
    expect(containers.flatMap(({ Labels }) => Object.keys(Labels)).filter((name) => name.startsWith('traefik.'))).toEqual([]);
    expect(containers.map(({ Labels }) => Labels[COMPOSE.service]).sort()).toEqual(['app', 'cache', 'count', 'db']);

    const [liveApp] = await p.containers('app');
    const [liveDb] = await p.containers('db');
    const inside = containers.find(({ Labels }) => Labels[COMPOSE.service] === 'app')?.Id ?? '';
    const networks = await docker.listNetworks([`${OURS.scratch}=${id}`]);
    const liveAddress = Object.values(liveDb?.NetworkSettings?.Networks ?? {})[0]?.IPAddress ?? '';
    // The first address of a network is the host's own on others.
    const firsts = networks.flatMap(({ IPAM }) => (IPAM.Config ?? []).map(({ Subnet = '' }) => Subnet.replace(/\.0\/\d+$/, '.1')));
    const hosts = Object.values(networkInterfaces()).flatMap((all) =>
      (all ?? []).filter(({ family, internal }) => family === 'IPv4' && !internal),
    );
    const targets = [
      ...hosts.map(({ address }) => `${address}:${port}`),
      ...firsts.map((address) => `${address}:${port}`),
      `${liveAddress}:5432`,
      '1.1.1.1:53',
    ];
    const answers = async (container: string): Promise<string[]> => {
      const script = `Promise.all(process.argv.slice(1).map((target) => new Promise((resolve) => {
        const [host, port] = target.split(':');
        const socket = require('node:net').connect({ host, port, timeout: 1500 }, () => { socket.destroy(); resolve([target]); });
        socket.on('error', () => resolve([])).on('timeout', () => { socket.destroy(); resolve([]); });
      }))).then((all) => console.log(JSON.stringify(all.flat())))`;
      return JSON.parse((await docker.exec(container, ['node', '-e', script, ...targets])).output);
    };
    expect(hosts.length).toBeGreaterThan(0);
    // The same question from the live application finds this listener and the database: the question is a good one.
    expect(await answers(liveApp?.Id ?? '')).toEqual(expect.arrayContaining([`${liveAddress}:5432`, `${hosts[0]?.address}:${port}`]));
    expect(await answers(inside)).toEqual([]);
    // The engine asks the host's own servers for names that it does not know, but not for these: a name could carry data out.
    const asked = `require('node:dns').resolve4('data.example.com', (error) => console.log(error?.code ?? 'answered'))`;
    expect((await docker.exec(inside, ['node', '-e', asked])).output.trim()).toMatch(/^(ESERVFAIL|EREFUSED|ETIMEOUT)$/);

    // The next drill takes it for what it is: somebody's who still looks at it.
    expect((await drill(['--remove', '00000000'])).err).toContain(`kept ones: ${id}`);
    expect(succeeds(await drill(['--remove', id])).out).toMatch(new RegExp(`^the kept drill ${id} is gone: \\d+ containers`));
    await nothingIsLeft();
  } finally {
    listener.close();
    for (const id of await keptScratch(docker, p.name)) await removeScratch(docker, id);
  }
});

test('the image of the set is started, not the newer one of its name; without its extension the dump is refused', async () => {
  const [container] = await p.containers('db');
  succeeds(await p.docker(['tag', 'postgres:18-alpine', `${p.name}-db`]));
  try {
    const plain = await docker.findImage(`${p.name}-db`);
    expect(plain?.Id).not.toBe(container?.ImageID);
    // Of the set with its own image another test proves that it passes: here it is the other one that is in the set.
    const bad = await spoiled('image', async ({ manifest }) => {
      expect(manifest.images.db?.id).toBe(container?.ImageID);
      const { db = { reference: '', id: '' } } = manifest.images;
      return { ...manifest, images: { ...manifest.images, db: { reference: db.reference, id: plain?.Id ?? '' } } };
    });
    await failsWith(
      await drill([], bad),
      5,
      'RESTORE_FAILED',
      'pg_restore refused the dump of shop',
      'extension "shoptools" is not available',
    );
    const good = await spoiled('rows', async ({ manifest }) => ({
      ...manifest,
      stores: manifest.stores.map((store) =>
        store.facts?.kind === 'tables' && store.kind === 'postgres'
          ? { ...store, facts: { kind: 'tables', tables: store.facts.tables.map((table) => ({ ...table, rows: table.rows + 1 })) } }
          : store,
      ),
    }));
    // It comes as far as the counting, with the set's own image.
    await failsWith(await drill([], good), 5, 'DRILL_FAILED', 'the table public.orders has 2000 rows, the manifest says 2001');
    expect((await readResults(p.state, p.name)).at(-1)).toMatchObject({ kind: 'drill', ok: false, code: 'DRILL_FAILED' });
  } finally {
    succeeds(await p.docker(['tag', container?.ImageID ?? '', `${p.name}-db`]));
  }
});

test('a role that is missing fails the drill', async () => {
  const bad = await spoiled('role', async ({ manifest }) => ({
    ...manifest,
    stores: manifest.stores.filter(({ kind }) => kind !== 'postgres-roles'),
  }));
  await failsWith(await drill([], bad), 5, 'RESTORE_FAILED', 'role "accountant" does not exist');
});

test('an application that does not become healthy on the data fails the drill', async () => {
  const bad = await spoiled('cache', async ({ manifest }) => ({
    ...manifest,
    stores: manifest.stores.filter(({ kind }) => kind !== 'redis'),
  }));
  await failsWith(await drill([], bad), 5, 'DRILL_FAILED', 'app unhealthy: the cache has no greeting');
});

test('a snapshot that is gone, and a bit that flipped in a pack, fail the drill', async () => {
  const gone = await spoiled('gone', async ({ manifest, restic }) => {
    await forget(restic, manifest.stores.find(({ kind }) => kind === 'redis')?.snapshot ?? '');
    return undefined;
  });
  await failsWith(await drill([], gone), 5, 'DRILL_FAILED', 'snapshots of the set', 'cache/redis: snapshot');

  const flipped = await spoiled('flipped', async ({ folder }) => {
    await flipBit(await largestPack(folder));
    return undefined;
  });
  await failsWith(await drill([], flipped), 4, 'REPOSITORY_FAILED', 'ciphertext verification failed');
});

test('too little disk or memory is said before anything is made, and is no pass', async () => {
  const large = await spoiled('disk', async ({ manifest }) => ({
    ...manifest,
    stores: manifest.stores.map((store) => ({ ...store, bytes: 2 ** 48 })),
  }));
  await failsWith(await drill([], large), 4, 'DRILL_IMPOSSIBLE', 'the drill could not run: it takes', 'of disk');

  const greedy = await spoiled('memory', async ({ manifest, set, restic }) => {
    const project = manifest.stores.find(({ kind }) => kind === 'project');
    const tree = join(p.folder, 'greedy');
    expect((await restic.run(['restore', `${project?.snapshot}:${project?.path}`, '--target', tree])).code).toBe(0);
    const text = await readFile(join(tree, 'compose.resolved.yaml'), 'utf8');
    await writeFile(join(tree, 'compose.resolved.yaml'), text.replace('"134217728"', '"966367641600"'));
    const saved = await saveFolder(restic, { folder: tree, tags: tagsOf(p.name, set.set, 'project'), exclude: [], host: 'here' });
    return {
      ...manifest,
      stores: manifest.stores.map((store) => (store === project ? { ...store, snapshot: saved.snapshot, path: '/' } : store)),
    };
  });
  await failsWith(await drill([], greedy), 4, 'DRILL_IMPOSSIBLE', 'the services may take 900', 'of memory');
  expect((await readResults(p.state, p.name)).at(-1)).toMatchObject({ kind: 'drill', ok: false, code: 'DRILL_IMPOSSIBLE' });
});

test('a volume that is not the drill’s own is never written to', async () => {
  const volume = `${p.name}_uploads`;
  await expect(requireScratch(docker, volume, 'abcd')).rejects.toMatchObject({ code: 'DRILL_IMPOSSIBLE' });
  const plan = { id: 'abcd', volumes: [{ name: volume, of: 'a mistake' }] } as unknown as DrillPlan;
  await expect(makeVolumes(docker, plan, scratchLabels('abcd'))).rejects.toMatchObject({ code: 'DRILL_IMPOSSIBLE', where: volume });
  await nothingIsLeft();
});
