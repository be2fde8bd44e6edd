import { request } from 'node:http';
import type { ContainerSummary } from '../../src/docker/api.ts';
import { COMPOSE } from '../../src/docker/labels.ts';
import type { ScenarioProject } from '../../test/support/scenario.ts';
import { RUNNING } from './stack.ts';

export interface Aftermath {
  /** The release that runs: all services in exactly their number of containers, all of one version. */
  ends: 'old' | 'new' | 'neither';
  /** Empty when everything is as after a release that nobody disturbed, or as before it. */
  problems: string[];
}

/** What runs after a recovery, where requests go, and whether Compose sees anything left to do. `before`: ids of what ran before the release. */
export async function inspectAftermath(
  project: ScenarioProject,
  release: { old: string; fresh: string; before: string[] },
): Promise<Aftermath> {
  const problems: string[] = [];
  const found = await describeRunning(project);
  const ends = isExactly(found, release.fresh) ? 'new' : isExactly(found, release.old) ? 'old' : 'neither';
  if (ends === 'neither') problems.push(`runs: ${found.map(({ service, version }) => `${service} ${version}`).join(', ')}`);
  const settled = await runningIds(project);
  if (ends === 'old' && settled.join() !== release.before.join()) problems.push('the old release runs in other containers than before');
  const version = ends === 'new' ? release.fresh : release.old;
  for (const host of [project.host, `single.${project.host}`]) {
    const answers = await Promise.all(Array.from({ length: 4 }, () => versionAt(project.httpPort, host)));
    if (answers.some((answer) => answer !== version)) problems.push(`${host} answers ${answers.join(', ')} instead of ${version}`);
  }
  // Without the release job, which Compose would run again.
  const up = await project.compose(['up', '-d', '--no-build', '--no-deps', ...Object.keys(RUNNING)], { VERSION: version });
  if (up.code !== 0) problems.push(`docker compose up -d ended with ${up.code}: ${up.stderr.slice(-300)}`);
  if ((await runningIds(project)).join() !== settled.join()) problems.push('docker compose up -d changed a running container');
  return { ends, problems };
}

const isUp = ({ State, Labels }: ContainerSummary): boolean => State === 'running' && (Labels[COMPOSE.service] ?? '') in RUNNING;

export async function runningIds(project: ScenarioProject): Promise<string[]> {
  return (await project.containers())
    .filter(isUp)
    .map(({ Id }) => Id.slice(0, 12))
    .sort();
}

async function describeRunning(project: ScenarioProject): Promise<{ service: string; version: string }[]> {
  const up = (await project.containers()).filter(isUp);
  return Promise.all(
    up.map(async ({ Id, Labels }) => {
      const { Config } = await project.inspect(Id);
      const version = Config.Env?.find((text) => text.startsWith('VERSION='))?.slice('VERSION='.length) ?? '';
      return { service: Labels[COMPOSE.service] ?? '', version };
    }),
  );
}

const isExactly = (found: { service: string; version: string }[], version: string): boolean =>
  found.every((one) => one.version === version) &&
  Object.entries(RUNNING).every(([service, count]) => found.filter((one) => one.service === service).length === count);

function versionAt(port: number, host: string): Promise<string> {
  return new Promise((resolve) => {
    const call = request({ host: '127.0.0.1', port, path: '/', headers: { host }, agent: false, timeout: 10_000 }, (response) => {
      response.resume();
      resolve(response.statusCode === 200 ? String(response.headers['x-version']) : `status ${response.statusCode}`);
    });
    call.on('timeout', () => call.destroy(new Error('timeout')));
    call.on('error', (error) => resolve(error.message));
    call.end();
  });
}
