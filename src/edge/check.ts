import { rm } from 'node:fs/promises';
import type { Docker } from '../docker/api.ts';
import { Failure } from '../kit/errors.ts';
import type { Report } from '../kit/events.ts';
import { writeFileDurably } from '../kit/files.ts';
import { checkConfig } from './container.ts';
import { configPath, ensureSideFiles, thisHost } from './files.ts';
import type { EdgeState } from './model.ts';
import { type RenderedEdge, renderEdge } from './render.ts';
import { wantedPorts } from './state.ts';
import { writeCertificateList } from './tls.ts';

export interface Checked {
  /** The state without the projects that HAProxy refuses. */
  state: EdgeState;
  rendered: RenderedEdge;
}

type Check = (state: EdgeState) => Promise<{ good: boolean; lines: string[]; config: string }>;

/**
 * Asks HAProxy about the file of a state before anything is changed. A project that is being changed and that HAProxy refuses ends it;
 * another project's bad part, and a bad certificate, are left out with a warning, and everything else goes on.
 */
export async function checkState(
  { docker, folder, report, fresh = false, image }: { docker: Docker; folder: string; report: Report; fresh?: boolean; image: string },
  state: EdgeState,
  changed: (project: string) => boolean,
): Promise<Checked> {
  await ensureSideFiles(folder);
  if (wantedPorts(state).https !== undefined) {
    const { bad } = await writeCertificateList(folder);
    for (const { name, why } of bad) report({ kind: 'warning', text: `certificate ${name} is left out: ${why}` });
  }
  const check: Check = async (candidate) => {
    const { config } = renderEdge(candidate, thisHost());
    const name = `candidate-${process.pid}.cfg`;
    await writeFileDurably(configPath(folder, name), config);
    try {
      return { ...(await checkConfig(docker, folder, image, name, { fresh })), config };
    } finally {
      await rm(configPath(folder, name), { force: true });
    }
  };
  const accepted = await withoutRefused(state, changed, check, report);
  return { state: accepted, rendered: renderEdge(accepted, thisHost()) };
}

async function withoutRefused(state: EdgeState, changed: (project: string) => boolean, check: Check, report: Report): Promise<EdgeState> {
  const whole = await check(state);
  if (whole.good) return state;
  const projects: EdgeState['projects'] = {};
  for (const [name, project] of Object.entries(state.projects)) {
    const alone = await check({ ...state, projects: { [name]: project } });
    if (alone.good) {
      projects[name] = project;
      continue;
    }
    const failure = refusal(alone.config, alone.lines);
    if (changed(name)) throw failure;
    report({ kind: 'warning', text: `the routes of ${name} are left out: ${failure.message}` });
  }
  const rest = { ...state, projects };
  const remaining = await check(rest);
  if (!remaining.good) throw refusal(remaining.config, remaining.lines);
  return rest;
}

/** HAProxy's words about a file, with the line and the route that they are about. */
export function refusal(config: string, lines: string[]): Failure {
  const alerts = lines.filter((line) => /ALERT/.test(line)).map((line) => line.replace(/^\[ALERT\]\s*\(\d+\)\s*:\s*/, ''));
  const number = Number(alerts.map((line) => /\[[^\]]*:(\d+)\]/.exec(line)?.[1]).find(Boolean));
  const text = config.split('\n');
  const before = Number.isFinite(number) ? text.slice(0, number) : [];
  const section = before.findLast((line) => /^(backend|frontend|global|defaults)\b/.test(line));
  const backend = section?.split(' ')[1] ?? section;
  const line = before.at(-1)?.trim();
  const words = alerts[0]?.replace(/^config : /, '').replace(/^parsing \[[^\]]*:(\d+)\] ?: ?/, 'line $1: ');
  return new Failure('EDGE_FAILED', `HAProxy refuses the configuration${backend ? ` of ${backend}` : ''}: ${words ?? 'no reason given'}`, {
    ...(backend ? { where: backend } : {}),
    details: [...(line ? [`line ${number}: ${line}`] : []), ...(alerts.length ? alerts : lines.slice(-5))],
    next: 'change that route; the running edge was not touched',
  });
}
