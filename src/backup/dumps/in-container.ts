import type { ContainerInfo } from '../../docker/api.ts';
import type { Attached } from '../../docker/attach.ts';
import { Failure } from '../../kit/errors.ts';
import type { DumpContext } from '../model.ts';

/** The container's own variables: where its database's credentials stand. */
export function environmentOf(container: ContainerInfo): Record<string, string> {
  return Object.fromEntries(
    (container.Config.Env ?? []).map((line) => {
      const at = line.indexOf('=');
      return [line.slice(0, at), line.slice(at + 1)];
    }),
  );
}

/** The names are ours, never data: `eval` reads the variable of that name. */
const SCRIPT = [
  'into=$1; found=; shift',
  'while [ "$1" != -- ]; do',
  '  eval "value=\\${$1:-}"; eval "file=\\${${1}_FILE:-}"',
  '  if [ -z "$value" ] && [ -n "$file" ]; then value=$(cat "$file"); fi',
  '  if [ -n "$value" ] && [ -z "$found" ]; then found=1; export "$into=$value"; fi',
  '  shift',
  'done',
  'shift',
  'exec "$@"',
].join('\n');

/**
 * Wraps a command for the container in a fixed shell text; data reaches it as arguments. `sources` name, in order, variables of the container that hold a
 * value or (with _FILE) a path to it: the first that is set becomes `into` for the program, inside the container, and never leaves it.
 */
export function withSecret(into: string, sources: readonly string[], command: readonly string[]): string[] {
  return ['sh', '-c', SCRIPT, 'sh', into, ...sources, '--', ...command];
}

/**
 * The output of a command in the container; `env` are lines NAME=value for it. Throws BACKUP_FAILED with its last words when it ends with another
 * code than 0.
 */
export async function ask(
  { docker, container, service }: Omit<DumpContext, 'name'>,
  command: string[],
  { input, signal, env = [] }: { input?: string; signal?: AbortSignal; env?: string[] } = {},
): Promise<string> {
  const attached = await docker.execAttached(container.Id, command, { stdin: input !== undefined, env });
  const stop = (): void => attached.close();
  signal?.addEventListener('abort', stop, { once: true });
  try {
    if (input !== undefined) {
      await attached.write(input);
      attached.endInput();
    }
    const chunks: Buffer[] = [];
    for await (const chunk of attached.stdout) chunks.push(chunk as Buffer);
    const { code, stderr } = await attached.ended;
    if (code !== 0) {
      throw new Failure(
        'BACKUP_FAILED',
        `${service}: a question to the database failed${code === undefined ? '' : ` (exit code ${code})`}`,
        {
          where: container.Name.slice(1),
          details: stderr.split('\n').slice(-5).filter(Boolean),
        },
      );
    }
    return Buffer.concat(chunks).toString('utf8');
  } finally {
    signal?.removeEventListener('abort', stop);
  }
}

/** Writes a dump to a command's input. A command that ends before is no error here: its exit code says why. A dump that breaks off is one. */
export async function feed(command: Attached, input: AsyncIterable<Uint8Array>): Promise<void> {
  try {
    for await (const chunk of input) {
      try {
        await command.write(chunk);
      } catch {
        return;
      }
    }
    command.endInput();
  } catch (error) {
    command.close();
    throw error;
  }
}
