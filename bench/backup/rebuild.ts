import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { get } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { withProject } from '../../test/support/scenario.ts';
import { buildVersions, exampleFiles, removeVersions } from '../rollout/example.ts';
import { must } from '../support/must.ts';
import { say } from '../support/report.ts';
import { timeMs } from '../support/time.ts';
import { composure, PASSWORD } from './methods.ts';

const VERSION = '1';

/**
 * The example stack with `rows` of data, backed up; then its containers, volumes, folder, state and edge are gone as with a server that is lost.
 * What stays is the repository and, because there is no registry here, the images. Ms from typing `composure rebuild` until it says that all
 * runs; afterwards the route answers and the rows are counted.
 */
export async function measureRebuild(bin: string, rows: number): Promise<{ ms: number; steps: { step: string; seconds: number }[] }> {
  const place = await mkdtemp(join(tmpdir(), 'composure-bench-rebuild-'));
  const files = await exampleFiles('');
  await buildVersions([VERSION]);
  let ms = 0;
  let steps: { step: string; seconds: number }[] = [];
  try {
    await withProject(
      'bench rebuild',
      {
        env: { VERSION, RESTIC_PASSWORD: PASSWORD },
        files: ({ name, host, httpPort, httpsPort }) => ({
          ...files,
          'compose.override.yaml': JSON.stringify({
            name,
            services: { api: { 'x-edge': { host, port: 8000, health: '/health' } } },
            'x-composure': { edge: { http_port: httpPort, https_port: httpsPort }, backup: { repository: join(place, 'repository') } },
          }),
        }),
      },
      async (project) => {
        const command = (args: string[]) => composure({ project, bin }, args);
        await command(['deploy', '--yes', '--no-build']);
        const sql = async (text: string): Promise<string> => {
          const [container] = await project.containers('postgres');
          return must('docker', ['exec', container?.Id ?? '', 'psql', '-U', 'analytics', '-qAt', '-c', text]);
        };
        await sql(`CREATE TABLE measured AS SELECT i AS id, repeat(md5(i::text), 6) AS note FROM generate_series(1, ${rows}) AS i`);
        await command(['backup', 'init', '--yes']);
        await command(['backup', 'run']);
        say('the example is backed up');
        await command(['edge', 'stop', '--yes']);
        const down = await project.compose(['down', '--volumes', '--timeout', '5'], { VERSION });
        if (down.code !== 0) throw new Error(down.stderr);
        for (const folder of [project.folder, project.state]) await rm(folder, { recursive: true });
        let said = '';
        const from = ['rebuild', '--from', join(place, 'repository'), '--project', project.name, '--to', project.folder, '--yes', '--json'];
        ms = await timeMs(async () => {
          said = await composure({ project: { ...project, folder: place }, bin }, from);
        });
        steps = stepsOf(said);
        const found = await sql('SELECT count(*) FROM measured');
        if (Number(found) !== rows) throw new Error(`${found} rows came back, not ${rows}`);
        // fetch() would send the address's own Host.
        const [answer] = await once(
          get({ host: '127.0.0.1', port: project.httpPort, path: '/health', headers: { host: project.host } }),
          'response',
        );
        answer.resume();
        if (answer.statusCode !== 200) throw new Error(`the route answers ${answer.statusCode}`);
      },
    );
  } finally {
    await removeVersions([VERSION]);
    await rm(place, { recursive: true, force: true });
  }
  return { ms, steps };
}

function stepsOf(said: string): { step: string; seconds: number }[] {
  const report = JSON.parse(said.trim().split('\n').at(-1) ?? '{}') as { times?: { step: string; ms: number }[] };
  return (report.times ?? []).map(({ step, ms }) => ({ step, seconds: Math.round(ms / 100) / 10 }));
}
