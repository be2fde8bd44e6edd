import type { EdgeBackend, EdgeServer, EdgeState } from './model.ts';
import type { ObservedEdge, ObservedServer } from './observe.ts';
import { type EdgeMap, HOLD_SERVER, MAPS, type RenderedEdge, renderMap, serverOptions, socketAddress } from './render.ts';
import { LONGEST_LINE } from './socket.ts';
import { allBackends } from './state.ts';

export type EdgeStep =
  | { kind: 'add'; backend: string; server: EdgeServer; healthIntervalMs: number }
  | { kind: 'move'; backend: string; server: EdgeServer; from: string }
  | { kind: 'await'; backend: string; servers: string[] }
  | { kind: 'ready' | 'drain'; backend: string; server: string }
  | { kind: 'hold'; backend: string; on: boolean }
  | { kind: 'map'; map: 'routes' | 'redirects'; entries: EdgeMap; changed: number }
  | { kind: 'remove'; backend: string; server: string }
  | { kind: 'reload'; why: string };

/**
 * How to bring a running HAProxy to a wanted state. `before` is done before the file is written: until then it names a set that works without
 * the new servers. `states` go out as one command line. A plan with a reload has nothing else to do: the new process begins from the file.
 */
export interface EdgePlan {
  before: EdgeStep[];
  states: EdgeStep[];
  after: EdgeStep[];
}

export function planEdge(wanted: { state: EdgeState; rendered: RenderedEdge }, observed: ObservedEdge): EdgePlan {
  const { rendered } = wanted;
  if (observed.structure !== rendered.structure) {
    const why =
      observed.structure === undefined
        ? 'the running process does not say what it was started with'
        : 'a route, port or setting is new or gone';
    return { before: [], states: [], after: [{ kind: 'reload', why }] };
  }
  const parts = allBackends(wanted.state).map(({ backend }) =>
    planBackend(
      backend,
      observed.servers.filter((server) => server.backend === backend.name),
    ),
  );
  const of = (pick: (part: BackendPart) => EdgeStep[]): EdgeStep[] => parts.flatMap(pick);
  return {
    before: [...of((part) => part.add), ...of((part) => part.await)],
    // A server is ready before another drains, and requests are held before the last one drains.
    states: [...of((part) => part.holdOn), ...of((part) => part.ready), ...of((part) => part.drain), ...of((part) => part.holdOff)],
    after: [...mapSteps(rendered, observed), ...of((part) => part.remove)],
  };
}

interface BackendPart {
  add: EdgeStep[];
  await: EdgeStep[];
  holdOn: EdgeStep[];
  ready: EdgeStep[];
  drain: EdgeStep[];
  holdOff: EdgeStep[];
  remove: EdgeStep[];
}

function planBackend(backend: EdgeBackend, observed: ObservedServer[]): BackendPart {
  const known = new Map(observed.map((server) => [server.name, server]));
  const wanted = new Set(backend.servers.map((server) => server.name));
  const name = backend.name;
  const add: EdgeStep[] = [];
  const ready: EdgeStep[] = [];
  const drain: EdgeStep[] = [];
  for (const server of backend.servers) {
    const seen = known.get(server.name);
    if (!seen) {
      add.push({ kind: 'add', backend: name, server, healthIntervalMs: backend.healthIntervalMs });
      continue;
    }
    if (seen.address !== server.address || seen.port !== server.port) {
      add.push({ kind: 'move', backend: name, server, from: socketAddress(seen) });
    }
    if (seen.state !== server.state)
      (server.state === 'ready' ? ready : drain).push({ kind: server.state, backend: name, server: server.name });
  }
  const remove = observed
    .filter((server) => server.name !== HOLD_SERVER && !wanted.has(server.name))
    .map((server): EdgeStep => ({ kind: 'remove', backend: name, server: server.name }));
  const held = known.get(HOLD_SERVER)?.state === 'ready';
  const staying = backend.servers.filter((server) => server.state === 'ready' && known.get(server.name)?.state === 'ready');
  const leaving = observed.some(
    (server) => server.state === 'ready' && server.name !== HOLD_SERVER && !staying.some(({ name: kept }) => kept === server.name),
  );
  const coming = add.flatMap((step) => (step.kind === 'add' && step.server.state === 'ready' ? [step.server.name] : []));
  // Nobody is left to serve between the drain and the first check of the new ones, unless that check is waited for.
  const gap = leaving && staying.length === 0 && ready.length === 0 && coming.length > 0 && !backend.hold;
  return {
    add,
    await: gap ? [{ kind: 'await', backend: name, servers: coming }] : [],
    holdOn: backend.hold && !held ? [{ kind: 'hold', backend: name, on: true }] : [],
    ready,
    drain,
    holdOff: !backend.hold && held ? [{ kind: 'hold', backend: name, on: false }] : [],
    remove,
  };
}

function mapSteps(rendered: RenderedEdge, observed: ObservedEdge): EdgeStep[] {
  return (['routes', 'redirects'] as const).flatMap((map): EdgeStep[] => {
    const entries = rendered.maps[map];
    const now = observed.maps[map];
    const keys = new Set([...Object.keys(entries), ...Object.keys(now)]);
    const changed = [...keys].filter((key) => entries[key] !== now[key]).length;
    return changed > 0 ? [{ kind: 'map', map, entries, changed }] : [];
  });
}

export const isEmptyPlan = (plan: EdgePlan): boolean => plan.before.length + plan.states.length + plan.after.length === 0;

export function formatEdgePlan(plan: EdgePlan): string {
  if (isEmptyPlan(plan)) return 'nothing to do\n';
  const lines = [...plan.before, ...plan.states, ...plan.after].map(describeStep);
  return `${lines.join('\n')}\n`;
}

export function describeStep(step: EdgeStep): string {
  switch (step.kind) {
    case 'add':
      return `add ${step.backend}/${step.server.name} at ${socketAddress(step.server)}, ${step.server.state === 'ready' ? 'ready once its check passed' : 'drained'}`;
    case 'move':
      return `move ${step.backend}/${step.server.name} from ${step.from} to ${socketAddress(step.server)}`;
    case 'await':
      return `wait until ${step.servers.map((server) => `${step.backend}/${server}`).join(' or ')} passed its check`;
    case 'ready':
    case 'drain':
      return `${step.kind} ${step.backend}/${step.server}`;
    case 'hold':
      return step.on ? `hold requests of ${step.backend} while no server is ready` : `hold no more requests of ${step.backend}`;
    case 'map':
      return `change ${step.changed} of the ${step.map}, ${Object.keys(step.entries).length} afterwards`;
    case 'remove':
      return `remove ${step.backend}/${step.server}`;
    case 'reload':
      return `reload: ${step.why}`;
  }
}

/** The commands of a step on HAProxy's runtime socket; steps that need more than commands have none. */
export function stepCommands(step: EdgeStep): string[] {
  switch (step.kind) {
    case 'add': {
      const id = `${step.backend}/${step.server.name}`;
      return [
        `add server ${id} ${socketAddress(step.server)} ${serverOptions(step)} init-state down`,
        `enable health ${id}`,
        `set server ${id} state ${step.server.state}`,
      ];
    }
    case 'move':
      return [`set server ${step.backend}/${step.server.name} addr ${step.server.address} port ${step.server.port}`];
    case 'ready':
      // One that drains since the start of the process does so by weight 0.
      return [`set weight ${step.backend}/${step.server} 1`, `set server ${step.backend}/${step.server} state ready`];
    case 'drain':
      return [`set server ${step.backend}/${step.server} state drain`];
    case 'hold':
      return [`set server ${step.backend}/${HOLD_SERVER} state ${step.on ? 'ready' : 'maint'}`];
    default:
      return [];
  }
}

/** The lines that put a map's new entries in place at once, given the version number that `prepare map` answered. */
export function mapCommands(map: 'routes' | 'redirects', entries: EdgeMap, version: number): string[] {
  const chunks: string[] = [];
  for (const line of renderMap(entries).split('\n').filter(Boolean)) {
    const chunk = chunks.at(-1);
    if (chunk !== undefined && chunk.length + line.length < LONGEST_LINE) chunks[chunks.length - 1] = `${chunk}${line}\n`;
    else chunks.push(`${line}\n`);
  }
  return [...chunks.map((chunk) => `add map @${version} ${MAPS[map]} <<\n${chunk}`), `commit map @${version} ${MAPS[map]}`];
}
