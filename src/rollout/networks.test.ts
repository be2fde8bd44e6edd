import { expect, test } from 'vitest';
import { checkPlan } from './checks.ts';
import { container, observed, project, service } from './fixtures.ts';
import { networkHashes } from './networks.ts';
import { planRelease } from './plan.ts';

const withNetwork = (definition: Record<string, unknown>) => ({
  ...project(service('api')),
  networks: { back: { name: 'shop_back', external: false, definition } },
});
const options = { kind: 'deploy' as const, only: [], force: false, reusable: {} };

test('a changed network is refused before anything is touched, the same one in another order of keys is not', () => {
  const before = withNetwork({ driver: 'bridge', internal: false });
  const world = observed([container('api', 1)], {
    releases: [{ number: 1, at: '', by: '', kind: 'deploy', services: {}, networks: networkHashes(before) }],
  });
  const check = (wanted: ReturnType<typeof withNetwork>) => () =>
    checkPlan(wanted, world, planRelease(wanted, world, options), { ignoreUnhealthy: false });
  expect(check(withNetwork({ internal: false, driver: 'bridge' }))).not.toThrow();
  expect(check(withNetwork({ driver: 'bridge', internal: true }))).toThrow(/network shop_back changed/);
});
