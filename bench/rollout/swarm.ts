import { join } from 'node:path';
import { run } from '../../src/kit/spawn.ts';
import { waitFor } from '../../src/kit/wait.ts';
import { type ScenarioProject, withProject } from '../../test/support/scenario.ts';
import { lines, must } from '../support/must.ts';
import { say } from '../support/report.ts';
import { exampleFiles, IMAGE, WORKERS } from './example.ts';
import type { AppMode, Method } from './method.ts';
import { followDns } from './proxy.ts';

/**
 * The api as a Swarm service, `docker service update --update-order start-first`; the rest of the stack beside it by Compose, on the same overlay network.
 * DNS round robin with a HAProxy that follows tasks.<service>: it works on every kernel, while Swarm's own virtual addresses need IPVS.
 */
export const serviceUpdate: Method = {
  name: 'docker service update --update-order start-first',
  async run(first, mode, releases) {
    const files = await exampleFiles('');
    await withSwarm(() =>
      withProject(
        'bench rollout swarm',
        {
          env: { APP_ON_SIGTERM: mode },
          files: (facts) => ({
            ...files,
            'haproxy.cfg': followDns(`tasks.${facts.name}-api`),
            'compose.override.yaml': `
name: ${facts.name}
networks: { back: !override { external: true, name: ${facts.name}-back } }
`,
          }),
        },
        async (project) => {
          const service = `${project.name}-api`;
          const network = `${project.name}-back`;
          const workers = (version: string) =>
            must('docker', ['compose', 'up', '-d', '--no-build', ...WORKERS], { cwd: project.folder, env: { VERSION: version } });
          await must('docker', ['network', 'create', '--driver', 'overlay', '--attachable', network]);
          try {
            await workers(first);
            await must('docker', ['service', 'create', ...apiOptions(project, network, mode), '--name', service, `${IMAGE}:${first}`]);
            await must('docker', [
              ...['run', '--detach', '--name', `${project.name}-proxy`, '--network', network],
              ...['--label', `com.docker.compose.project=${project.name}`, '--publish', `127.0.0.1:${project.httpPort}:8080`],
              ...['--volume', `${join(project.folder, 'haproxy.cfg')}:/usr/local/etc/haproxy/haproxy.cfg:ro`, 'haproxy:3.2-alpine'],
            ]);
            await releases({
              project,
              port: project.httpPort,
              host: project.host,
              async release(version) {
                await must('docker', ['service', 'update', '--quiet', '--no-resolve-image', '--image', `${IMAGE}:${version}`, service]);
                await workers(version);
              },
            });
          } finally {
            await removeAll(project.name, service, network);
          }
        },
      ),
    );
  },
};

/** What the compose file says of the api, in the words of `docker service create`. */
const apiOptions = (project: ScenarioProject, network: string, mode: AppMode): string[] => [
  ...['--quiet', '--no-resolve-image', '--replicas', '2', '--endpoint-mode', 'dnsrr', '--network', network],
  ...['--update-order', 'start-first', '--update-parallelism', '1', '--update-monitor', '2s', '--update-failure-action', 'rollback'],
  ...['--stop-grace-period', '30s', '--init', '--user', '1000:1000', '--read-only', '--mount', 'type=tmpfs,destination=/tmp'],
  ...['--mount', `type=bind,source=${join(project.folder, 'secrets/development')},destination=/run/secrets/postgres_password,readonly`],
  ...['--env', 'REDIS_HOST=redis', '--env', 'POSTGRES_HOST=postgres', '--env', 'POSTGRES_PASSWORD_FILE=/run/secrets/postgres_password'],
  ...['--env', `APP_ON_SIGTERM=${mode}`, '--limit-memory', '256M', '--limit-cpu', '1'],
  ...['--health-cmd', 'node src/health.js', '--health-interval', '5s', '--health-timeout', '3s', '--health-retries', '3'],
  ...['--health-start-period', '20s', '--health-start-interval', '500ms'],
];

/** Makes this engine a Swarm of one for as long as the work takes, unless it is a Swarm already. */
async function withSwarm(work: () => Promise<void>): Promise<void> {
  const state = await must('docker', ['info', '--format', '{{.Swarm.LocalNodeState}}']);
  if (state === 'active') return work();
  say('making this engine a Swarm of one for the time of this measurement');
  const bridge = await lines('docker', ['network', 'ls', '--quiet', '--filter', 'name=^docker_gwbridge$']);
  await must('docker', ['swarm', 'init', '--advertise-addr', '127.0.0.1']);
  try {
    await work();
  } finally {
    await must('docker', ['swarm', 'leave', '--force']);
    if (bridge.length === 0) await run('docker', ['network', 'rm', 'docker_gwbridge']);
  }
}

/** The network goes last: it stays in use until the tasks' containers are gone. */
async function removeAll(project: string, service: string, network: string): Promise<void> {
  await run('docker', ['service', 'rm', service]);
  await waitFor(
    async () => {
      const own = await lines('docker', ['ps', '--all', '--quiet', '--filter', `label=com.docker.compose.project=${project}`]);
      if (own.length > 0) await run('docker', ['rm', '--force', '--volumes', ...own]);
      return (await run('docker', ['network', 'rm', network])).code === 0 || undefined;
    },
    { everyMs: 1000, timeoutMs: 60_000 },
  );
}
