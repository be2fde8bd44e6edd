import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { OURS } from '../../docker/labels.ts';
import { type Invocation, isLocal, type ResticOptions } from './invocation.ts';

/**
 * Runs restic in a container without a secret in its settings, which `docker inspect` shows. Variables come as lines "NAME base64" up to an
 * empty one; the `x` keeps newlines at a value's end, which the shell would drop. Afterwards the standard input stays open for as long as
 * Composure lives: when it is killed, restic is told to end, so that no container goes on and holds the repository's lock. Fixed text: data
 * reaches it by standard input and as arguments.
 */
const START = [
  'while IFS=" " read -r name value && [ -n "$name" ]; do',
  '  value=$(printf %s "$value" | base64 -d; printf x)',
  '  export "$name=${value%x}"',
  'done',
  'exec 3<&0',
  'restic "$@" </dev/null 3<&- & restic=$!',
  'trap \'kill -s TERM "$restic" 2>/dev/null\' TERM INT HUP',
  '{ cat <&3 >/dev/null; kill -s TERM "$restic" 2>/dev/null; } & watch=$!',
  'while :; do wait "$restic"; code=$?; kill -s 0 "$restic" 2>/dev/null || break; done',
  'kill "$watch" 2>/dev/null',
  'exit "$code"',
].join('\n');

/** `docker run` of restic's image, with every path that the arguments name at the place that it has on this host. */
export function containerCommand(
  image: string,
  variables: Record<string, string>,
  args: readonly string[],
  { cwd, paths = [], writes = [] }: ResticOptions,
  exists: (path: string) => boolean = existsSync,
): Invocation {
  const { RESTIC_CACHE_DIR: cache = '', HOME: home = '', RESTIC_REPOSITORY: repository = '' } = variables;
  const writable = [...new Set([cache, ...writes, ...(isLocal(repository) && exists(repository) ? [repository] : [])])];
  const readable = [...new Set([...(cwd === undefined ? [] : [cwd]), ...paths])].filter((path) => !writable.includes(path));
  const keys = join(home, '.ssh');
  return {
    program: 'docker',
    args: [
      'run',
      '--rm',
      '--interactive',
      '--name',
      `composure-restic-${randomBytes(4).toString('hex')}`,
      '--label',
      `${OURS.restic}=1`,
      // The repository may be on the loopback address or behind the host's own resolver.
      '--network',
      'host',
      // Locks name their holder by host and pid: with the host's both, whoever looks at one can tell whether it is alive.
      '--pid',
      'host',
      '--log-driver',
      'none',
      ...readable.flatMap((path) => ['--mount', mount(path, path, true)]),
      ...writable.flatMap((path) => ['--mount', mount(path, path, false)]),
      // ssh looks for keys in the home of the user's entry in passwd, whatever HOME says.
      ...(repository.startsWith('sftp:') && exists(keys) ? ['--mount', mount(keys, '/root/.ssh', true)] : []),
      ...(cwd === undefined ? [] : ['--workdir', cwd]),
      '--entrypoint',
      'sh',
      image,
      '-c',
      START,
      'restic',
      ...args,
    ],
    input: `${Object.entries(variables)
      .map(([name, value]) => `${name} ${Buffer.from(value).toString('base64')}\n`)
      .join('')}\n`,
    holdInput: true,
  };
}

/** `--mount` is a line of CSV. */
function mount(source: string, target: string, readonly: boolean): string {
  const fields = ['type=bind', `source=${source}`, `target=${target}`, ...(readonly ? ['readonly'] : [])];
  return fields.map((field) => (/[",\n]/.test(field) ? `"${field.replaceAll('"', '""')}"` : field)).join(',');
}
