import { Failure } from '../../kit/errors.ts';
import { waitFor } from '../../kit/wait.ts';
import type { DumpContext, DumpType, Facts, RunningDump, WholeCheck } from '../model.ts';
import { ask, environmentOf, feed, withSecret } from './in-container.ts';

type Context = Omit<DumpContext, 'name'>;

/** Set for our own commands in the container, as the image's variables are: with _FILE, a path in the container. */
const OWN = 'COMPOSURE_SERVER_PASSWORD';
const PASSWORDS = [OWN, 'REDIS_PASSWORD', 'VALKEY_PASSWORD', 'REDISCLI_AUTH'];

const cli = (args: readonly string[]): string[] =>
  withSecret('REDISCLI_AUTH', PASSWORDS, ['redis-cli', '--raw', '--no-auth-warning', ...args]);

/** A password that stands in the server's command reaches our own by its environment, which neither `ps` nor `docker inspect` shows. */
function passwordOf({ container }: Context): string[] {
  const { Entrypoint, Cmd } = container.Config;
  const found = passwordIn([...(Entrypoint ?? []), ...(Cmd ?? [])], environmentOf(container));
  if (found === undefined) return [];
  return [typeof found === 'string' ? `${OWN}=${found}` : `${OWN}_FILE=${found.file}`];
}

/**
 * The password in `redis-server … --requirepass …`, as words or as a line for a shell: written out, a variable, or what `$(cat FILE)` reads. Undefined
 * where there is none, or nothing that can be told. Pure.
 */
export function passwordIn(command: readonly string[], environment: Record<string, string>): string | { file: string } | undefined {
  const at = command.indexOf('--requirepass');
  if (at >= 0) return command[at + 1];
  const [, double, single, bare] =
    command.flatMap((line) => /(?:^|\s)--requirepass\s+(?:"([^"]*)"|'([^']*)'|(\$\([^)]*\)|[^\s;&|]+))/.exec(line) ?? []) ?? [];
  if (single !== undefined) return single;
  const written = double ?? bare;
  const file = /^\$\((?:cat\s+|<\s*)([^\s)]+)\s*\)$/.exec(written ?? '')?.[1];
  if (file !== undefined) return { file };
  const variable = /^\$(?:(\w+)|\{(\w+)\})$/.exec(written ?? '');
  return variable ? environment[variable[1] ?? variable[2] ?? ''] : written;
}

/** redis-cli ends well with whatever the server answers, a refusal among it. */
const REFUSAL = /^\(?(?:error\) )?((?:NOAUTH|WRONGPASS|NOPERM|DENIED|MISCONF|ERR)\b.*)/m;

/** What the server answers. Throws BACKUP_FAILED where it refuses. */
async function command(context: Context, ...args: string[]): Promise<string> {
  const answer = await ask(context, cli(args), { env: passwordOf(context) });
  const refusal = REFUSAL.exec(answer)?.[1];
  if (refusal === undefined) return answer;
  const isPassword = /^(NOAUTH|WRONGPASS)/.test(refusal);
  throw new Failure('BACKUP_FAILED', `${context.service}: the server refuses ${args[0]}: ${refusal}`, {
    where: context.container.Name.slice(1),
    next: isPassword
      ? 'give the service the server’s password as REDIS_PASSWORD in its environment, or as --requirepass in its command'
      : 'its user has to be allowed INFO, CONFIG GET, LASTSAVE and BGSAVE',
  });
}

const info = async (context: Context, section: string): Promise<Record<string, string>> =>
  Object.fromEntries(
    (await command(context, 'INFO', section)).split('\n').flatMap((line) => {
      const at = line.indexOf(':');
      return at > 0 ? [[line.slice(0, at), line.slice(at + 1).trim()]] : [];
    }),
  );

const setting = async (context: Context, name: string): Promise<string> =>
  (await command(context, 'CONFIG', 'GET', name)).split('\n')[1]?.trim() ?? '';

const SAVE_TIMEOUT_MS = 3_600_000;

/** Has the server write a new RDB file and waits for it. Answers its path and the second it is of. */
async function freshFile(context: Context): Promise<{ path: string; savedAt: string }> {
  const until = (isSo: (persistence: Record<string, string>) => boolean) =>
    waitFor(async () => (isSo(await info(context, 'persistence')) ? true : undefined), { everyMs: 100, timeoutMs: SAVE_TIMEOUT_MS });
  const isIdle = (now: Record<string, string>): boolean => now.rdb_bgsave_in_progress === '0';
  // One that runs already may be older than what was written a moment ago: it is waited for, then ours begins.
  await until(isIdle);
  const before = Number(await command(context, 'LASTSAVE'));
  // LASTSAVE counts seconds: two saves within one could not be told apart.
  await waitFor(async () => (Math.floor(Date.now() / 1000) > before ? true : undefined), { everyMs: 100, timeoutMs: 5000 });
  // While the server rewrites its log, the save is only noted down and begins afterwards.
  await command(context, 'BGSAVE', 'SCHEDULE');
  const isOver = (now: Record<string, string>): boolean =>
    isIdle(now) &&
    (Number(now.rdb_last_save_time) > before || (now.rdb_last_bgsave_status !== 'ok' && now.aof_rewrite_in_progress !== '1'));
  await until(isOver);
  const after = await info(context, 'persistence');
  if (after.rdb_last_bgsave_status !== 'ok' || Number(after.rdb_last_save_time) <= before) {
    throw new Failure('BACKUP_FAILED', `${context.service}: the server could not write its RDB file (BGSAVE)`, {
      where: context.container.Name.slice(1),
      next: 'its log says why; a full disk and too little memory for a fork are the usual reasons',
    });
  }
  const path = `${await setting(context, 'dir')}/${await setting(context, 'dbfilename')}`;
  return { path, savedAt: after.rdb_last_save_time ?? '' };
}

const checker = ({ container }: Context): string => (environmentOf(container).VALKEY_VERSION ? 'valkey-check-rdb' : 'redis-check-rdb');

/** Counts out of the words of the server's own checker, which also proves the file's checksum. */
function factsIn(words: string, { service }: Context): Facts {
  const number = (label: RegExp): number => Number(label.exec(words)?.[1] ?? Number.NaN);
  const keys = number(/(\d+) keys read/);
  if (!/\\o\/ RDB looks OK/.test(words) || Number.isNaN(keys))
    throw new Failure('BACKUP_FAILED', `${service}: the RDB file is damaged`, { details: words.split('\n').slice(-4) });
  return { kind: 'keys', keys, expiring: number(/(\d+) expires/) || 0 };
}

/** File, checker. Both read the one file that was opened, also when the server puts a newer one in its place meanwhile. */
const COPY = 'exec 3<"$1"; cat <&3 && "$2" /proc/self/fd/3 >&2';

/** Folder, file, list of the log's files, its text or nothing. Older files of a log go: they are those of a server that is new and empty. */
const WRITE = [
  'set -e; mkdir -p "$1"; cd "$1"',
  'if [ -n "$4" ]; then rm -f -- *.aof *.base.rdb; fi',
  'cat >"$2"',
  'if [ -n "$4" ]; then printf %s "$4" >"$3"; fi',
].join('\n');

export const redis: DumpType = {
  kind: 'redis',
  title: 'Redis',
  images: ['redis', 'valkey/valkey', 'bitnami/redis', 'bitnami/valkey', 'redis/redis-stack', 'redis/redis-stack-server'],
  dataPaths: () => ['/data', '/bitnami/redis/data', '/bitnami/valkey/data'],
  extension: '.rdb',
  list: async () => [''],
  ready: async (context) => (await command(context, 'PING').catch(() => '')).trim() === 'PONG',

  async dump(context): Promise<RunningDump> {
    const tool = (await ask(context, ['redis-server', '--version'])).trim().split(' sha=')[0] ?? 'redis-server';
    const { path, savedAt } = await freshFile(context);
    const copy = await context.docker.execAttached(context.container.Id, ['sh', '-c', COPY, 'sh', path, checker(context)]);
    return {
      stream: copy.stdout,
      ended: copy.ended.then(({ code, stderr }) => ({ code: code ?? -1, stderr })),
      facts: async () => factsIn((await copy.ended).stderr, context),
      tool,
      contentAt: new Date(Number(savedAt) * 1000).toISOString(),
      isSettled: true,
      close: async () => copy.close(),
    };
  },

  check: rdbCheck,

  async count(context) {
    return factsIn(await ask(context, [checker(context), (await freshFile(context)).path]), context);
  },

  /** The file is put where the server looks at its start, and the server is killed and started, so that it writes nothing of its own. */
  async load(context, input) {
    const [dir, isLogged, logFolder, log] = [
      await setting(context, 'dir'),
      (await setting(context, 'appendonly')) === 'yes',
      await setting(context, 'appenddirname'),
      await setting(context, 'appendfilename'),
    ];
    const folder = isLogged && logFolder !== '' ? `${dir}/${logFolder}` : dir;
    // A server with an append-only log does not look at its RDB file. Its log may begin with one: since version 7 as a file that a list names.
    const file = !isLogged ? await setting(context, 'dbfilename') : logFolder === '' ? log : `${log}.1.base.rdb`;
    if (isLogged) await command(context, 'CONFIG', 'SET', 'appendonly', 'no');
    const list = isLogged && logFolder !== '' ? `file ${file} seq 1 type b\n` : '';
    const writer = await context.docker.execAttached(
      context.container.Id,
      ['sh', '-c', WRITE, 'sh', folder, file, `${log}.manifest`, list],
      {
        stdin: true,
      },
    );
    writer.stdout.resume();
    await feed(writer, input);
    const { code, stderr } = await writer.ended;
    if (code !== 0) throw new Failure('RESTORE_FAILED', `${context.service}: cannot write ${folder}/${file}`, { details: [stderr] });
    // Without SAVE: the server must not write its empty state over the file.
    await command(context, 'CONFIG', 'SET', 'save', '');
    await context.docker.killContainer(context.container.Id, 'SIGKILL');
    await context.docker.startContainer(context.container.Id);
    const loaded = await waitFor(async () => ((await redis.ready(context).catch(() => false)) ? true : undefined), {
      everyMs: 200,
      timeoutMs: 600_000,
    });
    if (!loaded) throw new Failure('RESTORE_FAILED', `${context.service}: the server does not come back with the restored file`);
  },
};

/** "REDIS" and a version at the beginning, the end mark 0xFF and a checksum of 8 bytes at the end. */
export function rdbCheck(): WholeCheck {
  let head = Buffer.alloc(0);
  let tail = Buffer.alloc(0);
  return {
    write(chunk) {
      if (head.length < 9) head = Buffer.concat([head, chunk.subarray(0, 9 - head.length)]);
      tail = Buffer.concat([tail, chunk.subarray(-9)]).subarray(-9);
    },
    end() {
      if (head.length === 0) return 'the dump is empty';
      if (!/^(REDIS|VALKEY)\d*/.test(head.toString('latin1'))) return 'this is no RDB file';
      return tail.length === 9 && tail[0] === 0xff ? undefined : 'the RDB file ends too early';
    },
  };
}
