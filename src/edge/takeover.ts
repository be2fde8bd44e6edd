import { createServer } from 'node:net';
import type { ContainerSummary } from '../docker/api.ts';
import { COMPOSE } from '../docker/labels.ts';
import type { EdgeSettings } from './model.ts';
import type { RedirectAbility } from './takeover-redirect.ts';

/** A TCP port of this host that a container publishes. */
export interface Publisher {
  port: number;
  container: string;
  name: string;
  /** Compose project and service; undefined when Compose did not make the container. */
  project?: string;
  service?: string;
}

/**
 * How the edge comes to a port that it needs.
 * `redirect`: no connection is refused. `gap`: the old container must stop before the edge can listen; connections in between are refused.
 * `stranger`: it is not this project's to take.
 */
export type TakeoverStep =
  | { kind: 'redirect'; port: number; temporary: number; from: Publisher[]; why: string }
  | { kind: 'gap'; port: number; from: Publisher[]; why: string }
  | { kind: 'stranger'; port: number; from: Publisher[]; why: string };

/** Running containers' published TCP ports. */
export function publishersOf(containers: ContainerSummary[]): Publisher[] {
  const seen = new Set<string>();
  return containers.flatMap((container) =>
    (container.Ports ?? []).flatMap(({ PublicPort, Type }) => {
      const key = `${container.Id} ${PublicPort}`;
      if (PublicPort === undefined || Type !== 'tcp' || seen.has(key)) return [];
      seen.add(key);
      const project = container.Labels[COMPOSE.project];
      const service = container.Labels[COMPOSE.service];
      return [
        {
          port: PublicPort,
          container: container.Id,
          name: container.Names[0]?.replace(/^\//, '') ?? container.Id.slice(0, 12),
          ...(project ? { project } : {}),
          ...(service ? { service } : {}),
        },
      ];
    }),
  );
}

/**
 * Decides for each port that the edge needs and a container publishes how it is taken over. Ports that nobody publishes, and ports whose
 * takeover is under way already, need no step here. `temporary` gives a free port for each port.
 */
export function planTakeovers(input: {
  ports: number[];
  publishers: Publisher[];
  project: string;
  /** Services whose containers the release replaces: only these will let go of the port. */
  replaced: string[];
  under: EdgeSettings['takeovers'];
  ability: RedirectAbility;
  temporary: Record<number, number>;
}): TakeoverStep[] {
  return input.ports.flatMap((port): TakeoverStep[] => {
    const from = input.publishers.filter((publisher) => publisher.port === port);
    if (from.length === 0) return [];
    const others = from.filter(({ project, service }) => project !== input.project || !service || !input.replaced.includes(service));
    if (others.length > 0) {
      const names = others.map(({ name, project }) =>
        project === undefined || project === input.project ? name : `${name} of project ${project}`,
      );
      return [
        {
          kind: 'stranger',
          port,
          from: others,
          why: `port ${port} is published by ${names.join(' and ')}, which this release does not replace`,
        },
      ];
    }
    const who = from.map(({ name }) => name).join(' and ');
    const known = input.under.find((takeover) => takeover.port === port);
    const temporary = known?.temporary ?? input.temporary[port];
    if (!input.ability.can) {
      const why = `port ${port} is published by ${who}; new connections are refused from its stop until the edge listens: ${input.ability.why}`;
      return [{ kind: 'gap', port, from, why }];
    }
    if (temporary === undefined)
      return [{ kind: 'gap', port, from, why: `port ${port} is published by ${who}, and no other port is free for the time in between` }];
    const why = `port ${port} is published by ${who}; new connections go to the edge on ${temporary} until the edge can listen on ${port} itself`;
    return [{ kind: 'redirect', port, temporary, from, why }];
  });
}

export function formatTakeovers(steps: TakeoverStep[]): string {
  return steps
    .map(
      (step) =>
        `${{ redirect: 'take over', gap: 'take over with a gap', stranger: 'cannot take' }[step.kind]} port ${step.port}: ${step.why}\n`,
    )
    .join('');
}

/**
 * A port that nobody listens on, for each port to be taken over. Outside of the range that the kernel hands out for
 * outgoing connections, so that it is still free a moment later.
 */
export async function temporaryPorts(ports: number[], exclude: number[] = []): Promise<Record<number, number>> {
  const chosen: Record<number, number> = {};
  let candidate = 17_000;
  for (const port of ports) {
    while (candidate < 32_000 && chosen[port] === undefined) {
      const next = candidate++;
      if (!ports.includes(next) && !exclude.includes(next) && (await isFree(next))) chosen[port] = next;
    }
  }
  return chosen;
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen({ port, host: '0.0.0.0', exclusive: true }, () => server.close(() => resolve(true)));
  });
}
