import { waitFor } from '../../src/kit/wait.ts';
import { withProject } from '../../test/support/scenario.ts';
import { lines, must } from '../support/must.ts';
import { exampleFiles, WORKERS } from './example.ts';
import type { Method } from './method.ts';
import { followDns } from './proxy.ts';

const REPLICAS = 2;
const HEALTH_PATIENCE_MS = 60_000;

/**
 * The method that plugins for Compose use: as many new containers beside the old ones, wait until Docker calls them healthy,
 * stop and remove the old ones. The proxy finds out by itself.
 */
export const scaleUpThenRemove: Method = {
  name: 'scale up, wait healthy, remove old',
  async run(first, mode, releases) {
    const files = await exampleFiles('');
    await withProject(
      'bench rollout scale',
      {
        env: { APP_ON_SIGTERM: mode },
        files: (facts) => ({
          ...files,
          'haproxy.cfg': followDns('api'),
          'compose.override.yaml': `
name: ${facts.name}
services:
  api: { deploy: { replicas: ${REPLICAS} } }
  proxy:
    image: haproxy:3.2-alpine
    networks: [front]
    ports: ["127.0.0.1:${facts.httpPort}:8080"]
    volumes: ["./haproxy.cfg:/usr/local/etc/haproxy/haproxy.cfg:ro"]
`,
        }),
      },
      async (project) => {
        const place = (version: string) => ({ cwd: project.folder, env: { APP_ON_SIGTERM: mode, VERSION: version } });
        const compose = (version: string, ...args: string[]) => lines('docker', ['compose', ...args], place(version));
        await compose(first, 'up', '-d', '--no-build', '--wait', 'api', 'proxy');
        await compose(first, 'up', '-d', '--no-build');
        await releases({
          project,
          port: project.httpPort,
          host: project.host,
          async release(version) {
            const old = await compose(version, 'ps', '-q', 'api');
            await compose(
              version,
              'up',
              '-d',
              '--no-deps',
              '--no-build',
              '--no-recreate',
              '--scale',
              `api=${old.length + REPLICAS}`,
              'api',
            );
            const fresh = (await compose(version, 'ps', '-q', 'api')).filter((id) => !old.includes(id));
            const healthy = await waitFor(
              async () => {
                const states = await lines('docker', ['inspect', '--format', '{{.State.Health.Status}}', ...fresh]);
                return states.every((state) => state === 'healthy') || undefined;
              },
              { everyMs: 1000, timeoutMs: HEALTH_PATIENCE_MS },
            );
            if (!healthy) throw new Error('the new containers did not become healthy');
            await must('docker', ['stop', ...old]);
            await must('docker', ['rm', ...old]);
            await compose(version, 'up', '-d', '--no-deps', '--no-build', ...WORKERS);
          },
        });
      },
    );
  },
};
