import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type RunResult, run } from '../../src/kit/spawn.ts';

const SCRIPT = fileURLToPath(new URL('../../scripts/engine.sh', import.meta.url));
const PREFIX = '/opt/composure-engine';

/** A Docker Engine of the test's own, in a network namespace of its own, that may be stopped and started without disturbing anybody. */
export interface SecondEngine {
  /** Runs a program inside the namespace, with its docker command pointing at this engine. */
  enter(program: string, args: string[], options?: { cwd?: string; env?: Record<string, string>; timeoutMs?: number }): Promise<RunResult>;
  up(): Promise<void>;
  down(): Promise<void>;
  /** Copies images of the machine's engine into this one. */
  load(images: string[]): Promise<void>;
  remove(): Promise<void>;
}

/** Why there can be none here, or undefined. */
export function whyNoSecondEngine(): string | undefined {
  if (process.getuid?.() !== 0) return 'needs root';
  if (!existsSync('/etc/debian_version')) return 'needs Debian';
  if (!['/usr/sbin/ip', '/sbin/ip', '/usr/bin/ip'].some(existsSync)) return 'needs iproute2';
  return undefined;
}

export async function startSecondEngine(): Promise<SecondEngine> {
  const name = `composure-test-${randomBytes(3).toString('hex')}`;
  const folder = join('/var/lib', name);
  const socket = join(folder, 'docker.sock');
  const env = {
    COMPOSURE_ENGINE_PREFIX: PREFIX,
    COMPOSURE_ENGINE_STATE: join(folder, 'run'),
    COMPOSURE_ENGINE_DATA: join(folder, 'data'),
    COMPOSURE_ENGINE_SOCKET: socket,
  };
  await mkdir(join(folder, 'config'), { recursive: true });
  await writeFile(
    join(folder, 'config', 'config.json'),
    JSON.stringify({ cliPluginsExtraDirs: [`${PREFIX}/root/usr/libexec/docker/cli-plugins`] }),
  );
  const must = async (program: string, args: string[], extra: Record<string, string> = {}): Promise<void> => {
    const result = await run(program, args, { env: extra, timeoutMs: 180_000 });
    if (result.code !== 0) throw new Error(`${program} ${args.join(' ')} ended with ${result.code}: ${result.stderr.slice(-800)}`);
  };
  const inside = (program: string, args: string[]): [string, string[]] => ['nsenter', [`--net=/run/netns/${name}`, program, ...args]];
  const docker = { DOCKER_HOST: `unix://${socket}`, DOCKER_CONFIG: join(folder, 'config'), PATH: `${PREFIX}/bin:${process.env.PATH}` };
  // From outside: the namespace has no way to the packages.
  await must('bash', [SCRIPT, 'install'], env);
  await must('ip', ['netns', 'add', name]);
  await must(...inside('ip', ['link', 'set', 'lo', 'up']));
  const engine: SecondEngine = {
    enter: (program, args, options = {}) => run(...inside(program, args), { ...options, env: { ...docker, ...options.env } }),
    up: () => must(...inside('bash', [SCRIPT, 'up']), env),
    down: () => must(...inside('bash', [SCRIPT, 'down']), env),
    async load(images) {
      const archive = join(folder, 'images.tar');
      await must('docker', ['save', '-o', archive, ...images]);
      await must(...inside('docker', ['load', '-i', archive]), docker);
      await rm(archive);
    },
    async remove() {
      await run('docker', ['ps', '-aq'], { env: docker }).then(({ stdout }) =>
        stdout ? run('docker', ['rm', '-f', ...stdout.trim().split('\n')], { env: docker }) : undefined,
      );
      await engine.down();
      await run('ip', ['netns', 'delete', name]);
      const mounts = (await readFile('/proc/mounts', 'utf8')).split('\n').flatMap((line) => line.split(' ')[1] ?? []);
      for (const mount of mounts.filter((path) => path.startsWith(`${folder}/`)).reverse()) await run('umount', ['-l', mount]);
      await rm(folder, { recursive: true, force: true });
    },
  };
  try {
    await engine.up();
  } catch (error) {
    await engine.remove().catch(() => {});
    throw error;
  }
  return engine;
}
