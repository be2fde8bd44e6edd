import { Failure } from '../../kit/errors.ts';
import type { DumpContext, DumpType, Facts, RunningDump } from '../model.ts';
import { ask, feed, withSecret } from './in-container.ts';
import { archiveCheck } from './mongodb-archive.ts';

type Context = Omit<DumpContext, 'name'>;
type Collections = Extract<Facts, { kind: 'collections' }>['collections'];

const login = (command: readonly string[]): string[] =>
  withSecret('MONGO_USER', ['MONGO_INITDB_ROOT_USERNAME'], withSecret('MONGO_PASSWORD', ['MONGO_INITDB_ROOT_PASSWORD'], command));

/** The tools take a password from their arguments, which everybody can read, or from a file in YAML: a pipe that only they have. */
const WITH_CONFIG = [
  'if [ -z "${MONGO_PASSWORD:-}" ]; then exec "$@"; fi',
  `quoted=$(printf %s "$MONGO_PASSWORD" | sed 's/[\\\\"]/\\\\&/g')`,
  'exec "$@" --authenticationDatabase=admin "--username=$MONGO_USER" --config=/dev/fd/3 3<<END',
  'password: "$quoted"',
  'END',
].join('\n');

/** A command line for one of MongoDB's database tools, in the container. */
export const tool = (program: string, args: readonly string[]): string[] => login(['sh', '-c', WITH_CONFIG, 'sh', program, ...args]);

/**
 * Prints every collection with its number of documents; those of the server itself are left out, and those in which mongorestore holds accounts for a
 * moment (old ones leave them behind). For mongosh.
 */
export const COUNT = `
const { MONGO_USER: user, MONGO_PASSWORD: password } = process.env;
const who = password ? encodeURIComponent(user) + ':' + encodeURIComponent(password) + '@' : '';
const server = new Mongo('mongodb://' + who + '127.0.0.1:27017/?directConnection=true' + (password ? '&authSource=admin' : ''));
const names = server.getDB('admin').adminCommand({ listDatabases: 1, nameOnly: true }).databases.map((one) => one.name);
const found = [];
for (const name of names.filter((one) => one !== 'local' && one !== 'config').sort()) {
  const database = server.getDB(name);
  const own = database.getCollectionInfos()
    .filter((one) => one.type !== 'view' && !one.name.startsWith('system.'))
    .filter((one) => name !== 'admin' || !['tempusers', 'temproles'].includes(one.name));
  for (const one of own.map((info) => info.name).sort())
    found.push({ name: name + '.' + one, documents: Number(database.getCollection(one).countDocuments({})) });
}
print(JSON.stringify(found));`;

/**
 * Prints "ready" where the server answers that stays. On its first start the image makes the accounts with one in the background (`--fork`), without
 * a login, and ends that; the one that stays either tells that it is in the foreground or wants a login for the question. For mongosh.
 */
export const READY = `
const admin = new Mongo('mongodb://127.0.0.1:27017/?directConnection=true').getDB('admin');
let isInBackground = false;
try { isInBackground = admin.runCommand({ getCmdLineOpts: 1 }).parsed.processManagement.fork === true; } catch {}
if (admin.runCommand({ ping: 1 }).ok === 1 && !isInBackground) print('ready');`;

const shell = (script: string): string[] => login(['mongosh', '--quiet', '--norc', '--nodb', '--eval', script]);

async function count(context: Context): Promise<Collections> {
  const output = (await ask(context, shell(COUNT))).trim();
  return JSON.parse(output.slice(output.lastIndexOf('\n') + 1)) as Collections;
}

/** A moment before and one after the dump: the dump's own lies between. Pure. */
export function collectionsBetween(before: Collections, after: Collections): Facts {
  const later = new Map(after.map(({ name, documents }) => [name, documents]));
  return {
    kind: 'collections',
    collections: before.map(({ name, documents }) => {
      const documentsAfter = later.get(name) ?? 0;
      return documentsAfter === documents ? { name, documents } : { name, documents, documentsAtMost: documentsAfter };
    }),
  };
}

/**
 * One archive of all databases, users and roles among them. Each collection is as it was when it was read: writers meanwhile may be in one and
 * not in another.
 */
export const mongodb: DumpType = {
  kind: 'mongodb',
  title: 'MongoDB',
  images: [
    'mongo',
    'mongodb/mongodb-community-server',
    'mongodb/mongodb-enterprise-server',
    'percona/percona-server-mongodb',
    'bitnami/mongodb',
  ],
  dataPaths: () => ['/data/db', '/data/configdb', '/bitnami/mongodb'],
  extension: '.archive',
  list: async () => [''],

  ready: async (context) => (await ask(context, shell(READY)).catch(() => '')).trim() === 'ready',

  async dump(context): Promise<RunningDump> {
    const version = (await ask(context, ['mongodump', '--version'])).split('\n')[0]?.trim() ?? 'mongodump';
    const before = await count(context);
    const contentAt = new Date().toISOString();
    // One collection after the other: what did not change is the same bytes again, of which the repository keeps one.
    const dump = await context.docker.execAttached(context.container.Id, tool('mongodump', ['--archive', '--numParallelCollections=1']));
    return {
      stream: dump.stdout,
      ended: dump.ended.then(({ code, stderr }) => ({ code: code ?? -1, stderr })),
      facts: async () => collectionsBetween(before, await count(context)),
      tool: version,
      contentAt,
      close: async () => dump.close(),
    };
  },

  check: archiveCheck,
  count: async (context) => ({ kind: 'collections', collections: await count(context) }),

  async load(context, input) {
    const load = await context.docker.execAttached(context.container.Id, tool('mongorestore', ['--archive', '--drop', '--stopOnError']), {
      stdin: true,
    });
    load.stdout.resume();
    await feed(load, input);
    const { code, stderr } = await load.ended;
    if (code !== 0) {
      throw new Failure('RESTORE_FAILED', `${context.service}: mongorestore refused the archive`, {
        where: context.container.Name.slice(1),
        details: stderr.split('\n').slice(-6).filter(Boolean),
      });
    }
  },
};
