import { Failure } from '../../kit/errors.ts';
import type { DumpType, Facts, RunningDump, WholeCheck } from '../model.ts';
import { feed } from './in-container.ts';
import { client, postgres, query } from './postgres.ts';

const NAMES = "SELECT json_agg(rolname ORDER BY rolname) FROM pg_roles WHERE rolname !~ '^pg_';";

const factsOf = (names: string): Facts => ({ kind: 'roles', names: JSON.parse(names.trim() || '[]') as string[] });

/** Roles with their passwords and memberships: they belong to the server, and a database's dump only names them. */
export const postgresRoles: DumpType = {
  kind: 'postgres-roles',
  server: 'postgres',
  title: 'PostgreSQL roles',
  images: [],
  dataPaths: () => [],
  extension: '.sql',
  list: async () => [''],
  ready: (context) => postgres.ready(context),

  async dump(context): Promise<RunningDump> {
    const contentAt = new Date().toISOString();
    const [tool = '', names = ''] = (await query(context, 'template1', `\\! pg_dumpall --version\n${NAMES}`)).split('\n');
    const facts = factsOf(names);
    const dump = await context.docker.execAttached(context.container.Id, client(context, 'pg_dumpall', ['--roles-only']));
    return {
      stream: dump.stdout,
      ended: dump.ended.then(({ code, stderr }) => ({ code: code ?? -1, stderr })),
      facts: async () => facts,
      tool,
      contentAt,
      close: async () => dump.close(),
    };
  },

  check: rolesCheck,
  count: async (context) => factsOf(await query(context, 'template1', NAMES)),

  /** The roles that the image's own variables made are there already; everything else has to be taken. */
  async load(context, input) {
    const load = await context.docker.execAttached(
      context.container.Id,
      client(context, 'psql', ['-X', '-q', '-d', 'template1', '-f', '-']),
      {
        stdin: true,
      },
    );
    load.stdout.resume();
    await feed(load, input);
    const { code, stderr } = await load.ended;
    const errors = stderr.split('\n').filter((line) => /\b(ERROR|FATAL|error):/.test(line) && !/role ".*" already exists$/.test(line));
    if (code === 0 && errors.length === 0) return;
    throw new Failure('RESTORE_FAILED', `${context.service}: psql refused the dump of the roles`, {
      where: context.container.Name.slice(1),
      details: errors.length > 0 ? errors.slice(0, 6) : stderr.split('\n').filter(Boolean).slice(-6),
    });
  },
};

/** pg_dumpall says at its end that it came there. */
export function rolesCheck(): WholeCheck {
  let tail = Buffer.alloc(0);
  return {
    write(chunk) {
      tail = Buffer.concat([tail, chunk.subarray(-400)]).subarray(-400);
    },
    end() {
      if (tail.length === 0) return 'the dump is empty';
      return tail.toString('utf8').endsWith('\n-- PostgreSQL database cluster dump complete\n--\n\n')
        ? undefined
        : 'the dump lacks its last line, “PostgreSQL database cluster dump complete”';
    },
  };
}
