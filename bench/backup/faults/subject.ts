import { spawn } from 'node:child_process';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { openDocker } from '../../../src/docker/api.ts';
import { eventually } from '../../../test/support/eventually.ts';
import { type ScenarioProject, withProject } from '../../../test/support/scenario.ts';
import { buildShopDatabase, fillShop, shopFiles } from '../../../test/support/shop.ts';
import { must } from '../../support/must.ts';
import { PASSWORD } from '../methods.ts';
import type { Finder, Running, Subject } from './model.ts';

/** No command here takes a quarter of that. */
const LIMIT_MS = 120_000;

/** A disk of its own, which the shop's photos are on. */
export const photosOf = ({ project }: Pick<Subject, 'project'>): string => join(project.folder, 'photos');

export const settingsOf = (keepLast: number): string =>
  JSON.stringify({
    services: { photos: { image: 'busybox:1', command: ['sleep', 'infinity'], stop_grace_period: '0s', volumes: ['./photos:/photos'] } },
    'x-composure': { backup: { secrets: ['AWS_ACCESS_KEY_ID', 'AWS_SECRET_ACCESS_KEY'], 'keep-last': keepLast } },
  });

/** The shop of the drill's tests with a disk of photos, well and backed up once. Everything of it is gone afterwards. */
export async function withSubject(bin: string, body: (subject: Subject) => Promise<void>): Promise<void> {
  const image = await buildShopDatabase();
  const files = (facts: Parameters<typeof shopFiles>[0]) => ({ ...shopFiles(facts), 'compose.override.yaml': settingsOf(3) });
  await withProject('bench faults', { files, env: { RESTIC_PASSWORD: PASSWORD } }, async (project) => {
    const subject = { project, bin, repository: join(project.folder, 'repository') };
    await must('docker', ['tag', image, `${project.name}-db`]);
    try {
      await mkdir(photosOf(subject));
      await mountPhotos(subject);
      for (const args of [...fillShop, ['up', '--detach', '--wait', 'photos']]) await compose(subject, args);
      await body(subject);
    } finally {
      await must('umount', ['-l', photosOf(subject)]).catch(() => {});
      await must('docker', ['rmi', `${project.name}-db`]);
    }
  });
}

export async function mountPhotos(subject: Subject): Promise<void> {
  await must('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', photosOf(subject)]);
  await writeFile(join(photosOf(subject), 'photo'), 'on the disk');
}

export const compose = ({ project }: Subject, args: readonly string[]): Promise<string> =>
  must('docker', ['compose', ...args], { cwd: project.folder, env: project.env as Record<string, string> });

export async function idOf({ project }: Subject, service: string): Promise<string> {
  const [container] = await project.containers(service);
  if (!container) throw new Error(`${service} has no container`);
  return container.Id;
}

export const sql = async (subject: Subject, text: string): Promise<string> =>
  must('docker', ['exec', await idOf(subject, 'db'), 'psql', '-U', 'shop', '-AtXqc', text]);

/** The folder of the application's volume on this host. */
export async function uploadsOf({ project }: Pick<Subject, 'project'>): Promise<string> {
  const volume = await openDocker().findVolume(`${project.name}_uploads`);
  if (!volume) throw new Error('the shop has no volume for uploads');
  return volume.Mountpoint;
}

/** A command of the installed package, as a process of its own. */
export function finder(
  { project, bin }: Pick<Subject, 'bin'> & { project: Pick<ScenarioProject, 'folder' | 'env'> },
  args: readonly string[],
): Finder {
  const start = (env: Record<string, string> = {}): Running => {
    const child = spawn(process.execPath, [bin, ...args], {
      cwd: project.folder,
      env: { ...project.env, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let text = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (part: string) => {
        text += part;
      });
    }
    const limit = setTimeout(() => child.kill('SIGKILL'), LIMIT_MS);
    return {
      answer: new Promise((resolve, reject) => {
        child.on('error', reject);
        child.on('close', (exitCode) => {
          clearTimeout(limit);
          resolve({ exitCode, code: exitCode === 0 ? 'OK' : codeIn(text), text });
        });
      }),
      says: (wanted) =>
        eventually(
          () => {
            if (!text.includes(wanted)) throw new Error(`${args.join(' ')} does not say “${wanted}” but\n${text}`);
          },
          { timeoutMs: 30_000, everyMs: 20 },
        ),
      kill: (signal) => void child.kill(signal),
    };
  };
  return { start, run: (env) => start(env).answer };
}

const codeIn = (text: string): string => /\((\w+), exit code \d+;/.exec(text)?.[1] ?? 'none';
