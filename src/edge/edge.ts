import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Docker } from '../docker/api.ts';
import { Failure } from '../kit/errors.ts';
import type { Report } from '../kit/events.ts';
import { readFileIfThere, writeFileDurably } from '../kit/files.ts';
import { sleep, waitFor } from '../kit/wait.ts';
import { edgeFolder, edgeName } from '../state/folder.ts';
import { takeLock } from '../state/lock.ts';
import { applyAfter, applyBefore, applyStates, changeChallenge, type Running, reload } from './apply.ts';
import { fileNameOf } from './certificates/store.ts';
import { type Checked, checkState } from './check.ts';
import { type EdgeContainer, listEdgeContainers, startGeneration } from './container.ts';
import { certificateFolder, configPath, ensureSideFiles, thisHost, writeEdgeFiles } from './files.ts';
import type { Edge, EdgeState } from './model.ts';
import { askAll, countInFlight, knownGenerations, observeEdge, parseStat, readStats, servingGeneration } from './observe.ts';
import { planEdge } from './plan.ts';
import { describeHolder, listeners } from './ports.ts';
import { type RenderedEdge, renderEdge, renderMap } from './render.ts';
import { ask, runFolder } from './socket.ts';
import { listenPorts, readEdgeState, wantedPorts, writeEdgeState } from './state.ts';
import { bringCertificateLive, certificateProblem, writeCertificateList } from './tls.ts';
import { assertRoutes } from './verify.ts';

export interface EdgeStatus {
  name: string;
  /** Undefined when it does not run. */
  running?: { container: string; image: string; generation: number; haproxy: string; uptimeSeconds: number };
  /** Processes that take no new connection and only finish their streams, and the streams they still have. */
  finishing: { processes: number; sessions: number };
  ports: { http: number; https: number | undefined; tcp: number[] };
  projects: string[];
}

export interface EdgeKeeper extends Edge {
  /** Keeps chain and key (PEM) for a host on disk and lets new handshakes use it at once, without a reload. */
  installCertificate(host: string, pem: string): Promise<void>;
  setChallenge(token: string, keyAuthorization: string): Promise<void>;
  clearChallenge(token: string): Promise<void>;
  /** Replaces the running HAProxy, by another image when one is given; no request is lost. The old process finishes its streams. */
  upgrade(image?: string): Promise<void>;
  /** Stops the edge and removes its containers. What is wanted stays stored. */
  stop(): Promise<void>;
  status(): Promise<EdgeStatus>;
}

const LOCK_PATIENCE_MS = 30_000;
const DRAIN_PATIENCE_MS = 60_000;
/** What the engine may need to bring a container back that died. */
const RESTART_PATIENCE_MS = 5000;

/** The edge that belongs to a state folder. Nothing is started or read before a function is called. */
export function openEdge({ stateFolder: folder, docker, report }: { stateFolder: string; docker: Docker; report: Report }): EdgeKeeper {
  const name = edgeName(folder);

  async function locked<T>(purpose: string, work: () => Promise<T>): Promise<T> {
    const lock = await takeLock(join(edgeFolder(folder), 'lock'), { purpose, waitMs: LOCK_PATIENCE_MS });
    try {
      return await work();
    } finally {
      await lock.release();
    }
  }

  const running = async (): Promise<Running | undefined> => {
    const generation = await servingGeneration(folder);
    return generation === undefined ? undefined : { folder, generation };
  };

  async function change(mutate: (state: EdgeState) => EdgeState): Promise<void> {
    const deadline = Date.now() + DRAIN_PATIENCE_MS;
    for (let told = false; ; ) {
      const waitFor = await locked('a change of the edge', () => tryChange(mutate, Date.now() < deadline));
      if (waitFor === undefined) return;
      if (!told) report({ kind: 'note', text: `a reload of the edge waits for ${waitFor} to finish what it serves` });
      told = true;
      await sleep(250);
    }
  }

  /** Undefined when the change is made; else, when draining servers are to be waited for before a reload, what has to end first. */
  async function tryChange(mutate: (state: EdgeState) => EdgeState, mayWait: boolean): Promise<string | undefined> {
    const before = await readEdgeState(folder);
    const wanted = mutate(structuredClone(before));
    const changed = (project: string): boolean => JSON.stringify(before.projects[project]) !== JSON.stringify(wanted.projects[project]);
    assertRoutes(wanted, changed);
    const now = await running();
    const observed = now && (await observeEdge(folder, now.generation));
    let checked: Checked = { state: wanted, rendered: renderEdge(wanted, thisHost()) };
    const sameAsStored = observed === undefined && renderEdge(before, thisHost()).structure === checked.rendered.structure;
    if (observed?.structure !== checked.rendered.structure && !sameAsStored) {
      checked = await checkState({ docker, folder, report, image: wanted.settings.image }, wanted, changed);
    }
    if (!now || !observed) {
      await store(wanted, checked.rendered);
      return undefined;
    }
    const plan = planEdge(checked, observed);
    const reloads = plan.after.some(({ kind }) => kind === 'reload');
    if (reloads) {
      await assertPorts(wanted, before);
      const busy = await draining(before);
      if (busy && mayWait) return busy;
      await reloadInto(now, wanted, checked.rendered);
      return undefined;
    }
    await applyBefore(now, plan.before);
    await store(wanted, checked.rendered);
    await applyStates(now, plan.states);
    await applyAfter(now, plan);
    return undefined;
  }

  /** A draining server that is still busy: a reload would hide its sessions in an old process. */
  async function draining(state: EdgeState): Promise<string | undefined> {
    const servers = Object.values(state.projects)
      .flatMap((project) => Object.values(project.backends))
      .flatMap((backend) => backend.servers.filter((server) => server.state === 'drain').map((server) => `${backend.name}/${server.name}`));
    if (servers.length === 0) return undefined;
    const stats = await readStats(folder);
    const busy = stats.find((row) => row.sessions > 0 && servers.includes(`${row.backend}/${row.server}`));
    return busy && `${busy.backend}/${busy.server}`;
  }

  async function store(state: EdgeState, rendered: RenderedEdge): Promise<void> {
    await writeEdgeState(folder, state);
    await writeEdgeFiles(folder, rendered);
  }

  /** The file is written first, so that a HAProxy that dies comes back with it; a refused reload takes everything back. */
  async function reloadInto(now: Running, wanted: EdgeState, rendered: RenderedEdge): Promise<void> {
    const kept = await Promise.all(
      ['haproxy.cfg', 'routes.map', 'redirects.map'].map(async (file) => ({ file, text: await readFileIfThere(configPath(folder, file)) })),
    );
    const state = await readEdgeState(folder);
    await store(wanted, rendered);
    try {
      await reload(now, rendered);
    } catch (error) {
      for (const { file, text } of kept) if (text !== undefined) await writeFileDurably(configPath(folder, file), text);
      await writeEdgeState(folder, state);
      throw error;
    }
  }

  /** Ports that the edge is about to listen on must be nobody else's. */
  async function assertPorts(wanted: EdgeState, before?: EdgeState): Promise<void> {
    const listening = (state: EdgeState): number[] => {
      const { http, https, tcp } = wantedPorts(state);
      return [http, https ?? http, ...tcp].flatMap((port) => listenPorts(state.settings, port));
    };
    const own = new Set(before ? listening(before) : []);
    const fresh = [...new Set(listening(wanted))].filter((port) => !own.has(port));
    if (fresh.length === 0) return;
    const containers = await docker.listContainers();
    for (const port of fresh) {
      const holders = listeners().filter((listener) => listener.port === port);
      const published = containers.some(
        ({ Ports, State }) => State === 'running' && Ports?.some((entry) => entry.PublicPort === port && entry.Type === 'tcp'),
      );
      if (holders.length === 0 && !published) continue;
      const inodes = holders.map(({ inode }) => inode);
      throw new Failure('PORT_IN_USE', `port ${port} is in use by ${describeHolder(port, inodes, containers)}`, {
        where: `port ${port}`,
        next: 'stop it, or give the edge another port: x-composure: edge: httpPort, httpsPort',
      });
    }
  }

  async function ensureRunning(): Promise<void> {
    if (await running()) return;
    await locked('starting the edge', async () => {
      if (await running()) return;
      const containers = await listEdgeContainers(docker, folder);
      const alive = containers.find(({ state }) => state === 'running' || state === 'restarting' || state === 'paused');
      if (alive?.state === 'paused') await docker.unpauseContainer(alive.id);
      // The engine may be about to bring it back by itself.
      if (alive && (await waitFor(async () => (await running()) && true, { everyMs: 50, timeoutMs: RESTART_PATIENCE_MS }))) return;
      for (const container of containers) await discard(container);
      const state = await readEdgeState(folder);
      await assertPorts(state);
      const checked = await checkState({ docker, folder, report, image: state.settings.image }, state, () => false);
      await writeEdgeFiles(folder, checked.rendered);
      const generation = 1 + Math.max(0, ...containers.map((container) => container.generation), ...(await knownGenerations(folder)));
      const started = performance.now();
      report({ kind: 'step-start', step: 'edge', text: 'starting the edge' });
      try {
        const container = await startGeneration(docker, { folder, image: state.settings.image, generation });
        report({ kind: 'step-done', step: 'edge', text: `the edge runs as ${container.name}`, ms: performance.now() - started });
      } catch (error) {
        await rm(runFolder(folder, generation), { recursive: true, force: true });
        report({ kind: 'step-failed', step: 'edge', text: 'the edge did not start', ms: performance.now() - started });
        throw error;
      }
    });
  }

  async function discard(container: EdgeContainer): Promise<void> {
    await docker.removeContainer(container.id, { force: true });
    await rm(runFolder(folder, container.generation), { recursive: true, force: true });
  }

  /** Generations that ended after an upgrade. */
  async function discardEnded(serving: number): Promise<void> {
    const containers = await listEdgeContainers(docker, folder);
    for (const container of containers) {
      if (container.generation < serving && (container.state === 'exited' || container.state === 'dead')) await discard(container);
    }
    for (const generation of await knownGenerations(folder)) {
      if (generation < serving && !containers.some((container) => container.generation === generation)) {
        await rm(runFolder(folder, generation), { recursive: true, force: true });
      }
    }
  }

  async function upgrade(image?: string): Promise<void> {
    if (!(await running())) throw new Failure('EDGE_NOT_RUNNING', 'the edge does not run', { next: 'composure edge start' });
    await locked('an upgrade of the edge', async () => {
      const now = await running();
      if (!now) throw new Failure('EDGE_NOT_RUNNING', 'the edge does not run', { next: 'composure edge start' });
      await discardEnded(now.generation);
      const stored = await readEdgeState(folder);
      const wanted = { ...stored, settings: { ...stored.settings, image: image ?? stored.settings.image } };
      const checked = await checkState({ docker, folder, report, image: wanted.settings.image, fresh: true }, wanted, () => false);
      await store(wanted, checked.rendered);
      const old = (await listEdgeContainers(docker, folder)).filter(
        (container) => container.generation <= now.generation && container.state === 'running',
      );
      const generation = 1 + Math.max(now.generation, ...(await knownGenerations(folder)));
      const started = performance.now();
      report({ kind: 'step-start', step: 'edge', text: `starting the edge's next process from ${wanted.settings.image}` });
      try {
        await startGeneration(docker, { folder, image: wanted.settings.image, generation, predecessor: now.generation });
      } catch (error) {
        await writeEdgeState(folder, stored);
        await rm(runFolder(folder, generation), { recursive: true, force: true });
        report({
          kind: 'step-failed',
          step: 'edge',
          text: 'the next process did not start; the old one goes on',
          ms: performance.now() - started,
        });
        throw error;
      }
      for (const container of old) {
        await docker.setRestartPolicy(container.id, 'no');
        await docker.killContainer(container.id, 'SIGUSR1');
      }
      report({
        kind: 'step-done',
        step: 'edge',
        text: 'new connections go to the new process; the old one finishes its streams',
        ms: performance.now() - started,
      });
    });
  }

  async function stop(): Promise<void> {
    await locked('stopping the edge', async () => {
      const containers = await listEdgeContainers(docker, folder);
      await Promise.all(containers.filter(({ state }) => state === 'running').map(({ id }) => docker.stopContainer(id)));
      for (const container of containers) await discard(container);
    });
  }

  async function status(): Promise<EdgeStatus> {
    const [state, now, containers] = await Promise.all([readEdgeState(folder), running(), listEdgeContainers(docker, folder)]);
    const container = containers.find(({ generation }) => generation === now?.generation);
    const info = now ? await ask(join(runFolder(folder, now.generation), 'admin.sock'), 'show info') : '';
    const processes = (await askAll(folder, 'show stat -1 4 -1')).map(parseStat);
    const sessions = processes.slice(1).flatMap((rows) => rows.map((row) => Number(row.scur || 0)));
    return {
      name,
      ...(now && container
        ? {
            running: {
              container: container.name,
              image: container.image,
              generation: now.generation,
              haproxy: /^Version: (.*)$/m.exec(info)?.[1] ?? '',
              uptimeSeconds: Number(/^Uptime_sec: (\d+)$/m.exec(info)?.[1] ?? 0),
            },
          }
        : {}),
      finishing: { processes: Math.max(0, processes.length - (now ? 1 : 0)), sessions: sessions.reduce((sum, count) => sum + count, 0) },
      ports: wantedPorts(state),
      projects: Object.keys(state.projects).sort(),
    };
  }

  async function shutdownSessions(backend: string, server: string): Promise<number> {
    const before = (await readStats(folder, [backend])).find((row) => row.server === server)?.sessions ?? 0;
    if (before > 0) await askAll(folder, `shutdown sessions server ${backend}/${server}`);
    return before;
  }

  async function installCertificate(host: string, pem: string): Promise<void> {
    const problem = certificateProblem(pem);
    if (problem) throw new Failure('CERTIFICATE_FAILED', `the certificate of ${host} cannot be used: ${problem}`, { where: host });
    const file = fileNameOf(host);
    await locked(`installing the certificate of ${host}`, async () => {
      await writeFileDurably(join(certificateFolder(folder), `${file}.pem`), pem);
      await ensureSideFiles(folder);
      await writeCertificateList(folder);
      const now = await running();
      const reason = now && (await bringCertificateLive(folder, now.generation, file, pem));
      if (reason === undefined) return;
      report({ kind: 'note', text: `the certificate of ${host} needs a reload: ${reason}` });
      await reload(now as Running, renderEdge(await readEdgeState(folder), thisHost()));
    });
  }

  async function challenge(token: string, value: string | undefined): Promise<void> {
    if (!/^[A-Za-z0-9_-]+$/.test(token) || (value !== undefined && !/^[A-Za-z0-9_.-]+$/.test(value))) {
      throw new Failure('CERTIFICATE_FAILED', 'the authority sent a challenge that is none', { where: 'ACME' });
    }
    await locked('an ACME challenge', async () => {
      const path = configPath(folder, 'challenges.map');
      const rows = ((await readFileIfThere(path)) ?? '').split('\n').filter((line) => line !== '' && !line.startsWith(`${token} `));
      const text = `${rows.map((line) => `${line}\n`).join('')}${value === undefined ? '' : renderMap({ [token]: value })}`;
      await writeFileDurably(path, text);
      const now = await running();
      if (now) await changeChallenge(now, token, value);
    });
  }

  return {
    name,
    ensureRunning,
    isRunning: async () => (await running()) !== undefined,
    read: () => readEdgeState(folder),
    change,
    stats: (backends) => readStats(folder, backends),
    inFlight: (servers) => countInFlight(folder, servers),
    shutdownSessions,
    installCertificate,
    setChallenge: (token, keyAuthorization) => challenge(token, keyAuthorization),
    clearChallenge: (token) => challenge(token, undefined),
    upgrade,
    stop,
    status,
  };
}
