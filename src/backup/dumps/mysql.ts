import { Failure } from '../../kit/errors.ts';
import type { DumpContext, DumpType, Facts, RunningDump, TableFact, WholeCheck } from '../model.ts';
import { ask, environmentOf, feed, withSecret } from './in-container.ts';

type Context = Omit<DumpContext, 'name'>;

const ROOT = ['MARIADB_ROOT_PASSWORD', 'MYSQL_ROOT_PASSWORD'];
const OWN = ['MARIADB_PASSWORD', 'MYSQL_PASSWORD'];

const isSet = (context: Context, names: readonly string[]): boolean => {
  const env = environmentOf(context.container);
  return names.some((name) => env[name] || env[`${name}_FILE`]);
};

/** MariaDB's images have programs of their own name, MySQL's have MySQL's; the one that is there runs. */
const PICK =
  'for name in "$1" "$2"; do if command -v "$name" >/dev/null; then shift 2; exec "$name" "$@"; fi; done; echo "neither $1 nor $2 is in this image" >&2; exit 127';

/** Root where its password is known, else the application's own user. The server reads MYSQL_PWD, both kinds do. */
export function client(context: Context, programs: [string, string], args: readonly string[]): string[] {
  const env = environmentOf(context.container);
  const own = env.MARIADB_USER || env.MYSQL_USER;
  const [user, passwords] = isSet(context, ROOT) || !own ? ['root', ROOT] : [own, OWN];
  return withSecret('MYSQL_PWD', passwords, ['sh', '-c', PICK, 'sh', ...programs, `--user=${user}`, ...args]);
}

export const BATCH = ['--batch', '--skip-column-names', '--default-character-set=utf8mb4'];

export const query = (context: Context, sql: string): Promise<string> =>
  ask(context, client(context, ['mariadb', 'mysql'], BATCH), { input: `${sql}\n` });

const quote = (name: string): string => `\`${name.replaceAll('`', '``')}\``;
export const literal = (text: string): string => `'${text.replaceAll('\\', '\\\\').replaceAll("'", "''")}'`;

async function countTables(context: DumpContext): Promise<TableFact[]> {
  const listed = await query(
    context,
    `SELECT table_name FROM information_schema.tables WHERE table_schema = ${literal(context.name)} AND table_type = 'BASE TABLE' ORDER BY 1;`,
  );
  const tables = listed.split('\n').filter(Boolean);
  if (tables.length === 0) return [];
  const counts = tables.map((table) => `SELECT COUNT(*) FROM ${quote(context.name)}.${quote(table)};`);
  const rows = (await query(context, `START TRANSACTION WITH CONSISTENT SNAPSHOT;\n${counts.join('\n')}\nCOMMIT;`))
    .split('\n')
    .filter(Boolean);
  return tables.map((name, index) => ({ name, rows: Number(rows[index]) }));
}

/** A moment before and one after the dump: where both differ, the dump's own lies between. Pure. */
export function tablesBetween(before: readonly TableFact[], after: readonly TableFact[]): Facts {
  const later = new Map(after.map(({ name, rows }) => [name, rows]));
  return {
    kind: 'tables',
    tables: before.map(({ name, rows }) => {
      const rowsAfter = later.get(name) ?? 0;
      return rowsAfter === rows ? { name, rows } : { name, rows, rowsAfter };
    }),
  };
}

export const mysql: DumpType = {
  kind: 'mysql',
  title: 'MySQL or MariaDB',
  images: [
    'mysql',
    'mariadb',
    'percona',
    'percona/percona-server',
    'bitnami/mysql',
    'bitnami/mariadb',
    'mysql/mysql-server',
    'linuxserver/mariadb',
  ],
  dataPaths: () => ['/var/lib/mysql', '/bitnami/mysql', '/bitnami/mariadb'],
  extension: '.sql',

  async list(context) {
    const names = (await query(context, 'SELECT schema_name FROM information_schema.schemata ORDER BY 1;')).split('\n').filter(Boolean);
    return names.filter((name) => !['information_schema', 'performance_schema', 'mysql', 'sys'].includes(name));
  },

  /** The server that the images start to make the database on empty volumes speaks to no network, and ends again. */
  ready: async (context) => (await query(context, 'SELECT @@skip_networking;').catch(() => '')).trim() === '0',

  async dump(context): Promise<RunningDump> {
    const tool = (await ask(context, client(context, ['mariadb-dump', 'mysqldump'], ['--version']))).trim();
    const before = await countTables(context);
    const header = await alterDatabase(context);
    const contentAt = new Date().toISOString();
    const dump = await context.docker.execAttached(
      context.container.Id,
      client(
        context,
        ['mariadb-dump', 'mysqldump'],
        [
          '--single-transaction',
          '--quick',
          '--routines',
          '--triggers',
          '--events',
          '--hex-blob',
          '--default-character-set=utf8mb4',
          // Both need rights over the whole server, and a server that numbers its transactions refuses the second dump that says which it has.
          '--no-tablespaces',
          '--loose-set-gtid-purged=OFF',
          // No time of day in the trailer: an unchanged database is an unchanged dump.
          '--skip-dump-date',
          '--',
          context.name,
        ],
      ),
    );
    return {
      stream: headed(header, dump.stdout),
      ended: dump.ended.then(({ code, stderr }) => ({ code: code ?? -1, stderr })),
      facts: async () => tablesBetween(before, await countTables(context)),
      tool,
      contentAt,
      close: async () => dump.close(),
    };
  },

  check: () => trailerCheck(/\n-- Dump completed( on [\d: -]+)?\n$/, '-- Dump completed'),
  count: async (context) => ({ kind: 'tables', tables: await countTables(context) }),

  async load(context, input) {
    await query(context, `CREATE DATABASE IF NOT EXISTS ${quote(context.name)};`);
    const load = await context.docker.execAttached(
      context.container.Id,
      client(context, ['mariadb', 'mysql'], ['--default-character-set=utf8mb4', '--', context.name]),
      { stdin: true },
    );
    load.stdout.resume();
    await feed(load, input);
    const { code, stderr } = await load.ended;
    if (code !== 0) {
      throw new Failure('RESTORE_FAILED', `${context.service}: the server refused the dump of ${context.name}`, {
        where: context.container.Name.slice(1),
        details: stderr.split('\n').slice(-6).filter(Boolean),
      });
    }
  },
};

/** What a dump of one database leaves out: what its future tables are made with. It is said of the database that the dump is loaded into. */
async function alterDatabase(context: DumpContext): Promise<string> {
  const [charset = '', collation = ''] = (
    await query(
      context,
      `SELECT default_character_set_name, default_collation_name FROM information_schema.schemata WHERE schema_name = ${literal(context.name)};`,
    )
  )
    .trim()
    .split('\t');
  return /^\w+$/.test(charset) && /^\w+$/.test(collation) ? `ALTER DATABASE CHARACTER SET ${charset} COLLATE ${collation};\n` : '';
}

/** A dump that says nothing stays one that says nothing. */
async function* headed(header: string, dump: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  let isFirst = true;
  for await (const chunk of dump) {
    yield isFirst ? Buffer.concat([Buffer.from(header), chunk]) : chunk;
    isFirst = false;
  }
}

/** The last line of a whole dump says so; a dump that was cut ends in the middle of a statement. `line` is its name for people. */
export function trailerCheck(end: RegExp, line: string): WholeCheck {
  let tail = Buffer.alloc(0);
  return {
    write(chunk) {
      tail = Buffer.concat([tail, chunk.subarray(-200)]).subarray(-200);
    },
    end() {
      if (tail.length === 0) return 'the dump is empty';
      return end.test(tail.toString('utf8')) ? undefined : `the dump lacks its last line, “${line}”`;
    },
  };
}
