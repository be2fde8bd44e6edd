import { withProject } from '../../test/support/scenario.ts';
import { exampleFiles, WORKERS } from './example.ts';
import type { Method } from './method.ts';

/** Streams have this long to end by themselves; then the application is asked to end them, which the example does in order. */
const STREAMS = '5s';
const MONITOR = '2s';

export const composure: Method = {
  name: 'composure deploy',
  async run(first, mode, releases) {
    const files = await exampleFiles('');
    await withProject(
      'bench rollout composure',
      {
        env: { APP_ON_SIGTERM: mode },
        files: (facts) => ({
          ...files,
          'compose.override.yaml': `
name: ${facts.name}
services:
  api: { deploy: { update_config: { monitor: ${MONITOR} } }, x-edge: { host: ${facts.host}, drain: { streams: ${STREAMS} } } }
${WORKERS.map((worker) => `  ${worker}: { deploy: { update_config: { monitor: ${MONITOR} } } }`).join('\n')}
x-composure: { edge: { http_port: ${facts.httpPort}, https_port: ${facts.httpsPort} } }
`,
        }),
      },
      async (project) => {
        // As a person would: the command as a process of its own.
        const release = async (version: string): Promise<void> => {
          const { code, out, err } = await project.spawnComposure(['deploy', '--yes', '--no-build'], { VERSION: version }).done;
          if (code !== 0) throw new Error(`composure deploy ended with ${code}: ${out}${err}`);
        };
        await release(first);
        await releases({ project, port: project.httpPort, host: project.host, release });
      },
    );
  },
};
