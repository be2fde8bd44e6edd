import type { Project, Service } from '../../project/model.ts';
import type { Manifest, SavedStore } from '../model.ts';

/** A project and a set of it for the tests of this folder and of rebuild's. */

export const service = (name: string, more: Partial<Service> = {}): Service =>
  ({ name, image: name, dependsOn: {}, mounts: [], environment: {}, stopGraceMs: 10_000, ...more }) as Service;

export const volume = (source: string, target: string, readOnly = false): Service['mounts'][number] => ({
  type: 'volume',
  source,
  target,
  readOnly,
});

export function project(services: Service[], keys: string[]): Project {
  return {
    name: 'shop',
    services: Object.fromEntries(services.map((one) => [one.name, one])),
    volumes: Object.fromEntries(keys.map((key) => [key, { name: `shop_${key}`, external: false }])),
  } as Project;
}

export function store(id: string, more: Partial<SavedStore> = {}): SavedStore {
  const [own = '', kind = '', ...rest] = id.split('/');
  const isProject = id === 'project';
  return {
    id,
    kind: (isProject ? 'project' : kind) as SavedStore['kind'],
    service: isProject ? '' : own,
    name: rest.join('/'),
    tool: 'tool 1.0',
    snapshot: `of ${id}`,
    path: `/${rest.join('_') || kind}.dump`,
    bytes: 1024,
    added: 10,
    startedAt: '2026-11-24T06:00:00.000Z',
    endedAt: '2026-11-24T06:00:10.000Z',
    contentAt: '2026-11-24T06:00:01.000Z',
    ...more,
  };
}

export const origin = (target: string, from: { volume?: string; folder?: string }): NonNullable<SavedStore['origin']> => ({
  folder: `/var/lib/docker/volumes/${from.volume}/_data`,
  uid: 0,
  gid: 0,
  mode: 0o755,
  target,
  ...from,
});

export const manifest = (stores: SavedStore[]): Manifest => ({
  version: 1,
  project: 'shop',
  set: '20261124T060000Z-ab12',
  startedAt: '2026-11-24T06:00:00.000Z',
  endedAt: '2026-11-24T06:00:20.000Z',
  composure: '0.1.0',
  host: 'vps1',
  images: {
    db: { reference: 'postgres:18', id: 'sha256:1', digest: 'postgres@sha256:0123456789abcdef' },
    app: { reference: 'shop/app:7', id: 'sha256:2' },
  },
  composeHash: '',
  stores,
});
