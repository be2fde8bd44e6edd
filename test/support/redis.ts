import { Redis } from 'ioredis';
import { eventually } from './eventually.ts';
import type { Server, Servers } from './servers.ts';

export interface RedisServer extends Server {
  /** One command over a connection of its own. */
  call(command: string, ...args: (string | number)[]): Promise<unknown>;
}

/** A real Redis, reached by its `alias` (default "redis") from the other servers; ready for commands, also after a restart. */
export async function startRedis(
  servers: Servers,
  { password, alias = 'redis', flags = [] }: { password?: string; alias?: string; flags?: string[] } = {},
): Promise<RedisServer> {
  const server = await servers.start({
    image: 'redis:8-alpine',
    alias,
    port: 6379,
    flags,
    command: ['redis-server', '--save', '', ...(password ? ['--requirepass', password] : [])],
  });
  async function call(command: string, ...args: (string | number)[]): Promise<unknown> {
    const client = new Redis({ ...server.address(), ...(password ? { password } : {}), retryStrategy: () => null, lazyConnect: true });
    client.on('error', () => {});
    try {
      await client.connect();
      return await client.call(command, ...args.map(String));
    } finally {
      client.disconnect();
    }
  }
  const ready = () => eventually(() => call('PING'), { everyMs: 50 });
  await ready();
  return {
    ...server,
    get container() {
      return server.container;
    },
    call,
    async restart() {
      await server.restart();
      await ready();
    },
  };
}
