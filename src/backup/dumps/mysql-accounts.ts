import { Failure } from '../../kit/errors.ts';
import type { DumpContext, DumpType, Facts, RunningDump } from '../model.ts';
import { feed } from './in-container.ts';
import { BATCH, client, literal, mysql, query, trailerCheck } from './mysql.ts';

type Context = Omit<DumpContext, 'name'>;

/** Root as the images make it, their probe of health, and what the server keeps for itself: they are there on an empty server. */
const OWN = `user LIKE 'mysql.%' OR user = 'mariadb.sys' OR (user IN ('root', 'healthcheck') AND host IN ('%', 'localhost', '127.0.0.1', '::1'))`;

/** Accounts as "'name'@'host'", roles of MariaDB as "'name'". */
interface Accounts {
  version: string;
  users: string[];
  roles: string[];
}

async function listAccounts(context: Context): Promise<Accounts> {
  const version = (await query(context, 'SELECT VERSION();')).trim();
  const [isUser, isRole] = version.includes('MariaDB') ? ["is_role <> 'Y'", "is_role = 'Y'"] : ['TRUE', 'FALSE'];
  const lines = await query(
    context,
    `SELECT 'user', CONCAT(QUOTE(user), '@', QUOTE(host)) FROM mysql.user WHERE ${isUser} AND NOT (${OWN}) ORDER BY 2;
     SELECT 'role', QUOTE(user) FROM mysql.user WHERE ${isRole} ORDER BY 2;`,
  );
  const names = (kind: string): string[] =>
    lines.split('\n').flatMap((line) => (line.startsWith(`${kind}\t`) ? [plain(line.slice(kind.length + 1))] : []));
  return { version, users: names('user'), roles: names('role') };
}

/** What the client escapes in its batch mode. Pure. */
const plain = (line: string): string =>
  line.replace(/\\([ntr0\\])/g, (_, letter: string) => ({ n: '\n', t: '\t', r: '\r', 0: '\0' })[letter] ?? letter);

const factsOf = ({ users, roles }: Accounts): Facts => ({ kind: 'accounts', names: [...roles, ...users] });

/** MariaDB's role that everybody has: it can be granted to, and not made. */
const PUBLIC = "'PUBLIC'";

/** What the server is asked for: statements that make every account, then those that give it its rights. */
function questions({ users, roles }: Accounts): string {
  return [
    // MySQL's hashes are bytes; MariaDB does not read this comment, and its own are text.
    '/*!80017 SET SESSION print_identified_with_as_hex = ON */;',
    ...roles.filter((name) => name !== PUBLIC).map((name) => `SELECT ${literal(`CREATE ROLE IF NOT EXISTS ${name}`)};`),
    ...users.map((name) => `SHOW CREATE USER ${name};`),
    ...[...roles, ...users].map((name) => `SHOW GRANTS FOR ${name === PUBLIC ? 'PUBLIC' : name};`),
    `SELECT ${literal(END)};`,
  ].join('\n');
}

const END = '-- Accounts completed';

/** `shop`@`%`; versions of MariaDB quote otherwise. */
const QUOTED = "(?:`(?:[^`]|``)*`|'(?:[^'\\\\]|\\\\.|'')*')";
const CREATE_USER = new RegExp(`^CREATE USER (${QUOTED}@${QUOTED})(.*)$`, 's');
/** Roles that an account begins a session with can be named once it has them. */
const DEFAULT_ROLE = new RegExp(` DEFAULT ROLE (${QUOTED}@${QUOTED}(?:,${QUOTED}@${QUOTED})*)`);

/** The statements that one answer of the server becomes, for another server, whose image may have made the account; `last` comes after all others. Pure. */
export function statementsOf(answer: string): { first: string[]; last: string[] } {
  const [, name, rest = ''] = CREATE_USER.exec(answer) ?? [];
  if (name === undefined) return { first: [`${answer};`], last: [] };
  const roles = DEFAULT_ROLE.exec(rest)?.[1];
  const how = rest.replace(DEFAULT_ROLE, '');
  return {
    first: [`CREATE USER IF NOT EXISTS ${name}${how};`, ...(how === '' ? [] : [`ALTER USER ${name}${how};`])],
    last: roles === undefined ? [] : [`ALTER USER ${name} DEFAULT ROLE ${roles};`],
  };
}

/** A line is an answer; without the one that ends them all the client was killed. */
async function* statements(answers: AsyncIterable<Uint8Array>): AsyncGenerator<Buffer> {
  const last: string[] = [];
  const decoder = new TextDecoder();
  let rest = '';
  for await (const chunk of answers) {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) {
      const made = line === END ? { first: [...last, END], last: [] } : statementsOf(plain(line));
      last.push(...made.last);
      yield Buffer.from(`${made.first.join('\n')}\n`);
    }
  }
}

/** The server's words for a table, a routine or a column that is not there. */
const GONE = /^ERROR (1146|1305|1054) /;

/** Accounts with the hashes of their passwords, roles and rights: they lie in the server's own tables, which belong to its version. */
export const mysqlAccounts: DumpType = {
  kind: 'mysql-accounts',
  server: 'mysql',
  title: 'MySQL or MariaDB accounts',
  images: [],
  dataPaths: () => [],
  extension: '.sql',
  ready: (context) => mysql.ready(context),

  /** Only root may read them: where its password is not known, the application's own user is all there is to know. */
  async list(context) {
    try {
      await query(context, 'SELECT COUNT(*) FROM mysql.user;');
      return [''];
    } catch (error) {
      if (error instanceof Failure && error.details.some((line) => /^ERROR (1142|1143|1044) /.test(line))) return [];
      throw error;
    }
  },

  async dump(context): Promise<RunningDump> {
    const accounts = await listAccounts(context);
    const contentAt = new Date().toISOString();
    const dump = await context.docker.execAttached(context.container.Id, client(context, ['mariadb', 'mysql'], BATCH), { stdin: true });
    await dump.write(questions(accounts));
    dump.endInput();
    return {
      stream: statements(dump.stdout),
      ended: dump.ended.then(({ code, stderr }) => ({ code: code ?? -1, stderr })),
      facts: async () => factsOf(accounts),
      tool: `SHOW CREATE USER, ${accounts.version}`,
      contentAt,
      close: async () => dump.close(),
    };
  },

  check: () => trailerCheck(/(^|\n)-- Accounts completed\n$/, END),
  count: async (context) => factsOf(await listAccounts(context)),

  /** After the databases: a right may name a table. One whose table is gone gave nobody anything. */
  async load(context, input) {
    const load = await context.docker.execAttached(context.container.Id, client(context, ['mariadb', 'mysql'], [...BATCH, '--force']), {
      stdin: true,
    });
    load.stdout.resume();
    await feed(load, input);
    const { code, stderr } = await load.ended;
    const errors = stderr.split('\n').filter((line) => /^ERROR\b/.test(line) && !GONE.test(line));
    if (errors.length === 0 && (code === 0 || GONE.test(stderr))) return;
    throw new Failure('RESTORE_FAILED', `${context.service}: the server refused the dump of its accounts`, {
      where: context.container.Name.slice(1),
      details: errors.length > 0 ? errors.slice(0, 6) : stderr.split('\n').filter(Boolean).slice(-6),
    });
  },
};
