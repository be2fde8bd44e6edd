import type { AutoscaleSpec, EdgeSpec, Project, Service, UpdateConfig } from '../project/model.ts';
import type { Observed, ObservedContainer } from './model.ts';

/** Plain data for tests of plans: a service, a project and a world with everything at its default. */

export const updateConfig = (changes: Partial<UpdateConfig> = {}): UpdateConfig => ({
  parallelism: 1,
  delayMs: 0,
  monitorMs: 5000,
  failureAction: 'rollback',
  maxFailureRatio: 0,
  ...changes,
});

export const edgeSpec = (changes: Partial<EdgeSpec> = {}): EdgeSpec => ({
  kind: 'http',
  hosts: ['shop.example.com'],
  path: '/',
  port: 8000,
  health: { path: '/health', status: '200-399' },
  healthIntervalMs: 500,
  redirectFrom: [],
  tls: 'none',
  redirectToHttps: false,
  compress: true,
  maxBodyBytes: 0,
  securityHeaders: true,
  timeouts: { responseMs: 60_000, tunnelMs: 3_600_000 },
  holdMs: 15_000,
  drain: { requestsMs: 30_000, streamsMs: 30_000 },
  ...changes,
});

export const service = (name: string, changes: Partial<Service> = {}): Service => ({
  name,
  image: `${name}:2`,
  builds: false,
  configHash: `${name}-new`,
  contentHash: '',
  contentFiles: [],
  replicas: 1,
  dependsOn: {},
  healthcheck: { disabled: false, intervalMs: 10_000, timeoutMs: 5000, retries: 3, startPeriodMs: 20_000, startIntervalMs: 500 },
  update: updateConfig(),
  rollback: updateConfig(),
  stopGraceMs: 10_000,
  postStart: [],
  preStop: [],
  devices: false,
  privileged: false,
  publishedPorts: [],
  exposedPorts: [],
  mounts: [],
  environment: {},
  memoryLimitBytes: 0,
  cpus: 0,
  restart: 'unless-stopped',
  edge: [],
  ...changes,
});

/** x-autoscale with one trigger that can lift the service from 0. */
export const autoscaleSpec = (changes: Partial<AutoscaleSpec> = {}): AutoscaleSpec => ({
  triggers: [
    {
      name: 'redis-0',
      type: 'redis',
      metricType: 'AverageValue',
      metadata: {},
      written: { metadata: { address: 'redis:6379', listName: 'jobs' } },
    },
  ],
  min: 0,
  behavior: { scaleUp: { selectPolicy: 'Max' }, scaleDown: { selectPolicy: 'Max' } },
  pause: { paused: false, pausedScaleIn: false, pausedScaleOut: false },
  forceActivation: false,
  tier: { class: 'light' },
  keda: {},
  ...changes,
});

export const project = (...services: Service[]): Project => ({
  name: 'shop',
  folder: '/srv/shop',
  compose: { args: [], cwd: '/srv/shop', env: {} },
  files: ['/srv/shop/compose.yaml'],
  services: Object.fromEntries(services.map((entry) => [entry.name, entry])),
  networks: {},
  volumes: {},
  settings: { edge: {}, images: {}, release: { maxErrorRatio: 0.05, maxLatencyRatio: 3, minRequests: 20, keep: 1 } },
  warnings: [],
  unsetVariables: [],
  resolved: '{}',
});

export const container = (of: string, number: number, changes: Partial<ObservedContainer> = {}): ObservedContainer => ({
  id: `${of}-${number}`,
  name: `shop-${of}-${number}`,
  service: of,
  number,
  state: 'running',
  health: 'healthy',
  configHash: `${of}-old`,
  imageId: `sha256:${of}`,
  createdMs: 1000,
  restartCount: 0,
  exitCode: 0,
  hostPorts: [],
  ...changes,
});

export const observed = (containers: ObservedContainer[], changes: Partial<Observed> = {}): Observed => ({
  containers,
  images: Object.fromEntries(containers.map((entry) => [entry.service, { id: `sha256:${entry.service}`, exposesPorts: false }])),
  releases: [{ number: 4, at: '2026-01-01T00:00:00Z', by: 'ann', kind: 'deploy', services: {} }],
  edge: {
    settings: { httpPort: 80, httpsPort: 443, image: 'haproxy:3.2-alpine', addressPool: '10.214.0.0/16', takeovers: [] },
    running: true,
  },
  contentChangedMs: {},
  hostMemoryBytes: 0,
  publishers: [],
  redirect: { can: true, warnings: [] },
  temporaryPorts: {},
  agent: false,
  draining: [],
  ...changes,
});
