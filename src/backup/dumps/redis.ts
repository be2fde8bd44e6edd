import { Failure } from '../../kit/errors.ts';
import { waitFor } from '../../kit/wait.ts';
import type { DumpContext, DumpType, Facts, RunningDump, WholeCheck } from '../model.ts';
import { ask, environmentOf, feed, withSecret } from './in-container.ts';

type Context = Omit<DumpContext, 'name'>;

const PASSWORDS = ['REDIS_PASSWORD', 'VALKEY_PASSWORD', 'REDISCLI_AUTH'];

/** A password that stands in the container's command is passed by the environment of our own exec, as is one of its variables. */
const cli = (args: readonly string[]): string[] =>
  withSecret('REDISCLI_AUTH', PASSWORDS, ['redis-cli', '--raw', '--no-auth-warning', ...args]);

const info = async (context: Context, section: string): Promise<Record<string, string>> =>
  Object.fromEntries(
    (await ask(context, cli(['INFO', section]))).split('\n').flatMap((line) => {
      const at = line.indexOf(':');
      return at > 0 ? [[line.slice(0, at), line.slice(at + 1).trim()]] : [];
    }),
  );

const setting = async (context: Context, name: string): Promise<string> =>
  (await ask(context, cli(['CONFIG', 'GET', name]))).split('\n')[1]?.trim() ?? '';

const SAVE_TIMEOUT_MS = 3_600_000;

/** Has the server write a new RDB file and waits for it. Answers its path and the second it is of. */
async function freshFile(context: Context): Promise<{ path: string; savedAt: string }> {
  // One that runs already may be older than what was written a moment ago: it is waited for, then ours begins.
  const idle = () =>
    waitFor(async () => ((await info(context, 'persistence')).rdb_bgsave_in_progress === '0' ? true : undefined), {
      everyMs: 100,
      timeoutMs: SAVE_TIMEOUT_MS,
    });
  await idle();
  const before = Number(await ask(context, cli(['LASTSAVE'])));
  // LASTSAVE counts seconds: two saves within one could not be told apart.
  await waitFor(async () => (Math.floor(Date.now() / 1000) > before ? true : undefined), { everyMs: 100, timeoutMs: 5000 });
  await ask(context, cli(['BGSAVE']));
  await idle();
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

/** Counts by the server's own checker, which also proves the file's checksum. */
async function checkFile(context: Context, path: string): Promise<Facts> {
  const output = await ask(context, [environmentOf(context.container).VALKEY_VERSION ? 'valkey-check-rdb' : 'redis-check-rdb', path]);
  const number = (label: RegExp): number => Number(label.exec(output)?.[1] ?? Number.NaN);
  const keys = number(/(\d+) keys read/);
  if (!/\\o\/ RDB looks OK/.test(output) || Number.isNaN(keys))
    throw new Failure('BACKUP_FAILED', `${context.service}: the RDB file is damaged`, { details: output.split('\n').slice(-4) });
  return { kind: 'keys', keys, expiring: number(/(\d+) expires/) || 0 };
}

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
  ready: async (context) => (await ask(context, cli(['PING'])).catch(() => '')).trim() === 'PONG',

  async dump(context): Promise<RunningDump> {
    const tool = (await ask(context, ['redis-server', '--version'])).trim().split(' sha=')[0] ?? 'redis-server';
    const { path, savedAt } = await freshFile(context);
    // The open file stays the same one when the server writes a newer one over its name.
    const copy = await context.docker.execAttached(context.container.Id, ['cat', path]);
    return {
      stream: copy.stdout,
      ended: copy.ended.then(({ code, stderr }) => ({ code: code ?? -1, stderr })),
      facts: () => checkFile(context, path),
      tool,
      contentAt: new Date(Number(savedAt) * 1000).toISOString(),
      isSettled: true,
      close: async () => copy.close(),
    };
  },

  check: rdbCheck,

  async count(context) {
    return checkFile(context, (await freshFile(context)).path);
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
    if (isLogged) await ask(context, cli(['CONFIG', 'SET', 'appendonly', 'no']));
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
    await ask(context, cli(['CONFIG', 'SET', 'save', '']));
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
