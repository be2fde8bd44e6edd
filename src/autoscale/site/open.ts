import { existsSync } from 'node:fs';
import { lockPath } from '../../rollout/journal.ts';
import { ownIdentity } from '../../state/process.ts';
import type { Hands } from '../actions/hands.ts';
import type { Crew } from '../crew.ts';
import { type Fleet, openFleet } from '../fleet.ts';
import { watchFolders } from '../folders.ts';
import { createState } from '../policy/decide.ts';
import { openRecording } from '../recording.ts';
import { noteForeign } from './by-hand.ts';
import { tell } from './deciding.ts';
import { waitForEngine } from './engine.ts';
import { holderOf } from './held.ts';
import { followProject, lookAroundSoon } from './look.ts';
import type { AutoscalerOptions, Site } from './model.ts';
import { bootMeasured, refreshTemplate } from './templates.ts';

/** Puts the parts together: who tells whom. Looks at nothing yet but the engine itself. */
export async function openSite(options: AutoscalerOptions): Promise<Site> {
  const { stateFolder, report, dryRun = false } = options;
  const machine = await waitForEngine(options);
  const crews = new Map<string, Crew>();
  // The parts answer to the site that they are part of: it is there before any of them has something to say.
  const whole = (): Site => site;
  const fleet = fleetOf(whole, crews, options);
  const site: Site = {
    ...options,
    dryRun,
    machine,
    agent: ownIdentity(),
    fleet,
    hands: handsOf(whole, fleet, options),
    folders: watchFolders(stateFolder, {
      onProject: (name) => void followProject(site, name),
      onProjects: () => lookAroundSoon(site),
      onProblem: (error) => report({ kind: 'warning', text: `the state folder cannot be followed: ${error.message}` }),
    }),
    recording: dryRun
      ? undefined
      : openRecording(stateFolder, (error) =>
          report({ kind: 'warning', text: `events are no longer recorded for replay: ${error.message}` }),
        ),
    posts: new Map(),
    crews,
    cache: new Map(),
    watched: new Map(),
    held: new Map(),
    foreign: new Map(),
    warned: { projects: [], host: [], tiers: [] },
    budget: undefined,
    toldBudget: '',
    state: createState(Date.now()),
    events: [],
    deciding: false,
    wakeTimer: undefined,
    statusTimer: undefined,
    statusDueMs: Number.POSITIVE_INFINITY,
    lookTimer: undefined,
    looking: undefined,
    lookAgain: false,
    closed: false,
  };
  return site;
}

const fleetOf = (site: () => Site, crews: Map<string, Crew>, { docker, stateFolder, report }: AutoscalerOptions): Fleet =>
  openFleet({
    docker,
    stateFolder,
    crews,
    originOf: ({ tier }) => {
      const post = site().posts.get(tier.id);
      return {
        released: post?.project.released[tier.service],
        model: { configHash: post?.service.configHash ?? '', imageId: '' },
        retired: post?.project.retired ?? new Set(),
      };
    },
    tell: (event) => tell(site(), event),
    report,
    now: Date.now,
    onStranger: () => lookAroundSoon(site()),
    onForeign: (project) => noteForeign(site(), project),
    onIdentity: (crew) => void refreshTemplate(site(), crew),
    onReady: (crew) => void bootMeasured(site(), crew),
  });

const handsOf = (site: () => Site, fleet: Fleet, { docker, stateFolder, edge, report, signal, quietMs }: AutoscalerOptions): Hands => ({
  docker,
  stateFolder,
  report,
  tell: (event) => tell(site(), event),
  now: Date.now,
  making: fleet.making,
  deaths: fleet.deaths,
  marks: fleet.marks,
  holder: (project) => (existsSync(lockPath(stateFolder, project)) ? holderOf(site(), project) : undefined),
  read: async (crew) => Promise.all((site().posts.get(crew.tier.id)?.sources ?? []).map((source) => source.fresh())),
  exited: fleet.exited,
  relist: (crew) => fleet.relist(crew),
  prepareTemplate: async (crew) => {
    await refreshTemplate(site(), crew);
    if (!crew.template) throw new Error(crew.templateProblem ?? 'nothing tells what a container of it is made of');
    return crew.template;
  },
  routed: (crew, id) => {
    const post = site().posts.get(crew.tier.id);
    if (!edge || !post || post.service.edge.length === 0) return undefined;
    return { edge, project: crew.tier.project, service: post.service, container: id };
  },
  signal,
  ...(quietMs === undefined ? {} : { quietMs }),
});
