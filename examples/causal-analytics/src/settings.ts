import { readFileSync } from 'node:fs';
import { hostname } from 'node:os';

/** Everything that this stack takes from its environment, read once. */
export const settings = {
  version: process.env.APP_VERSION ?? 'development',
  hostname: hostname(),
  port: Number(process.env.PORT ?? 8000),
  redis: { host: process.env.REDIS_HOST ?? 'redis', port: Number(process.env.REDIS_PORT ?? 6379) },
  postgres: {
    host: process.env.POSTGRES_HOST ?? 'postgres',
    port: Number(process.env.POSTGRES_PORT ?? 5432),
    database: process.env.POSTGRES_DB ?? 'analytics',
    user: process.env.POSTGRES_USER ?? 'analytics',
  },
  heartbeatFile: process.env.HEARTBEAT_FILE ?? '/tmp/heartbeat',
  /** How long a stopping process lets its work go on; keep it below the service's stop_grace_period. */
  drainMs: Number(process.env.APP_DRAIN_MS ?? 20_000),
};

/** Read when it is needed, so that it is in no variable that a dump of the environment would show. */
export function readPassword(): string {
  return readFileSync(process.env.POSTGRES_PASSWORD_FILE ?? '/run/secrets/postgres_password', 'utf8').trim();
}

/** One JSON line per event: what a log driver with rotation and a search box want. */
export function log(message: string, fields: Record<string, unknown> = {}): void {
  process.stdout.write(`${JSON.stringify({ time: new Date().toISOString(), version: settings.version, message, ...fields })}\n`);
}
