import { expect, test } from 'vitest';
import { injectedPaths } from './injected.ts';

test('only what no file on the host stands behind is put in by Compose', () => {
  const model = {
    services: {
      worker: {
        configs: [{ source: 'written', target: '/etc/app.conf' }, { source: 'written' }, { source: 'file' }],
        secrets: [
          { source: 'token' },
          { source: 'token', target: 'other' },
          { source: 'token', target: '/keys/token' },
          { source: 'onDisk' },
        ],
      },
      web: {},
    },
    configs: { written: { content: 'a=1' }, file: { file: '/srv/app.conf' } },
    secrets: { token: { environment: 'TOKEN' }, onDisk: { file: '/srv/token' } },
  };
  expect(injectedPaths(model, 'worker')).toEqual(['/etc/app.conf', '/written', '/run/secrets/token', '/run/secrets/other', '/keys/token']);
  expect(injectedPaths(model, 'web')).toEqual([]);
});
