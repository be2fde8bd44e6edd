import { Failure } from '../kit/errors.ts';
import { type RunResult, run } from '../kit/spawn.ts';
import { composeCommand } from './plugin.ts';

/** What makes `docker compose` see one project: its global arguments, folder and environment. */
export interface ComposeCall {
  args: string[];
  cwd: string;
  env: Record<string, string>;
}

type OnLine = (line: string) => void;

function compose(call: ComposeCall, args: string[], onLine?: OnLine, signal?: AbortSignal): Promise<RunResult> {
  const { program, prefix } = composeCommand({ ...process.env, ...call.env });
  return run(program, [...prefix, '--progress', 'plain', '--ansi', 'never', ...call.args, ...args], {
    cwd: call.cwd,
    env: call.env,
    ...(onLine ? { onLine } : {}),
    ...(signal ? { signal } : {}),
  });
}

/** Compose's last words, without its progress lines. */
function lastWords(result: RunResult): string[] {
  const lines = `${result.stdout}\n${result.stderr}`
    .split('\n')
    .filter(
      (line) =>
        line.trim() !== '' && !/^ ?(Container|Network|Volume|Image) .* (Running|Creat|Start|Wait|Healthy|Pull|Built|Recreat)/.test(line),
    );
  return lines.slice(-15);
}

/**
 * Lets Compose create containers up to `total` of each service, counting those that exist in whatever state, without touching any of those
 * and without starting the new ones. They carry the present configuration and all of Compose's own labels.
 */
export async function composeCreate(call: ComposeCall, totals: Record<string, number>): Promise<void> {
  const services = Object.keys(totals);
  const scales = services.flatMap((service) => ['--scale', `${service}=${totals[service]}`]);
  const result = await compose(call, [
    'up',
    '--no-start',
    '--no-deps',
    '--no-recreate',
    '--no-build',
    '--pull',
    'never',
    ...scales,
    ...services,
  ]);
  if (result.code !== 0) throw composeFailure('creating containers', services, result);
}

export async function composePull(
  call: ComposeCall,
  wanted: { service: string; image: string; where?: string }[],
  policy: 'always' | 'missing',
  onLine: OnLine,
): Promise<void> {
  const result = await compose(call, ['pull', '--policy', policy, ...wanted.map(({ service }) => service)], onLine);
  if (result.code !== 0) {
    const lines = `${result.stdout}\n${result.stderr}`.split('\n').map((line) => line.trim());
    const named = wanted.filter(({ service }) => lines.some((line) => line.startsWith(`${service} `) && /\sError\b/.test(line)));
    const failed = named.length > 0 ? named : wanted;
    throw new Failure('IMAGE_UNAVAILABLE', `could not pull ${failed.map(({ service, image }) => `${image} of ${service}`).join(', ')}`, {
      where: failed[0]?.where ?? failed.map(({ service }) => service).join(', '),
      details: lastWords(result),
      next: 'check the image name and tag, and that this machine is logged in (docker login); nothing was touched',
    });
  }
}

export async function composeBuild(call: ComposeCall, services: string[], onLine: OnLine): Promise<void> {
  const result = await compose(call, ['build', ...services], onLine);
  if (result.code !== 0) {
    throw new Failure('BUILD_FAILED', `could not build ${services.join(', ')}`, {
      details: lastWords(result),
      next: 'mend the build; nothing was touched',
    });
  }
}

export async function composeDown(call: ComposeCall, flags: string[], onLine: OnLine): Promise<void> {
  const result = await compose(call, ['down', ...flags], onLine);
  if (result.code !== 0) throw composeFailure('taking the project down', [], result);
}

function composeFailure(what: string, services: string[], result: RunResult): Failure {
  const words = lastWords(result);
  if (words.some((line) => /no space left on device/i.test(line))) {
    return new Failure('DISK_FULL', `the disk is full: ${what} failed`, {
      details: words,
      next: 'free some space (docker system df shows what Docker holds), then run the command again',
    });
  }
  return new Failure(
    'COMMAND_FAILED',
    `${what} failed${services.length ? ` for ${services.join(', ')}` : ''}: docker compose ended with code ${result.code}`,
    { details: words },
  );
}

/** Starts a one-off container of a service with another command, detached, and answers its id. */
export async function composeRunDetached(call: ComposeCall, service: string, name: string, command: string[]): Promise<string> {
  const result = await compose(call, ['run', '--detach', '--no-deps', '--name', name, service, ...command]);
  if (result.code !== 0) throw composeFailure('starting the release job', [service], result);
  return result.stdout.trim().split('\n').at(-1) ?? name;
}
