import type { ScenarioFacts } from '../../test/support/scenario.ts';

/** What the app does at SIGTERM: ends at once, drains, or waits for SIGKILL. */
export type AppMode = 'exit' | 'drain' | 'ignore';
export const APP_MODES: readonly AppMode[] = ['exit', 'drain', 'ignore'];

/** Services that run between releases, and how many of each. */
export const RUNNING: Record<string, number> = { web: 2, single: 1, worker: 1 };

/** How long requests may wait while the stop-first service is away. Killed twice and recovered on a busy machine, it is away for long. */
export const HOLD_MS = 60_000;

/** A routed service of each order, a worker and a release job: every kind of step that a release can have but the taking over of a port. */
export function crashStack(image: string, mode: AppMode, { host, httpPort, httpsPort }: ScenarioFacts): string {
  return `
x-app: &app
  image: ${image}
  environment: &environment { VERSION: "\${VERSION}", ON_SIGTERM: ${mode} }
  stop_grace_period: 1s
  healthcheck: { test: [CMD, /app/check], interval: 5s, timeout: 5s, retries: 3, start_period: 30s, start_interval: 250ms }
services:
  web:
    <<: *app
    deploy: { replicas: ${RUNNING.web}, update_config: { order: start-first, parallelism: 0, monitor: 200ms } }
    depends_on: { migrate: { condition: service_completed_successfully } }
    x-edge: { host: ${host}, port: 3000, health: { path: /health, interval: 100ms }, drain: { streams: 1s } }
  single:
    <<: *app
    deploy: { update_config: { order: stop-first, monitor: 200ms } }
    x-edge: { host: single.${host}, port: 3000, health: { path: /health, interval: 100ms }, hold: ${HOLD_MS / 1000}s, drain: { streams: 1s } }
  worker:
    <<: *app
    environment: { <<: *environment, ROLE: worker }
    deploy: { update_config: { order: stop-first, monitor: 200ms } }
  migrate:
    <<: *app
    environment: { <<: *environment, ROLE: job }
    healthcheck: { disable: true }
    x-release: { timeout: 30s }
x-composure: { edge: { http_port: ${httpPort}, https_port: ${httpsPort} } }
`;
}
