import { existsSync } from 'node:fs';
import { runAutoscaler } from '../autoscale/loop.ts';
import { readStatus } from '../autoscale/status.ts';
import { backupFolder } from '../backup/places.ts';
import type { Docker } from '../docker/api.ts';
import { COMPOSE } from '../docker/labels.ts';
import { type CertificateEdge, obtainCertificates } from '../edge/certificates/obtain.ts';
import type { Edge } from '../edge/model.ts';
import { inOneLine } from '../kit/errors.ts';
import type { Report } from '../kit/events.ts';
import { collectGarbage } from '../kit/memory.ts';
import { sleep } from '../kit/wait.ts';
import type { AgentForm } from '../state/agent.ts';
import { listProjects } from '../state/projects.ts';
import type { StartCommand } from './backups.ts';
import { packageScript } from './installation/package.ts';
import { takeHost } from './presence.ts';
import { reconcile } from './reconcile.ts';
import { removeFinishedGenerations } from './tidy.ts';

export interface AgentOptions {
  stateFolder: string;
  docker: Docker;
  edge: Edge & CertificateEdge;
  report: Report;
  /** Default: started by hand. */
  form?: AgentForm;
  /** Ends the agent. What it is doing is finished first. */
  signal: AbortSignal;
  /** How often containers are looked at without an event, and certificates at all. For tests. */
  everyMs?: { containers?: number; certificates?: number; backups?: number };
  /** How a scheduled command is started. Default: this package's own, as a child process. */
  startCommand?: StartCommand;
}

const CONTAINERS_EVERY_MS = 30_000;
const CERTIFICATES_EVERY_MS = 60_000;
const BACKUPS_EVERY_MS = 30_000;
/** Events that come together are answered together. */
const SETTLE_MS = 30;
const RECONNECT_MS = 500;
/** By then every project has been read. */
const SETTLED_MS = 15_000;

/** What changes whether and where a container can serve. */
const ACTIONS = ['start', 'die', 'destroy', 'pause', 'unpause', 'health_status', 'rename'];

/**
 * The host's one long-running process: it scales services, keeps the edge's servers in line with containers that are recreated by hand,
 * certificates valid, and backups made on time. It holds nothing in memory that matters: after a restart of its own, of the engine or of the edge it looks anew.
 * Returns when `signal` aborts. Failure LOCKED when another agent has this state folder.
 */
export async function runAgent(given: AgentOptions): Promise<void> {
  const presence = await takeHost(given.stateFolder, given.form ?? 'foreground', given.report, () => followedBy(given));
  const failed = new AbortController();
  const options = { ...given, report: presence.report, signal: AbortSignal.any([given.signal, failed.signal]) };
  const { report } = options;
  let tasks: Promise<void>[] = [];
  let settled: NodeJS.Timeout | undefined;
  try {
    report({ kind: 'note', text: 'the agent scales services, follows containers, keeps certificates valid and makes backups' });
    tasks = [followContainers(options), keepCertificates(options), runAutoscaler(options), keepBackups(options)];
    settled = setTimeout(collectGarbage, SETTLED_MS);
    await Promise.all(tasks);
    report({ kind: 'note', text: 'the agent ended' });
  } finally {
    // When one fails the others still end in order: what is frozen has to be thawed.
    clearTimeout(settled);
    failed.abort();
    await Promise.allSettled(tasks);
    await presence.leave();
  }
}

/** What this agent looks after, for its status: projects behind the edge, and services that are scaled. */
async function followedBy({ stateFolder, edge }: AgentOptions): Promise<{ projects: string[]; scaled: string[] }> {
  const [{ projects }, autoscale, backups] = await Promise.all([edge.read(), readStatus(stateFolder), backedUp(stateFolder)]);
  const tiers = autoscale?.running ? autoscale.status.tiers.map(({ tier }) => tier) : [];
  return {
    projects: [...new Set([...Object.keys(projects), ...tiers.map(({ project }) => project), ...backups])].sort(),
    scaled: tiers.map(({ id }) => id).sort(),
  };
}

const backedUp = async (state: string): Promise<string[]> =>
  (await hasBackups(state)) ? (await import('./backups.ts')).projectsWithBackups(state) : [];

const hasBackups = async (state: string): Promise<boolean> =>
  (await listProjects(state)).some((name) => existsSync(backupFolder(state, name)));

/** What backups need is loaded where there are some: it would make every agent larger by a tenth. */
async function keepBackups({ stateFolder, docker, report, signal, form, everyMs, startCommand }: AgentOptions): Promise<void> {
  const lookEveryMs = everyMs?.backups ?? BACKUPS_EVERY_MS;
  while (!signal.aborted && !(await hasBackups(stateFolder))) await pause(lookEveryMs, signal);
  if (signal.aborted) return;
  const { ownAddresses, refusedInContainer, runBackups, startOwn, unseenInContainer } = await import('./backups.ts');
  await runBackups({
    stateFolder,
    docker,
    report,
    signal,
    start: startCommand ?? (form === 'container' ? refusedInContainer : startOwn(packageScript(), stateFolder, process.env)),
    addresses: form === 'container' ? unseenInContainer : ownAddresses(stateFolder, process.env),
    everyMs: lookEveryMs,
  });
}

async function followContainers(options: AgentOptions): Promise<void> {
  const { docker, report, signal } = options;
  const look = createLook(options);
  const timer = setInterval(look.soon, options.everyMs?.containers ?? CONTAINERS_EVERY_MS);
  try {
    while (!signal.aborted) {
      try {
        const filters = { type: ['container'], event: ACTIONS, label: [COMPOSE.service] };
        const stream = docker.events(filters, signal);
        // The first step opens the stream: what happens from then on arrives, what happened before is seen by looking.
        const first = stream.next();
        look.soon();
        for (let next = await first; !next.done; next = await stream.next()) look.soon();
        if (!signal.aborted) report({ kind: 'warning', text: 'the engine ended its event stream; connecting again' });
      } catch (error) {
        if (!signal.aborted) report({ kind: 'warning', text: `no events from the engine: ${(error as Error).message}` });
      }
      await pause(RECONNECT_MS, signal);
    }
  } finally {
    clearInterval(timer);
    await look.idle();
  }
}

/** Runs one look at a time; wishes that come during it make one more afterwards. */
function createLook(options: AgentOptions) {
  let wanted = false;
  let running: Promise<void> | undefined;
  let lastProblem = '';

  async function run(): Promise<void> {
    while (wanted && !options.signal.aborted) {
      await pause(SETTLE_MS, options.signal);
      wanted = false;
      try {
        await reconcile(options);
        for (const name of await removeFinishedGenerations(options.docker, options.stateFolder)) {
          options.report({ kind: 'note', text: `${name} has finished its streams and is removed` });
        }
        lastProblem = '';
      } catch (error) {
        const text = inOneLine(error);
        if (text !== lastProblem) options.report({ kind: 'warning', text });
        lastProblem = text;
      }
    }
    running = undefined;
  }

  return {
    soon(): void {
      wanted = true;
      running ??= run();
    },
    idle: async (): Promise<void> => {
      await running;
    },
  };
}

async function keepCertificates({ stateFolder, edge, report: tell, signal, everyMs }: AgentOptions): Promise<void> {
  let before = new Set<string>();
  while (!signal.aborted) {
    // What was wrong a minute ago and still is has been said.
    const said = new Set<string>();
    const report: Report = (event) => {
      if (event.kind === 'warning') said.add(event.text);
      if (event.kind !== 'warning' || !before.has(event.text)) tell(event);
    };
    try {
      await obtainCertificates(edge, await edge.read(), { stateFolder, report, signal });
    } catch (error) {
      if (!signal.aborted) report({ kind: 'warning', text: inOneLine(error) });
    }
    before = said;
    await pause(everyMs?.certificates ?? CERTIFICATES_EVERY_MS, signal);
  }
}

const pause = (ms: number, signal: AbortSignal): Promise<void> =>
  signal.aborted ? Promise.resolve() : sleep(ms, undefined, { signal }).catch(() => {});
