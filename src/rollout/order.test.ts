import { describe, expect, test } from 'vitest';
import { edgeSpec, project, service, updateConfig } from './fixtures.ts';
import { decideOrder } from './order.ts';

const volume = { type: 'volume' as const, source: 'data', target: '/data', readOnly: false };
const published = { published: 80, target: 8000, protocol: 'tcp' };

describe('the order of a service', () => {
  const cases = [
    { name: 'routed, nothing else', of: { edge: [edgeSpec()] }, order: 'start-first', why: /requests move/ },
    { name: 'publishes a host port', of: { edge: [edgeSpec()], publishedPorts: [published] }, order: 'stop-first', why: /host port 80/ },
    {
      name: 'publishes a port that Docker chooses',
      of: { edge: [edgeSpec()], publishedPorts: [{ ...published, published: 0 }] },
      order: 'start-first',
      why: /requests move/,
    },
    {
      name: 'one replica with a volume',
      of: { edge: [edgeSpec()], mounts: [volume] },
      order: 'stop-first',
      why: /alone writes to volume data/,
    },
    {
      name: 'several replicas with a volume',
      of: { edge: [edgeSpec()], mounts: [volume], replicas: 2 },
      order: 'start-first',
      why: /requests move/,
    },
    {
      name: 'a read-only volume',
      of: { edge: [edgeSpec()], mounts: [{ ...volume, readOnly: true }] },
      order: 'start-first',
      why: /requests move/,
    },
    {
      name: 'a volume, but start-first asked for',
      of: { mounts: [volume], update: updateConfig({ order: 'start-first' }) },
      order: 'start-first',
      why: /update_config.order/,
    },
    {
      name: 'stop-first asked for',
      of: { edge: [edgeSpec()], update: updateConfig({ order: 'stop-first' }) },
      order: 'stop-first',
      why: /update_config.order/,
    },
    {
      name: 'container_name, start-first asked for',
      of: { containerName: 'db', update: updateConfig({ order: 'start-first' }) },
      order: 'stop-first',
      why: /container_name db/,
    },
    { name: 'host network', of: { networkMode: 'host' }, order: 'stop-first', why: /network_mode: host/ },
    { name: 'devices', of: { devices: true }, order: 'stop-first', why: /devices/ },
    { name: 'a worker', of: {}, order: 'stop-first', why: /worker/ },
    {
      name: 'a worker with start-first',
      of: { update: updateConfig({ order: 'start-first' }) },
      order: 'start-first',
      why: /update_config.order/,
    },
    { name: 'an internal server', of: { exposedPorts: [9000] }, order: 'start-first', why: /other services call it/ },
  ] as const;
  test.each(cases)('$name: $order', ({ of, order, why }) => {
    const subject = service('api', of as object);
    const decision = decideOrder(subject, project(subject), false);
    expect(decision.order).toBe(order);
    expect(decision.why).toMatch(why);
  });

  test('asking for the impossible is said', () => {
    const subject = service('api', { publishedPorts: [published], update: updateConfig({ order: 'start-first' }) });
    expect(decideOrder(subject, project(subject), false).warning).toContain('start-first, but host port 80');
  });

  test('a service that another one names in its environment is a server, not a worker', () => {
    const api = service('api');
    const web = service('web', { environment: { API_URL: 'http://api:8000/v1' } });
    expect(decideOrder(api, project(api, web), false).order).toBe('start-first');
    const other = service('web', { environment: { NAME: 'my-api-key' } });
    expect(decideOrder(api, project(api, other), false).order).toBe('stop-first');
  });
});
