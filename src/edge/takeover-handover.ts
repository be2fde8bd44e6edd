import { sleep } from '../kit/wait.ts';
import type { Edge, EdgeState } from './model.ts';
import { removeRedirect } from './takeover-redirect.ts';

/** How long a connection that was redirected at the last moment may wait to be accepted. */
const LAST_ACCEPT_MS = 200;

type Takeover = EdgeState['settings']['takeovers'][number];

/**
 * The port is free now: the edge listens on both ports, then the redirect goes, then the temporary port. At no moment does a new connection
 * meet a port that nobody listens on. Repeating it, also after it was broken off anywhere, is harmless.
 */
export async function finishTakeover(edge: Pick<Edge, 'name' | 'read' | 'change'>, port: number): Promise<void> {
  const { takeovers } = (await edge.read()).settings;
  if (takeovers.some((entry) => entry.port === port)) {
    await edge.change((state) => withTakeovers(state, (entry) => (entry.port === port ? { ...entry, freed: true } : entry)));
  }
  await removeRedirect(edge.name, port);
  if (!takeovers.some((entry) => entry.port === port)) return;
  await sleep(LAST_ACCEPT_MS);
  await edge.change((state) => withTakeovers(state, (entry) => (entry.port === port ? undefined : entry)));
}

function withTakeovers(state: EdgeState, change: (takeover: Takeover) => Takeover | undefined): EdgeState {
  return { ...state, settings: { ...state.settings, takeovers: state.settings.takeovers.flatMap((entry) => change(entry) ?? []) } };
}
