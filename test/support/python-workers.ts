import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { run } from '../../src/kit/spawn.ts';
import type { Server, Servers } from './servers.ts';

const FOLDER = fileURLToPath(new URL('../fixtures/python-workers/', import.meta.url));
let building: Promise<string> | undefined;

/** The image with Celery, RQ and their jobs, built once for each content of its folder. Returns its name. */
export function buildPythonWorkers(): Promise<string> {
  building ??= build();
  building.catch(() => {
    building = undefined;
  });
  return building;
}

async function build(): Promise<string> {
  const hash = createHash('sha256');
  for (const name of ['Dockerfile', 'tasks.py', 'put.py']) hash.update(await readFile(`${FOLDER}${name}`));
  const image = `composure-test-python:${hash.digest('hex').slice(0, 12)}`;
  if ((await run('docker', ['image', 'inspect', '--format', '{{.Id}}', image])).code === 0) return image;
  const built = await run('docker', ['build', '--quiet', '--tag', image, FOLDER], { timeoutMs: 300_000 });
  if (built.code !== 0) throw new Error(`the image with Celery and RQ could not be built:\n${built.stderr}`);
  return image;
}

export interface PythonJob {
  seconds: number;
  countdown?: number;
  priority?: number;
}

/** Puts jobs into a queue with the library itself, from a container that stays for the next ones. */
export async function startProducer(servers: Servers, library: 'celery' | 'rq', environment: Record<string, string> = {}) {
  const producer: Server = await servers.start({
    image: await buildPythonWorkers(),
    command: ['sleep', 'infinity'],
    environment,
    flags: ['--init'],
  });
  return async (queue: string, jobs: PythonJob[]): Promise<void> => {
    const put = await producer.exec(['python3', 'put.py', library, queue, JSON.stringify(jobs)]);
    if (put.code !== 0) throw new Error(put.stderr);
  };
}
