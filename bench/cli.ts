/** `npm run bench -- cli [--rounds N] [--json FILE]`: how long a person waits for `composure status` and `composure --version`. */
import { rm } from 'node:fs/promises';
import { buildTestApp } from '../test/support/app.ts';
import { withProject } from '../test/support/scenario.ts';
import { checkout, type Installation, installPackage } from './cli/packages.ts';
import { readArguments } from './support/arguments.ts';
import { must } from './support/must.ts';
import { median, round } from './support/numbers.ts';
import { publish, type Row, say } from './support/report.ts';
import { timeMs } from './support/time.ts';

const options = readArguments({ rounds: '21' });
const rounds = options.count('rounds');
const image = await buildTestApp();
const packed = await installPackage();
const installations: Installation[] = [packed, checkout];
const times: Record<string, number[]> = {};

try {
  await withProject(
    'bench cli',
    {
      files: ({ host, httpPort, httpsPort }) => ({
        'compose.yaml': `
services:
  api: { image: ${image}, deploy: { replicas: 2 }, x-edge: { host: ${host}, port: 3000, health: /health } }
  worker: { image: ${image}, environment: { ROLE: worker } }
  other: { image: ${image}, environment: { ROLE: worker } }
x-composure: { edge: { http_port: ${httpPort}, https_port: ${httpsPort} } }
`,
      }),
    },
    async (project) => {
      const deployed = await project.composure(['deploy', '--yes']);
      if (deployed.code !== 0) throw new Error(deployed.err);
      const place = { cwd: project.folder, env: { COMPOSURE_STATE_DIR: project.state, NO_COLOR: '1' } };
      const commands: [string, string, string[]][] = [
        ['docker compose ps', 'docker', ['compose', 'ps']],
        ['node -e 0', process.execPath, ['-e', '0']],
        ...installations.flatMap(({ kind, bin }): [string, string, string[]][] => [
          [`${kind}: status`, process.execPath, [bin, 'status']],
          [`${kind}: --version`, process.execPath, [bin, '--version']],
        ]),
      ];
      // Round 0 warms the page cache and Node's compile cache, as a second call on a server finds them.
      for (let index = 0; index <= rounds; index += 1) {
        for (const [name, program, args] of commands) {
          const ms = await timeMs(() => must(program, args, place));
          if (index > 0) times[name] = [...(times[name] ?? []), ms];
        }
      }
      say(`${rounds} rounds of ${commands.length} commands`);
    },
  );
} finally {
  await rm(packed.folder, { recursive: true, force: true });
}

const of = (name: string): number => median(times[name] ?? []);
const rows: Row[] = Object.entries(times).map(([command, all]) => ({
  command,
  medianMs: round(median(all), 1),
  fastestMs: round(Math.min(...all), 1),
  slowestMs: round(Math.max(...all), 1),
}));
publish(
  {
    bench: 'cli',
    summary: {
      statusRatio: round(of('package: status') / of('docker compose ps'), 3),
      statusMs: round(of('package: status'), 1),
      composePsMs: round(of('docker compose ps'), 1),
      versionMs: round(of('package: --version'), 1),
      checkoutStatusRatio: round(of('checkout: status') / of('docker compose ps'), 3),
      checkoutVersionMs: round(of('checkout: --version'), 1),
      nodeMs: round(of('node -e 0'), 1),
    },
    rows,
  },
  options.json,
);
