import { expect, test } from 'vitest';
import { withProject } from '../../test/support/scenario.ts';
import { openDocker } from '../docker/api.ts';
import type { NamedService } from './projects.ts';
import { resolveHost } from './resolve.ts';

const idle = { image: 'busybox:1', command: 'sleep 300', init: true, stop_grace_period: '0s' };

test('names resolve from the host as they do in a container of the service', { timeout: 60_000 }, async () => {
  const files = {
    'compose.yaml': JSON.stringify({
      services: {
        worker: { ...idle, networks: ['back'] },
        broker: { ...idle, networks: { front: {}, back: { aliases: ['queue'] } } },
        web: { ...idle, networks: ['front'] },
        beside: { ...idle, network_mode: 'service:broker' },
        open: { ...idle, network_mode: 'host' },
        stopped: { ...idle, command: 'true', networks: ['back'] },
      },
      networks: { front: {}, back: { internal: true } },
    }),
  };
  await withProject('scale names', { files }, async (project) => {
    expect((await project.compose(['up', '-d'])).code).toBe(0);
    const back = `${project.name}_back`;
    const stranger = await project.docker([
      'run',
      '-d',
      '--name',
      `${project.name}-stranger`,
      '--network',
      back,
      '--network-alias',
      'legacy',
      'busybox:1',
      'sleep',
      '300',
    ]);
    expect(stranger.code).toBe(0);
    try {
      const docker = openDocker();
      const service = (name: string, networks: Record<string, string[]>, changes: Partial<NamedService> = {}): [string, NamedService] => [
        name,
        { name, injected: [], networks, ...changes },
      ];
      const services = Object.fromEntries([
        service('worker', { [back]: [] }),
        service('broker', { [`${project.name}_front`]: [], [back]: ['queue'] }),
        service('beside', {}, { networkMode: 'service:broker' }),
        service('open', {}, { networkMode: 'host' }),
        service('stopped', { [back]: [] }),
      ]);
      const place = { project: project.name, services, own: services.worker as NamedService };
      const resolve = async (host: string) => (await resolveHost(docker, place, host, 6379)).host;
      const addressOf = async (container: string) => (await project.inspect(container)).NetworkSettings.Networks[back]?.IPAddress;
      const broker = await addressOf(`${project.name}-broker-1`);
      // The shared network is internal, and the other one comes first in the file.
      expect([await resolve('broker'), await resolve('queue'), await resolve('beside'), await resolve(`${project.name}-broker-1`)]).toEqual(
        [broker, broker, broker, broker],
      );
      expect(await resolve('legacy')).toBe(await addressOf(`${project.name}-stranger`));
      expect(await resolve('open')).toBe('127.0.0.1');
      expect([await resolve('redis.example.com'), await resolve('10.1.2.3'), await resolve('localhost')]).toEqual([
        'redis.example.com',
        '10.1.2.3',
        'localhost',
      ]);
      expect(await resolve('host.docker.internal')).toMatch(/^[\d.]+$/);
      await expect(resolve('stopped')).rejects.toMatchObject({ code: 'TRIGGER_FAILED', message: 'no container of stopped runs' });
      // A container that comes back elsewhere is found there.
      await project.docker(['rm', '-f', `${project.name}-broker-1`]);
      const squatter = await project.docker([
        'run',
        '-d',
        '--rm',
        '--name',
        `${project.name}-squatter`,
        '--network',
        back,
        'busybox:1',
        'sleep',
        '300',
      ]);
      expect(squatter.code).toBe(0);
      expect((await project.compose(['up', '-d', '--no-deps', 'broker'])).code).toBe(0);
      const moved = await addressOf(`${project.name}-broker-1`);
      expect(moved).not.toBe(broker);
      expect(await resolve('queue')).toBe(moved);
    } finally {
      await project.docker(['rm', '-f', `${project.name}-stranger`, `${project.name}-squatter`]);
    }
  });
});
