import { createHash } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { run } from '../../src/kit/spawn.ts';
import { eventually } from './eventually.ts';
import { freePort, releasePort } from './ports.ts';
import { PREFIX } from './registry.ts';

export interface RestServer {
  /** For restic: "rest:http://127.0.0.1:PORT/keeper/repository", which only the user of that name may reach. */
  repository: string;
  /** Variables that let restic in. */
  credentials: { RESTIC_REST_USERNAME: string; RESTIC_REST_PASSWORD: string };
  stop(): Promise<void>;
}

/** restic's REST server in a container on a loopback port, with one user. `options` are more of its own, such as `--append-only`. */
export async function startRestServer(options: readonly string[] = []): Promise<RestServer> {
  const port = await freePort();
  const name = `${PREFIX}rest-${port}`;
  const folder = await mkdtemp(join(tmpdir(), `${PREFIX}rest-`));
  const credentials = { RESTIC_REST_USERNAME: 'keeper', RESTIC_REST_PASSWORD: 'for tests: only@home/' };
  const users = join(folder, 'users');
  const digest = createHash('sha1').update(credentials.RESTIC_REST_PASSWORD).digest('base64');
  await writeFile(users, `${credentials.RESTIC_REST_USERNAME}:{SHA}${digest}\n`);
  const settings = ['-e', 'PASSWORD_FILE=/users', '-e', `OPTIONS=${['--private-repos', ...options].join(' ')}`, '-v', `${users}:/users:ro`];
  const image = 'restic/rest-server:0.14.0';
  const labels = ['--label', `${PREFIX}pid=${process.pid}`];
  const made = await run('docker', ['run', '-d', '--name', name, ...labels, '-p', `127.0.0.1:${port}:8000`, ...settings, image]);
  if (made.code !== 0) throw new Error(made.stderr);
  await eventually(() => fetch(`http://127.0.0.1:${port}/`));
  return {
    repository: `rest:http://127.0.0.1:${port}/keeper/repository`,
    credentials,
    stop: async () => {
      await run('docker', ['rm', '-fv', name]);
      releasePort(port);
      await rm(folder, { recursive: true, force: true });
    },
  };
}
