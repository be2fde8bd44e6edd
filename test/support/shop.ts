import { createHash } from 'node:crypto';
import { run } from '../../src/kit/spawn.ts';
import type { ScenarioFacts } from './scenario.ts';

/** PostgreSQL with an extension that the plain image has not. */
const DB_DOCKERFILE = `FROM postgres:18-alpine
RUN folder=$(ls -d /usr/share/postgresql/*/extension /usr/local/share/postgresql/extension 2>/dev/null | head -n 1) \\
 && printf "comment = 'for tests'\\ndefault_version = '1.0'\\nrelocatable = true\\n" > "$folder/shoptools.control" \\
 && echo "CREATE FUNCTION vat(integer) RETURNS integer LANGUAGE sql IMMUTABLE AS 'SELECT \\$1 * 119 / 100';" > "$folder/shoptools--1.0.sql"
`;

/** The image, built once for each content; several processes may call at once. */
export async function buildShopDatabase(): Promise<string> {
  const image = `composure-test-shop-db:${createHash('sha256').update(DB_DOCKERFILE).digest('hex').slice(0, 12)}`;
  if ((await run('docker', ['image', 'inspect', image])).code === 0) return image;
  const built = await run('docker', ['build', '--quiet', '--tag', image, '-'], { input: DB_DOCKERFILE, timeoutMs: 120_000 });
  if (built.code !== 0) throw new Error(`the shop's database image could not be built:\n${built.stderr}`);
  return image;
}

/** Is healthy only with the data of `fillShop`: a key in the cache, an article in SQLite, a picture, and a folder that it may write to. */
const APP = `
const { DatabaseSync } = require('node:sqlite');
const { connect } = require('node:net');
const { readFileSync, writeFileSync } = require('node:fs');
const { createServer, get } = require('node:http');
if (process.argv[2] === 'check') {
  get({ host: '127.0.0.1', port: 3000 }, (response) => {
    response.setEncoding('utf8').on('data', (text) => process.stdout.write(text)).on('end', () => process.exit(response.statusCode === 200 ? 0 : 1));
  }).on('error', (error) => { console.log(error.message); process.exit(1); });
} else {
  const cached = () => new Promise((resolve, reject) => {
    const socket = connect(6379, process.env.CACHE, () => socket.write('GET greeting\\r\\n'));
    socket.setEncoding('utf8').once('data', (text) => { socket.end(); resolve(text); }).on('error', reject);
  });
  createServer(async (_request, response) => {
    try {
      if (!(await cached()).includes('hello')) throw new Error('the cache has no greeting');
      const shop = new DatabaseSync('/uploads/data/shop.sqlite');
      if (shop.prepare('SELECT count(*) AS n FROM articles').get().n !== 3) throw new Error('there are not 3 articles');
      shop.close();
      if (readFileSync('/uploads/picture.txt', 'utf8') !== 'a picture') throw new Error('the picture is another');
      writeFileSync('/uploads/seen', '');
      response.end('well\\n');
    } catch (error) {
      response.statusCode = 500;
      response.end(error.message + '\\n');
    }
  }).listen(3000);
}
`;

const QUICK = '{interval: 1s, timeout: 5s, retries: 8, start_period: 5s, start_interval: 300ms}';

/** A project as people have them: a database with an extension and a role, a cache with an append-only log, files, a job, a proxy on Docker's socket. */
export function shopFiles({ name }: Pick<ScenarioFacts, 'name'>): Record<string, string> {
  return {
    'app.js': APP,
    '.env': 'DB_PASSWORD=of the database alone\n',
    'compose.yaml': `
services:
  db:
    image: ${name}-db
    environment: {POSTGRES_USER: shop, POSTGRES_PASSWORD_FILE: /run/secrets/db_password}
    secrets: [{source: db_password, mode: 0444}]
    ports: ["127.0.0.1::5432"]
    volumes: [pg:/var/lib/postgresql]
    mem_limit: 512m
    healthcheck: {<<: ${QUICK}, test: [CMD, pg_isready, -q, -h, 127.0.0.1, -U, shop], interval: 5s, start_period: 60s}
  cache:
    image: redis:8-alpine
    container_name: ${name}-cache
    command: [redis-server, --appendonly, "yes"]
    labels: {traefik.enable: "true"}
    volumes: [cache:/data]
    mem_limit: 128m
  count:
    image: ${name}-db
    depends_on: {db: {condition: service_healthy}}
    secrets: [{source: db_password, mode: 0444}]
    entrypoint: [sh, -ec]
    command: ['export PGPASSWORD=$$(cat /run/secrets/db_password); psql -X -v ON_ERROR_STOP=1 -h db -U shop -Atc "select vat(100) / count(*) from orders"']
    mem_limit: 64m
  app:
    image: node:24-alpine
    user: "1000:1000"
    command: [node, /app/app.js]
    environment: {CACHE: ${name}-cache}
    depends_on: {cache: {condition: service_started}, count: {condition: service_completed_successfully}}
    volumes: ["uploads:/uploads", "./app.js:/app/app.js:ro"]
    mem_limit: \${APP_MEMORY:-128m}
    stop_grace_period: 1s
    healthcheck: {<<: ${QUICK}, test: [CMD, node, /app/app.js, check]}
  proxy:
    image: busybox:1
    command: [sleep, infinity]
    stop_grace_period: 0s
    volumes: ["/var/run/docker.sock:/var/run/docker.sock:ro"]
secrets: {db_password: {environment: DB_PASSWORD}}
volumes: {pg: {}, cache: {}, uploads: {}}
x-composure:
  backup:
    repository: \${REPOSITORY:-./repository}
    schedule: 0 3 * * *
`,
  };
}

const SHOP_SQL = `CREATE ROLE accountant LOGIN PASSWORD 'known to few';
  CREATE EXTENSION shoptools;
  CREATE TABLE orders (id int PRIMARY KEY, price int, created_at timestamptz DEFAULT now());
  INSERT INTO orders SELECT g, vat(g) FROM generate_series(1, 2000) g;
  CREATE TABLE invoices (id int); ALTER TABLE invoices OWNER TO accountant; INSERT INTO invoices VALUES (1);`;

const ARTICLES = `const { mkdirSync, writeFileSync, chownSync } = require('node:fs');
  mkdirSync('/uploads/data');
  const shop = new (require('node:sqlite').DatabaseSync)('/uploads/data/shop.sqlite');
  shop.exec("PRAGMA journal_mode = WAL; CREATE TABLE articles (name text); INSERT INTO articles VALUES ('a'), ('b'), ('c')");
  shop.close();
  writeFileSync('/uploads/picture.txt', 'a picture');
  for (const path of ['', '/data', '/data/shop.sqlite', '/picture.txt']) chownSync('/uploads' + path, 1000, 1000);`;

/** Commands of `docker compose`, in order: up to a project that is well. */
export const fillShop: readonly string[][] = [
  ['up', '--detach', '--wait', 'db', 'cache'],
  ['exec', '--no-TTY', 'db', 'psql', '-X', '-v', 'ON_ERROR_STOP=1', '-U', 'shop', '-qc', SHOP_SQL],
  ['exec', '--no-TTY', 'cache', 'redis-cli', 'SET', 'greeting', 'hello'],
  ['run', '--rm', '--no-deps', '--user', 'root', 'app', 'node', '-e', ARTICLES],
  ['up', '--detach', '--wait', 'app', 'proxy'],
];
