import { existsSync } from 'node:fs';
import type { ContainerSummary, Docker } from '../docker/api.ts';
import { COMPOSE } from '../docker/labels.ts';
import { thawFrozen, unpause } from '../docker/thaw.ts';
import type { Edge } from '../edge/model.ts';
import { Failure } from '../kit/errors.ts';
import type { Report } from '../kit/events.ts';
import { sleep } from '../kit/wait.ts';
import { lockPath, readUnfinished } from '../rollout/journal.ts';
import { readLock } from '../state/lock.ts';
import { ownIdentity } from '../state/process.ts';
import { readWishes } from '../state/wishes.ts';
import { unmarkWorker } from '../state/workers.ts';
import { triggerType } from '../triggers/list.ts';
import type { OpenTrigger, Reading, TriggerContext, TriggerType } from '../triggers/model.ts';
import { apply, finishDraining, type Hands } from './apply.ts';
import { type HostFacts, hostBudget, neverFits } from './budget.ts';
import { type Crew, noteReady, tierIdOf, type Untimed } from './crew.ts';
import { returnToEdge } from './edge.ts';
import { explainTier } from './explain.ts';
import { CONTAINER_EVENTS, currentMarks, type Fleet, openFleet } from './fleet.ts';
import { watchFolders } from './folders.ts';
import { observeHost, type WatchedContainers } from './host.ts';
import { isNamed } from './idle.ts';
import type { Action, AutoscaleEvent, Decision, HostBudget, Tier } from './model.ts';
import { createState, decide, nextWakeMs } from './policy/decide.ts';
import { knownTemplate, readStored, templateByCompose, withImage, writeStored } from './prepare.ts';
import { findProjects, type ProjectCache, type ScaledProject } from './projects.ts';
import { openRecording, type Recording } from './recording.ts';
import { resolveHost } from './resolve.ts';
import { openSource, type Source } from './sources.ts';
import { type AutoscaleStatus, type TierStatus, writeStatus } from './status.ts';
import { type ScaledService, tierOf } from './tiers.ts';
import { readUsage, type UsageSamples } from './usage.ts';

export interface AutoscalerOptions {
  stateFolder: string;
  docker: Docker;
  /** Without it containers that have a route are not taken out of it before they are asked to end. */
  edge?: Edge;
  report: Report;
  /** Ends the autoscaler: what is frozen is thawed, everything goes on running. */
  signal: AbortSignal;
  /** Decides and says what it would do; touches nothing and leaves no file. */
  dryRun?: boolean;
  /** Default: all there are. */
  types?: readonly TriggerType[];
  /** For tests: the host as it is to be seen, and how long a worker that nobody knows must keep quiet. */
  host?: HostFacts;
  quietMs?: number;
}

/** How often everything is looked at without a reason, for what no event has told. */
const SAFETY_MS = 30_000;
/** Memory pressure tells nobody by itself. */
const HOST_MS = 5000;
const HELD_MS = 1000;
/** How long after the last container that somebody else ended or removed nothing is started. */
const FOREIGN_MS = 3000;
const BY_HAND = 'another command, which ends or removes its containers';
const RECONNECT_MS = 500;
/** Files and containers of one change come within this. */
const SETTLE_MS = 100;
const STATUS_MS = 1000;
/** The status file is written this often where only the time of the last reading is another. */
const QUIET_STATUS_MS = 15_000;
/** Reading a source that tells of changes, where the file says nothing: well within what the policy takes as current. */
const TOLD_POLL_MS = 20_000;
/** Polling a source that cannot tell of changes, where the file says nothing: a second where a job may wait for its first worker. */
const POLL_SOON_MS = 1000;
const DECISIONS_KEPT = 20;
/** How far a measured start may differ from what the tier is planned with. */
const BOOT_TOLERANCE = 0.25;
const LONGEST_TIMER_MS = 2 ** 31 - 1;

/** A scaled service while it is scaled. */
interface Post {
  crew: Crew;
  project: ScaledProject;
  service: ScaledService;
  sources: Source[];
  /** What the sources were opened from. */
  openedFrom: string;
  usage: UsageSamples;
  told: { tier: string; pause: string; manual: number | undefined };
  triggers: Map<string, TierStatus['triggers'][number]>;
  decisions: Decision[];
  recent: TierStatus['recent'];
  /** Triggers whose server refuses to tell of changes. */
  polled: Set<string>;
  preparing?: Promise<void>;
}

interface Employed {
  post: Post;
  isNew: boolean;
  warnings: string[];
}

/**
 * Scales the services of the host's projects that have x-autoscale, until `signal` aborts. Nothing in memory matters: what runs is known by
 * Docker's labels, what was frozen or asked to end by marks in the state folder; after a crash the next one thaws all, looks, and goes on.
 */
export async function runAutoscaler(options: AutoscalerOptions): Promise<void> {
  const site = await openSite(options);
  try {
    await site.run();
  } finally {
    await site.close();
  }
}

async function openSite({ stateFolder, docker, edge, report, signal, dryRun = false, types, host: fixedHost, quietMs }: AutoscalerOptions) {
  const now = Date.now;
  const posts = new Map<string, Post>();
  const crews = new Map<string, Crew>();
  const cache: ProjectCache = new Map();
  const watched: WatchedContainers = new Map();
  const held = new Map<string, string>();
  const foreign = new Map<string, NodeJS.Timeout>();
  let warnings: string[] = [];
  let problems: string[] = [];
  let hostWarnings: string[] = [];
  let budget: HostBudget | undefined;
  let toldBudget = '';
  let state = createState(now());
  let closed = false;

  // --- decide -----------------------------------------------------------------------------------------------------------------------

  const queue: AutoscaleEvent[] = [];
  let deciding = false;
  let wakeTimer: NodeJS.Timeout | undefined;
  const recording: Recording | undefined = dryRun
    ? undefined
    : openRecording(stateFolder, (error) =>
        report({ kind: 'warning', text: `events are no longer recorded for replay: ${error.message}` }),
      );

  function tell(event: Untimed): void {
    if (closed) return;
    queue.push({ ...event, atMs: now() } as AutoscaleEvent);
    if (deciding) return;
    deciding = true;
    try {
      for (let next = queue.shift(); next; next = queue.shift()) {
        const record = recording?.begin(next, state);
        const outcome = decide(state, next);
        state = outcome.state;
        record?.(outcome);
        for (const action of outcome.actions) act(action);
        for (const decision of outcome.decisions) noteDecision(decision);
        const isRoutine = next.kind === 'tick' || next.kind === 'reading';
        statusSoon(isRoutine && outcome.actions.length + outcome.decisions.length === 0 ? QUIET_STATUS_MS : STATUS_MS);
      }
    } finally {
      deciding = false;
    }
    armWake();
  }

  function armWake(): void {
    clearTimeout(wakeTimer);
    const at = nextWakeMs(state);
    if (at === undefined || closed) return;
    wakeTimer = setTimeout(() => tell({ kind: 'tick' }), Math.min(Math.max(1, at - now()), LONGEST_TIMER_MS));
  }

  function act(action: Action): void {
    const post = posts.get(action.tier);
    if (!post) return;
    const name = post.crew.containers.get(action.worker)?.name ?? action.worker;
    if (dryRun) {
      report({ kind: 'note', text: `${action.tier}: would ${action.kind} ${name}: ${action.why}` });
      return;
    }
    const done = apply(hands, post.crew, action);
    note(post, `${action.kind} ${name}: ${action.why}`);
    // A source tells of the next change only after it was read; what came between the decision and the freezer is seen now.
    if (action.kind === 'freeze') {
      void done.then(() => {
        for (const source of post.sources) source.soon();
      });
    }
  }

  function note(post: Post, text: string): void {
    report({ kind: 'note', text: `${post.crew.tier.id}: ${text}` });
    post.recent.push({ atMs: now(), text });
    if (post.recent.length > DECISIONS_KEPT) post.recent.shift();
  }

  function noteDecision(decision: Decision): void {
    const post = posts.get(decision.tier);
    if (!post) return;
    post.decisions.push(decision);
    if (post.decisions.length > DECISIONS_KEPT) post.decisions.shift();
  }

  // --- status -----------------------------------------------------------------------------------------------------------------------

  let statusTimer: NodeJS.Timeout | undefined;
  let statusDueMs = Number.POSITIVE_INFINITY;
  const agent = ownIdentity();

  function statusSoon(withinMs = STATUS_MS): void {
    if (dryRun || closed || statusDueMs <= now() + withinMs) return;
    clearTimeout(statusTimer);
    statusDueMs = now() + withinMs;
    statusTimer = setTimeout(() => {
      statusDueMs = Number.POSITIVE_INFINITY;
      writeStatus(stateFolder, status()).catch((error: Error) => report({ kind: 'warning', text: `status: ${error.message}` }));
    }, withinMs);
  }

  function status(): AutoscaleStatus {
    return {
      agent,
      atMs: now(),
      dryRun,
      ...(budget ? { budget } : {}),
      warnings: [...problems, ...warnings, ...hostWarnings],
      tiers: [...posts.values()].map(({ crew, told, triggers, decisions, recent }): TierStatus => {
        const heldBy = held.get(crew.tier.project);
        return {
          tier: crew.tier,
          workers: state.tiers[crew.tier.id]?.workers ?? [...crew.workers.values()],
          ...(heldBy === undefined ? {} : { heldBy }),
          ...(told.manual === undefined ? {} : { manualReplicas: told.manual }),
          ...(told.pause ? { pause: JSON.parse(told.pause) as Tier['pause'] } : {}),
          triggers: [...triggers.values()],
          decisions,
          explanation: explainTier(state, crew.tier.id, decisions) ?? '',
          recent,
        };
      }),
    };
  }

  // --- containers -------------------------------------------------------------------------------------------------------------------

  const fleet: Fleet = openFleet({
    docker,
    stateFolder,
    crews,
    originOf: ({ tier }) => {
      const post = posts.get(tier.id);
      return {
        released: post?.project.released[tier.service],
        model: { configHash: post?.service.configHash ?? '', imageId: '' },
        retired: post?.project.retired ?? new Set(),
      };
    },
    tell,
    report,
    now,
    onStranger: () => lookAroundSoon(),
    onForeign: (project) => noteForeign(project),
    onIdentity: (crew) => void refreshTemplate(crew),
    onReady: (crew) => void bootMeasured(crew),
  });

  const hands: Hands = {
    docker,
    stateFolder,
    report,
    tell,
    now,
    making: fleet.making,
    deaths: fleet.deaths,
    marks: fleet.marks,
    holder: (project) => (existsSync(lockPath(stateFolder, project)) ? holderOf(project) : undefined),
    read: async (crew) => Promise.all((posts.get(crew.tier.id)?.sources ?? []).map((source) => source.fresh())),
    exited: fleet.exited,
    relist: (crew) => fleet.relist(crew),
    prepareTemplate: async (crew) => {
      await refreshTemplate(crew);
      if (!crew.template) throw new Error(crew.templateProblem ?? 'nothing tells what a container of it is made of');
      return crew.template;
    },
    routed: (crew, id) => {
      const post = posts.get(crew.tier.id);
      if (!edge || !post || post.service.edge.length === 0) return undefined;
      return { edge, project: crew.tier.project, service: post.service, container: id };
    },
    signal,
    ...(quietMs === undefined ? {} : { quietMs }),
  };

  /** One at a time for each service. Compose is asked only when no container and no record tells. */
  function refreshTemplate(crew: Crew): Promise<void> {
    const post = posts.get(crew.tier.id);
    if (!post) return Promise.resolve();
    post.preparing ??= prepare(post).finally(() => {
      delete post.preparing;
    });
    return post.preparing;
  }

  async function prepare({ crew, project }: Post): Promise<void> {
    try {
      let template = await knownTemplate(docker, stateFolder, crew);
      if (!template && !dryRun && !held.has(project.name)) {
        fleet.preparing.add(crew.tier.id);
        try {
          template = await templateByCompose(docker, project.compose, crew);
        } finally {
          fleet.preparing.delete(crew.tier.id);
        }
        // Without any other container what Compose makes now is what the service is.
        if (crew.containers.size === 0) crew.current = { configHash: template.configHash, imageId: template.imageId };
      }
      if (template) {
        crew.template = template;
        delete crew.templateProblem;
        if (!dryRun) await writeStored(stateFolder, crew);
      }
    } catch (error) {
      crew.templateProblem = describe(error);
      report({ kind: 'warning', text: `${crew.tier.id}: no container can be made of it: ${crew.templateProblem}` });
    }
  }

  async function bootMeasured(crew: Crew): Promise<void> {
    const bootMs = crew.bootMs ?? 0;
    if (Math.abs(bootMs - crew.tier.bootMs) > crew.tier.bootMs * BOOT_TOLERANCE) {
      const post = posts.get(crew.tier.id);
      if (post) tellTier(post);
      if (!dryRun) await writeStored(stateFolder, crew).catch(() => {});
    }
  }

  // --- projects ---------------------------------------------------------------------------------------------------------------------

  let lookTimer: NodeJS.Timeout | undefined;
  let looking: Promise<void> | undefined;
  let lookAgain = false;

  function lookAroundSoon(): void {
    if (closed) return;
    lookTimer ??= setTimeout(() => {
      lookTimer = undefined;
      void lookAround();
    }, SETTLE_MS);
  }

  /** Projects, host and containers anew. One at a time; a wish that comes meanwhile makes one more afterwards. */
  function lookAround(): Promise<void> {
    if (looking !== undefined) {
      lookAgain = true;
      return looking;
    }
    looking = (async () => {
      do {
        lookAgain = false;
        try {
          await look();
        } catch (error) {
          if (!closed) report({ kind: 'warning', text: `the autoscaler could not look around: ${describe(error)}` });
        }
      } while (lookAgain && !closed);
    })().finally(() => {
      looking = undefined;
    });
    return looking;
  }

  async function look(): Promise<void> {
    const [found, listed] = await Promise.all([findProjects(docker, stateFolder, cache), docker.listContainers()]);
    problems = say(
      problems,
      found.problems.map(({ project, message }) => `${project} is not scaled: ${message}`),
    );
    const scaled = new Set(found.projects.flatMap(({ name, scaled: services }) => services.map((service) => `${name}/${service.name}`)));
    await lookAtHost(listed, scaled, reservations(found.projects));
    for (const post of posts.values()) if (!scaled.has(post.crew.tier.id)) await dismiss(post);
    const tierWarnings: string[] = [];
    for (const project of found.projects) {
      await folders.follow(project.name);
      await noteHeld(project.name);
      const employed: Employed[] = [];
      for (const service of project.scaled) {
        try {
          employed.push(await employ(project, service, listed));
        } catch (error) {
          if (!(error instanceof Failure)) throw error;
          tierWarnings.push(`${project.name}/${service.name} is not scaled: ${describe(error)}`);
        }
      }
      await fleet.relist(...employed.map(({ post }) => post.crew));
      for (const { post, isNew, warnings: said } of employed) {
        tierWarnings.push(...said.map((text) => `${project.name}: ${text}`));
        if (isNew) {
          // Nobody is given anything before every tier's containers are known, that there are none among it.
          tell({ kind: 'workers', tier: post.crew.tier.id, workers: structuredClone([...post.crew.workers.values()]) });
          goOnDraining(post);
        }
        openSources(post);
      }
      await noteFree(project.name);
    }
    const fits = budget
      ? neverFits(
          [...posts.values()].map(({ crew }) => crew.tier),
          budget,
        )
      : [];
    warnings = say(warnings, [...tierWarnings, ...fits.map(({ service, reason }) => (service ? `${service}: ${reason}` : reason))]);
    statusSoon();
  }

  /** What was said already is not said again. */
  function say(before: string[], after: string[]): string[] {
    for (const text of after) if (!before.includes(text)) report({ kind: 'warning', text });
    return after;
  }

  async function lookAtHost(
    listed: ContainerSummary[],
    scaled: ReadonlySet<string>,
    reservedCpus: ReadonlyMap<string, number>,
  ): Promise<void> {
    const isScaled = ({ Labels }: ContainerSummary): boolean => scaled.has(tierIdOf(Labels) ?? '');
    const facts = fixedHost ?? (await observeHost(docker, machine, listed, isScaled, watched, reservedCpus));
    const found = hostBudget(facts);
    hostWarnings = say(hostWarnings, found.warnings);
    budget = found.budget;
    const text = JSON.stringify(budget);
    if (text === toldBudget) return;
    toldBudget = text;
    tell({ kind: 'host', budget: { ...budget } });
    for (const post of posts.values()) tellTier(post);
  }

  function tierFor(project: ScaledProject, service: ScaledService, bootMs: number | undefined): { tier: Tier; warnings: string[] } {
    return tierOf(project.name, service, {
      ...(budget ? { budget } : {}),
      ...(bootMs === undefined ? {} : { bootMs }),
      ...(types ? { types } : {}),
    });
  }

  function tellTier(post: Post): string[] {
    const { tier, warnings: said } = tierFor(post.project, post.service, post.crew.bootMs);
    post.crew.tier = tier;
    const text = JSON.stringify(tier);
    if (text !== post.told.tier) {
      post.told.tier = text;
      tell({ kind: 'tier', tier: JSON.parse(text) as Tier });
    }
    return said;
  }

  /** Takes up a service, or follows what has changed of it. */
  async function employ(project: ScaledProject, service: ScaledService, listed: ContainerSummary[]): Promise<Employed> {
    const id = `${project.name}/${service.name}`;
    let post = posts.get(id);
    const named = project.services[service.name];
    const [networks, injected] = [Object.keys(named?.networks ?? {}), named?.injected ?? []];
    const hooks = { postStart: service.postStart, preStop: service.preStop };
    const isNew = post === undefined;
    if (post) {
      Object.assign(post, { project, service });
      Object.assign(post.crew, { networks, injected, hooks });
    } else {
      const { tier } = tierFor(project, service, undefined);
      const crew: Crew = {
        tier,
        networks,
        injected,
        hooks,
        current: { configHash: '', imageId: '' },
        containers: new Map(),
        workers: new Map(),
        acting: new Map(),
        booting: new Map(),
      };
      const stored = await readStored(stateFolder, crew);
      if (stored?.bootMs !== undefined) crew.bootMs = stored.bootMs;
      post = {
        crew,
        project,
        service,
        sources: [],
        openedFrom: '',
        usage: new Map(),
        told: { tier: '', pause: '', manual: undefined },
        triggers: new Map(),
        decisions: [],
        recent: [],
        polled: new Set(),
      };
      posts.set(id, post);
      crews.set(id, crew);
      await recover(post, listed);
    }
    const warnings = tellTier(post);
    await followWishes(post);
    return { post, isNew, warnings };
  }

  /** What an autoscaler before this one left frozen runs again; what it asked to end is known as such. */
  async function recover({ crew }: Post, listed: ContainerSummary[]): Promise<void> {
    const own = listed.filter(({ Labels }) => tierIdOf(Labels) === crew.tier.id);
    const present = new Set(listed.filter(({ Labels }) => Labels[COMPOSE.project] === crew.tier.project).map(({ Id }) => Id));
    if (dryRun) return;
    for (const { Id, State } of own) {
      if (State !== 'paused') continue;
      await unpause(docker, Id);
      report({ kind: 'note', text: `${crew.tier.id}: thawed ${Id.slice(0, 12)}, which was left frozen` });
    }
    for (const [id, mark] of await currentMarks(stateFolder, crew.tier.project, present)) {
      if (mark.service !== crew.tier.service && mark.service !== '') continue;
      if (mark.kind === 'draining' && (mark.signalled || (await wasSignalled(id, mark.sinceMs)))) {
        fleet.marks.set(id, { ...mark, signalled: true });
      }
      // When the engine does not know either, the worker is asked for its idleness again before it is signalled.
      else await unmarkWorker(stateFolder, crew.tier.project, id);
    }
    if ((await holderOf(crew.tier.project)) === undefined)
      await serveAgain(
        crew,
        own.map(({ Id }) => Id),
      );
  }

  /** What was being taken out of its route and has not been asked to end has its requests again. */
  async function serveAgain(crew: Crew, ids: Iterable<string>): Promise<void> {
    for (const id of ids) {
      const routed = fleet.marks.has(id) || crew.acting.has(id) ? undefined : hands.routed(crew, id);
      if (routed) await returnToEdge(routed);
    }
  }

  /** Whoever left an unconfirmed mark may have died between the signal and its answer. */
  async function wasSignalled(id: string, sinceMs: number): Promise<boolean> {
    const filters = { type: ['container'], event: ['kill'], container: [id] };
    return (await docker.pastEvents(filters, sinceMs, now())).length > 0;
  }

  function goOnDraining({ crew }: Post): void {
    for (const [id, mark] of fleet.marks) {
      if (mark.kind !== 'draining') continue;
      const member = crew.containers.get(id);
      if (!member) continue;
      const exit = member.state === 'running' || member.state === 'paused' ? fleet.exited(id) : Promise.resolve();
      const done = finishDraining(hands, crew, id, mark.then, exit)
        .catch((error: Error) => report({ kind: 'warning', text: `${crew.tier.id}: ${error.message}` }))
        .finally(() => crew.acting.delete(id));
      crew.acting.set(id, done);
    }
  }

  async function dismiss(post: Post): Promise<void> {
    const { id } = post.crew.tier;
    posts.delete(id);
    crews.delete(id);
    await Promise.allSettled(post.sources.map((source) => source.close()));
    if (!dryRun) {
      for (const member of post.crew.containers.values()) {
        if (member.state !== 'paused') continue;
        await unpause(docker, member.id);
        await unmarkWorker(stateFolder, post.crew.tier.project, member.id);
      }
    }
    tell({ kind: 'tier-gone', tier: id });
    report({ kind: 'note', text: `${id} is no longer scaled` });
  }

  // --- sources ----------------------------------------------------------------------------------------------------------------------

  function openSources(post: Post): void {
    const { crew, service } = post;
    const { triggers } = service.autoscale;
    const from = JSON.stringify([
      triggers.map(({ name, type, metadata, metricType }) => [name, type, metadata, metricType]),
      service.environment,
      crew.tier.framework,
    ]);
    if (from === post.openedFrom) return;
    post.openedFrom = from;
    const old = post.sources;
    void Promise.allSettled(old.map((source) => source.close()));
    post.triggers.clear();
    post.polled.clear();
    const context = contextOf(post);
    post.sources = triggers.map(({ name, type, metadata, metricType }) => {
      const kind = types ? types.find((one) => one.type === type) : triggerType(type);
      const summary = (text: string, failing: boolean) => {
        const before = post.triggers.get(name)?.summary;
        post.triggers.set(name, { name, type, atMs: now(), summary: text, failing });
        statusSoon(text === before ? QUIET_STATUS_MS : STATUS_MS);
      };
      post.triggers.set(name, { name, type, summary: 'not read yet', failing: false });
      const trigger = openOrExplain(kind, metadata, { ...context, ...(metricType ? { metricType } : {}) });
      return openSource({
        name,
        type,
        trigger,
        now,
        pauseMs: (reading) => pollMs(post, trigger.watch !== undefined && !post.polled.has(name), reading),
        onReading: (reading) => {
          summary(summarize(reading), false);
          for (const worker of crew.workers.values()) {
            if (crew.booting.has(worker.id) && reading.workers?.some((one) => isNamed(one, worker)) && noteReady(crew, worker.id, now()))
              void bootMeasured(crew);
          }
          tell({ kind: 'reading', tier: crew.tier.id, trigger: name, reading });
        },
        onFailure: (error) => {
          const message = describe(error);
          if (!post.triggers.get(name)?.failing) report({ kind: 'warning', text: `${crew.tier.id}: ${name} cannot be read: ${message}` });
          summary(message, true);
          tell({ kind: 'reading-failed', tier: crew.tier.id, trigger: name, message });
        },
        onNotice: () => tell({ kind: 'notice', tier: crew.tier.id, trigger: name }),
        onLost: (reason, forGood) => {
          if (forGood) post.polled.add(name);
          report({ kind: 'warning', text: `${crew.tier.id}: ${reason}` });
          // What changed since the last reading is unknown now, which to a frozen worker is as good as a change.
          tell({ kind: 'notice', tier: crew.tier.id, trigger: name });
        },
      });
    });
  }

  function pollMs({ crew, service }: Post, tells: boolean, reading: Reading | undefined): number {
    const { pollingIntervalMs } = crew.tier;
    if (service.autoscale.pollingIntervalMs !== undefined) return pollingIntervalMs;
    if (tells) return TOLD_POLL_MS;
    const idle = ![...crew.workers.values()].some(({ phase }) => phase === 'running' || phase === 'starting');
    return idle || (reading?.queue?.waiting ?? 0) > 0 ? Math.min(POLL_SOON_MS, pollingIntervalMs) : pollingIntervalMs;
  }

  function contextOf(post: Post): TriggerContext {
    const { crew } = post;
    const own = post.project.services[crew.tier.service] ?? { name: crew.tier.service, injected: [], networks: {} };
    const running = (): string[] => [...crew.containers.values()].filter((member) => member.state === 'running').map(({ id }) => id);
    return {
      resolve: async (host, port) => {
        const found = await resolveHost(docker, { project: crew.tier.project, services: post.project.services, own }, host, port);
        if (found.network !== undefined && found.network !== crew.seenOn) {
          crew.seenOn = found.network;
          // Workers are known to the source by their addresses on this network.
          fleet.relist(crew).catch((error: Error) => report({ kind: 'warning', text: `${crew.tier.id}: ${error.message}` }));
        }
        return { host: found.host, port: found.port };
      },
      environment: post.service.environment,
      ...(crew.tier.framework ? { framework: crew.tier.framework } : {}),
      exec: async (service, command) => {
        const [id] = service === undefined ? running() : await runningOf(crew.tier.project, service);
        if (id === undefined) {
          throw new Failure('TRIGGER_FAILED', `no container of ${service ?? crew.tier.service} runs in which ${command[0]} could`, {
            where: crew.tier.id,
          });
        }
        return docker.exec(id, command);
      },
      usage: () => readUsage(docker, running(), crew.tier.need, post.usage),
      workers: async () =>
        running().map((id) => ({ hostname: id.slice(0, 12), addresses: Object.values(crew.containers.get(id)?.addresses ?? {}) })),
      now,
    };
  }

  async function runningOf(project: string, service: string): Promise<string[]> {
    const listed = await docker.listContainers([`${COMPOSE.project}=${project}`, `${COMPOSE.service}=${service}`]);
    return listed.filter(({ State, Labels }) => State === 'running' && tierIdOf(Labels) !== undefined).map(({ Id }) => Id);
  }

  // --- what people say --------------------------------------------------------------------------------------------------------------

  const folders = watchFolders(stateFolder, {
    onProject: (name) => void followProject(name),
    onProjects: () => lookAroundSoon(),
    onProblem: (error) => report({ kind: 'warning', text: `the state folder cannot be followed: ${error.message}` }),
  });

  /**
   * Somebody stops or removes containers without a lock: docker compose down, most likely. What is started beside it would keep its networks
   * from being removed, so nothing is until it is over.
   */
  function noteForeign(project: string): void {
    if (held.has(project) && !foreign.has(project)) return;
    if (![...posts.values()].some(({ crew }) => crew.tier.project === project)) return;
    clearTimeout(foreign.get(project));
    foreign.set(
      project,
      setTimeout(() => {
        foreign.delete(project);
        void followProject(project);
      }, FOREIGN_MS).unref(),
    );
    if (held.has(project)) return;
    held.set(project, BY_HAND);
    tell({ kind: 'held', project, by: BY_HAND });
  }

  async function holderOf(project: string): Promise<string | undefined> {
    const holder = await readLock(lockPath(stateFolder, project));
    if (holder) return `${holder.purpose} (pid ${holder.pid})`;
    if (await readUnfinished(stateFolder, project)) return 'a release that was broken off: composure recover ends it';
    return foreign.has(project) ? BY_HAND : undefined;
  }

  async function noteHeld(project: string): Promise<boolean> {
    const by = await holderOf(project);
    if (by === undefined) return false;
    if (by !== held.get(project)) {
      held.set(project, by);
      tell({ kind: 'held', project, by });
    }
    return true;
  }

  /** Only after its containers were looked at anew: a release has changed them. */
  async function noteFree(project: string): Promise<void> {
    if (!held.has(project) || (await holderOf(project)) !== undefined) return;
    held.delete(project);
    for (const { crew } of posts.values()) if (crew.tier.project === project) await serveAgain(crew, crew.workers.keys());
    tell({ kind: 'held', project });
  }

  async function followProject(project: string): Promise<void> {
    if (closed) return;
    try {
      if (!(await noteHeld(project)) && held.has(project)) await lookAround();
      for (const post of posts.values()) if (post.crew.tier.project === project) await followWishes(post);
    } catch (error) {
      report({ kind: 'warning', text: `${project}: ${describe(error)}` });
    }
  }

  async function followWishes(post: Post): Promise<void> {
    const { crew, told } = post;
    const wishes = await readWishes(stateFolder, crew.tier.project);
    const wish = wishes.pause[crew.tier.service];
    const pause: Tier['pause'] = wish
      ? {
          paused: wish.paused,
          ...(wish.pausedReplicas === undefined ? {} : { pausedReplicas: wish.pausedReplicas }),
          pausedScaleIn: wish.pausedScaleIn,
          pausedScaleOut: wish.pausedScaleOut,
        }
      : crew.tier.pause;
    const text = JSON.stringify(pause);
    if (text !== told.pause) {
      told.pause = text;
      tell({ kind: 'paused', tier: crew.tier.id, pause: { ...pause } });
    }
    const manual = wishes.scale[crew.tier.service]?.replicas;
    if (manual !== told.manual) {
      told.manual = manual;
      tell({ kind: 'manual', tier: crew.tier.id, ...(manual === undefined ? {} : { replicas: manual }) });
    }
  }

  // --- life -------------------------------------------------------------------------------------------------------------------------

  const { NCPU, MemTotal } = await waitForEngine();
  const machine = { cores: NCPU, memoryBytes: MemTotal };

  /** An agent may start before the engine does. */
  async function waitForEngine(): Promise<{ NCPU: number; MemTotal: number }> {
    for (let said = false; ; said = true) {
      try {
        return await docker.info();
      } catch (error) {
        if (signal.aborted) return { NCPU: 0, MemTotal: 0 };
        if (!said) report({ kind: 'warning', text: `the autoscaler waits for the engine: ${describe(error)}` });
        await sleep(RECONNECT_MS);
      }
    }
  }

  async function followEvents(): Promise<void> {
    while (!signal.aborted) {
      try {
        const stream = docker.events({ type: ['container', 'image'], event: [...CONTAINER_EVENTS, 'tag', 'untag', 'delete'] }, signal);
        const first = stream.next();
        // What happened before the stream was open is seen by looking.
        lookAroundSoon();
        for (let next = await first; !next.done; next = await stream.next()) {
          if (next.value.Type === 'image') await followImages();
          else fleet.onEvent(next.value);
        }
        if (!signal.aborted) report({ kind: 'warning', text: 'the engine ended its event stream; the autoscaler connects again' });
      } catch (error) {
        if (!signal.aborted) report({ kind: 'warning', text: `no events from the engine: ${describe(error)}` });
      }
      await pause(RECONNECT_MS, signal);
    }
  }

  /** A tag may mean another image now. */
  async function followImages(): Promise<void> {
    for (const { crew } of posts.values()) {
      if (!crew.template) continue;
      const { useImage } = await withImage(docker, crew.template).catch(() => ({ useImage: crew.template?.imageId ?? '' }));
      crew.template.useImage = useImage;
    }
  }

  async function run(): Promise<void> {
    if (!dryRun) {
      const thawed = await thawFrozen(docker, stateFolder).catch(() => []);
      if (thawed.length > 0) report({ kind: 'note', text: `thawed ${thawed.length} containers that were left frozen` });
    }
    folders.start();
    const safety = setInterval(() => void lookAround(), SAFETY_MS);
    const pressure = setInterval(() => {
      if (!fixedHost && posts.size > 0) void lookAtPressure();
    }, HOST_MS);
    const holders = setInterval(() => {
      for (const project of held.keys()) void followProject(project);
    }, HELD_MS);
    try {
      await followEvents();
    } finally {
      for (const timer of [safety, pressure, holders]) clearInterval(timer);
    }
  }

  async function lookAtPressure(): Promise<void> {
    const { memoryPressure } = await import('./host.ts');
    const found = await memoryPressure();
    if (!budget || budget.pressure === found) return;
    // The words change with every look; that there is pressure at all is what matters.
    if (budget.pressure !== undefined && found !== undefined) return;
    const { pressure: _before, ...rest } = budget;
    budget = { ...rest, ...(found === undefined ? {} : { pressure: found }) };
    toldBudget = JSON.stringify(budget);
    tell({ kind: 'host', budget: { ...budget } });
  }

  async function close(): Promise<void> {
    closed = true;
    for (const timer of [wakeTimer, statusTimer, lookTimer, ...foreign.values()]) clearTimeout(timer);
    folders.stop();
    await looking;
    const all = [...posts.values()];
    await Promise.allSettled(all.flatMap(({ sources }) => sources.map((source) => source.close())));
    if (dryRun) return;
    // What is just being frozen is thawed after that; what drains or starts needs nobody.
    await Promise.allSettled(
      all.flatMap(({ crew }) => [...crew.acting].flatMap(([id, done]) => (fleet.marks.get(id)?.kind === 'frozen' ? [done] : []))),
    );
    const thawed = await thawFrozen(docker, stateFolder).catch((error: Error) => {
      report({ kind: 'warning', text: `could not thaw everything: ${error.message}` });
      return [];
    });
    if (thawed.length > 0) report({ kind: 'note', text: `thawed ${thawed.length} containers before leaving` });
    await recording?.close();
    await writeStatus(stateFolder, status()).catch(() => {});
  }

  return { run, close };
}

/** Cores that the files promise to a container of each service, by "<project>/<service>". */
const reservations = (projects: readonly ScaledProject[]): Map<string, number> =>
  new Map(
    projects.flatMap(({ name, services }) =>
      Object.values(services).flatMap((service): [string, number][] =>
        service.reservedCpus === undefined ? [] : [[`${name}/${service.name}`, service.reservedCpus]],
      ),
    ),
  );

function openOrExplain(type: TriggerType | undefined, metadata: unknown, context: TriggerContext): OpenTrigger {
  try {
    if (!type) throw new Error('this version does not know its type');
    return type.open(metadata, context);
  } catch (error) {
    return { read: () => Promise.reject(error), close: async () => {} };
  }
}

function summarize({ value, queue, workers }: Reading): string {
  if (!queue) return String(value);
  const parts = [`${queue.waiting} waiting`];
  if (queue.active !== undefined) parts.push(`${queue.active} active`);
  if (queue.held) parts.push(`${queue.held} held`);
  if (workers) parts.push(`${workers.filter(({ busy }) => busy).length} of ${workers.length} workers busy`);
  return parts.join(', ');
}

const describe = (error: unknown): string =>
  error instanceof Failure ? [error.message, ...error.details].join('; ') : error instanceof Error ? error.message : String(error);

const pause = (ms: number, signal: AbortSignal): Promise<void> =>
  signal.aborted ? Promise.resolve() : sleep(ms, undefined, { signal }).catch(() => {});
