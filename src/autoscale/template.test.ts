import { expect, test } from 'vitest';
import type { ContainerInfo } from '../docker/api.ts';
import { createSpec, templateOf } from './template.ts';

const ID = '3bc700538bebb12e7d21669be427f56d6ef1d9dca70f42320befdf6c3c3066eb';

function info(changes: { config?: object; host?: object } = {}): ContainerInfo {
  return {
    Id: ID,
    Name: '/shop-worker-4',
    Image: 'sha256:abc',
    Config: {
      Hostname: ID.slice(0, 12),
      Image: 'shop-worker',
      Env: ['QUEUE=mail'],
      OnBuild: ['RUN true'],
      Labels: {
        'com.docker.compose.project': 'shop',
        'com.docker.compose.service': 'worker',
        'com.docker.compose.container-number': '4',
        'com.docker.compose.config-hash': 'h1',
        'com.docker.compose.replace': 'old',
      },
      ...changes.config,
    },
    HostConfig: {
      NetworkMode: 'shop_back',
      Memory: 64,
      NanoCpus: 500_000_000,
      RestartPolicy: { Name: 'always', MaximumRetryCount: 0 },
      ...changes.host,
    },
    NetworkSettings: {
      Networks: {
        shop_back: { Aliases: ['shop-worker-4', 'worker', 'w', ID.slice(0, 12)], IPAddress: '10.0.0.4', NetworkID: 'n1', IPAMConfig: {} },
        'composure-edge-shop': { Aliases: null, IPAddress: '10.9.0.2', NetworkID: 'n2', IPAMConfig: { IPv4Address: '10.9.0.2' } },
      },
    },
  } as unknown as ContainerInfo;
}

test('a sibling differs from its template in number, name and names on networks only', () => {
  const template = templateOf(info(), ['shop_back']);
  expect(createSpec(template, 7, 'shop-worker')).toEqual({
    Image: 'shop-worker',
    Env: ['QUEUE=mail'],
    Labels: {
      'com.docker.compose.project': 'shop',
      'com.docker.compose.service': 'worker',
      'com.docker.compose.container-number': '7',
      'com.docker.compose.config-hash': 'h1',
    },
    HostConfig: info().HostConfig,
    NetworkingConfig: {
      EndpointsConfig: { shop_back: { Aliases: ['shop-worker-7', 'worker', 'w'], Links: undefined, DriverOpts: undefined } },
    },
  });
});

test.each([
  ['a host name from the file stays', { config: { Hostname: 'mailer' } }, 'mailer'],
  ['that of the host does not', { config: { Hostname: 'server1' }, host: { NetworkMode: 'host' } }, undefined],
  ['nor that of another container', { config: { Hostname: 'other' }, host: { NetworkMode: 'container:x' } }, undefined],
])('%s', (_title, changes, expected) => {
  expect((createSpec(templateOf(info(changes), ['shop_back']), 1, 'x') as { Hostname?: string }).Hostname).toBe(expected);
});

test.each([
  [undefined, false],
  [{ Test: ['NONE'] }, false],
  [{ Test: ['CMD', 'true'] }, true],
])('health check %j tells: %s', (Healthcheck, expected) => {
  expect(templateOf(info({ config: { Healthcheck } }), []).hasHealthcheck).toBe(expected);
});
