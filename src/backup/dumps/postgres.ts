import { Failure } from '../../kit/errors.ts';
import type { DumpContext, DumpType, Facts, RunningDump, TableFact } from '../model.ts';
import { customFormatCheck } from './custom-format.ts';
import { ask, environmentOf, feed, withSecret } from './in-container.ts';

type Context = Omit<DumpContext, 'name'>;

const userOf = ({ container }: Context): string => {
  const env = environmentOf(container);
  return env.POSTGRES_USER || env.PGUSER || 'postgres';
};

/** A command line for one of PostgreSQL's clients in the container, with its user and password. */
export const client = (context: Context, program: string, args: readonly string[]): string[] =>
  withSecret('PGPASSWORD', ['POSTGRES_PASSWORD', 'PGPASSWORD'], [program, '-U', userOf(context), '-w', ...args]);

/** A bare name with "=" in it would be read as a connection string: who may create databases could send the password to a host of their own. */
export const connectionTo = (database: string): string => `dbname='${database.replace(/[\\']/g, '\\$&')}'`;

/** What psql prints for an SQL text, without headings. Throws BACKUP_FAILED. */
export const query = (context: Context, database: string, sql: string): Promise<string> =>
  ask(context, client(context, 'psql', ['-X', '-q', '-A', '-t', '-v', 'ON_ERROR_STOP=1', '-d', connectionTo(database), '-f', '-']), {
    input: sql,
  });

/** Tables with rows of their own, and the first column of a time whose name says that rows are written then. */
const TABLES = `
SELECT json_agg(json_build_array(n.nspname, c.relname, (
  SELECT a.attname FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    AND a.atttypid IN ('timestamptz'::regtype, 'timestamp'::regtype)
    AND a.attname ~ '^(updated|modified|created|inserted|occurred|recorded)(_?at|_?on)?$|_at$'
  ORDER BY a.attname !~ '^(updated|modified)', a.attnum LIMIT 1)) ORDER BY n.nspname, c.relname)
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind = 'r' AND c.relpersistence <> 't' AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname !~ '^pg_toast'
  AND NOT EXISTS (SELECT 1 FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e');`;

const quote = (name: string): string => `"${name.replaceAll('"', '""')}"`;

const BEGIN = "SET timezone = 'UTC'; BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;";

/** Counts by what answers SQL texts within one transaction: everything is of one moment. */
async function countTables(answer: (sql: string) => Promise<string>): Promise<Facts> {
  const listed = (await answer(TABLES)).trim();
  const tables = (listed === '' ? [] : JSON.parse(listed)) as [string, string, string | null][];
  const counts = tables.map(
    ([schema, table, column]) =>
      `SELECT json_build_array(count(*), ${column === null ? 'NULL' : `max(${quote(column)})`}) FROM ONLY ${quote(schema)}.${quote(table)};`,
  );
  const output = counts.length === 0 ? '' : await answer(counts.join('\n'));
  const rows = output.split('\n').filter((line) => line.startsWith('['));
  return {
    kind: 'tables',
    tables: tables.map(([schema, table, column], index): TableFact => {
      const [count, newest] = JSON.parse(rows[index] ?? '[0,null]') as [number, string | null];
      return {
        name: `${schema}.${table}`,
        rows: count,
        ...(column !== null && newest !== null ? { newest: { column, value: newest } } : {}),
      };
    }),
  };
}

/** A session of psql. It keeps the state of one moment in sight, for the dump and the counting to look at the same. */
interface Session {
  /** What psql prints for an SQL text, or for a command of its own. Throws BACKUP_FAILED. */
  ask(text: string): Promise<string>;
  close(): void;
}

/** No line of JSON or of a version looks like it. */
const ANSWERED = 'composure: answered';

async function openSession(context: DumpContext): Promise<Session> {
  const psql = await context.docker.execAttached(
    context.container.Id,
    client(context, 'psql', ['-X', '-q', '-A', '-t', '-v', 'ON_ERROR_STOP=1', '-d', connectionTo(context.name)]),
    { stdin: true },
  );
  const output = psql.stdout.iterator({ destroyOnReturn: false });
  // A letter may be cut in two.
  const letters = new TextDecoder();
  return {
    async ask(text) {
      await psql.write(`${text}\n\\echo ${ANSWERED}\n`);
      let answer = '';
      for (let next = await output.next(); !next.done; next = await output.next()) {
        answer += letters.decode(next.value as Buffer, { stream: true });
        if (answer.endsWith(`${ANSWERED}\n`)) return answer.slice(0, -ANSWERED.length - 1);
      }
      const { stderr } = await psql.ended;
      throw new Failure('BACKUP_FAILED', `${context.service}: cannot look at the database ${context.name}`, {
        where: context.container.Name.slice(1),
        details: stderr.split('\n').slice(-3).filter(Boolean),
        next: 'is the server up, and do POSTGRES_USER and POSTGRES_PASSWORD of the container still hold?',
      });
    },
    close: () => psql.close(),
  };
}

const SNAPSHOT = `SELECT pg_export_snapshot() || ' ' || to_char(now() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"');`;

export const postgres: DumpType = {
  kind: 'postgres',
  title: 'PostgreSQL',
  images: [
    'postgres',
    'postgis/postgis',
    'timescale/timescaledb',
    'timescale/timescaledb-ha',
    'pgvector/pgvector',
    'bitnami/postgresql',
    'supabase/postgres',
  ],
  dataPaths: (environment) => [...(environment.PGDATA ? [environment.PGDATA] : []), '/var/lib/postgresql', '/bitnami/postgresql'],
  extension: '.dump',

  /** Databases that people use; `postgres` itself only where it holds tables or is the only one. */
  async list(context) {
    const output = await query(
      context,
      'postgres',
      `SELECT json_agg(datname ORDER BY datname) FROM pg_database WHERE datallowconn AND NOT datistemplate; ${TABLES}`,
    );
    const [listed = '[]', tables = ''] = output.split('\n');
    const names = JSON.parse(listed) as string[];
    if (names.length === 1) return names;
    const isUsed = tables.trim() !== '';
    return isUsed ? names : names.filter((name) => name !== 'postgres');
  },

  ready: async (context) => (await context.docker.exec(context.container.Id, ['pg_isready', '-q', '-h', '127.0.0.1'])).code === 0,

  async dump(context): Promise<RunningDump> {
    const session = await openSession(context);
    try {
      const [snapshot = '', contentAt = ''] = (await session.ask(`${BEGIN} ${SNAPSHOT}`)).trim().split(' ');
      const dump = await context.docker.execAttached(
        context.container.Id,
        client(context, 'pg_dump', ['-Fc', '-Z0', `--snapshot=${snapshot}`, '-d', connectionTo(context.name)]),
      );
      // Beside the dump, and by the same session: each further one costs a tenth of a second.
      const tool = (await session.ask('\\! pg_dump --version')).trim();
      const counted = countTables(session.ask);
      counted.catch(() => {});
      return {
        stream: dump.stdout,
        ended: dump.ended.then(({ code, stderr }) => ({ code: code ?? -1, stderr })),
        facts: () => counted,
        tool,
        contentAt,
        isSettled: true,
        async close() {
          await counted.catch(() => {});
          dump.close();
          session.close();
        },
      };
    } catch (error) {
      session.close();
      throw error;
    }
  },

  check: customFormatCheck,
  async count(context) {
    const session = await openSession(context);
    try {
      await session.ask(BEGIN);
      return await countTables(session.ask);
    } finally {
      session.close();
    }
  },

  /** The database is made anew as it was: its owner, encoding, locale, settings and grants come with it. */
  async load(context, input) {
    const restore = await context.docker.execAttached(
      context.container.Id,
      client(context, 'pg_restore', ['--exit-on-error', '--clean', '--if-exists', '--create', '-d', connectionTo('template1')]),
      { stdin: true },
    );
    restore.stdout.resume();
    await feed(restore, input);
    const { code, stderr } = await restore.ended;
    if (code !== 0) {
      throw new Failure('RESTORE_FAILED', `${context.service}: pg_restore refused the dump of ${context.name}`, {
        where: context.container.Name.slice(1),
        details: stderr.split('\n').slice(-6).filter(Boolean),
      });
    }
  },
};
