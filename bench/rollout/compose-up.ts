import { withProject } from '../../test/support/scenario.ts';
import { must } from '../support/must.ts';
import { exampleFiles } from './example.ts';
import type { Method } from './method.ts';

/** What the Compose documentation tells to do for a new version: the container that publishes the port is replaced. */
export const composeUp: Method = {
  name: 'docker compose up -d',
  async run(first, mode, releases) {
    const files = await exampleFiles('');
    await withProject(
      'bench rollout compose up',
      {
        env: { APP_ON_SIGTERM: mode },
        files: (facts) => ({
          ...files,
          // Two containers cannot publish one port.
          'compose.override.yaml': `
name: ${facts.name}
services:
  api: { ports: ["127.0.0.1:${facts.httpPort}:8000"], deploy: { replicas: 1 } }
`,
        }),
      },
      async (project) => {
        const up = (version: string, ...more: string[]) =>
          must('docker', ['compose', 'up', '-d', '--no-build', ...more], {
            cwd: project.folder,
            env: { APP_ON_SIGTERM: mode, VERSION: version },
          });
        await up(first, '--wait', 'api');
        await up(first);
        await releases({ project, port: project.httpPort, host: project.host, release: async (version) => void (await up(version)) });
      },
    );
  },
};
