import type { Project, Service, UpdateConfig } from '../project/model.ts';
import type { Order } from './model.ts';

export interface OrderDecision {
  order: Order;
  why: string;
  warning?: string;
}

/** Whether new containers of a service may run beside the old ones, with the reason that the plan prints. */
export function decideOrder(
  service: Service,
  project: Project,
  exposesPorts: boolean,
  update: UpdateConfig = service.update,
): OrderDecision {
  const asked = update.order;
  const impossible = whyNotBoth(service);
  if (impossible) {
    return {
      order: 'stop-first',
      why: impossible,
      ...(asked === 'start-first'
        ? { warning: `${service.name}: update_config.order says start-first, but ${impossible}: stop-first it is` }
        : {}),
    };
  }
  if (asked) return { order: asked, why: `update_config.order: ${asked}` };
  if (service.networkMode === 'host') return { order: 'stop-first', why: 'network_mode: host: two containers would bind the same ports' };
  if (service.devices) return { order: 'stop-first', why: 'it uses devices, which two containers may not share' };
  const volume = writableStorage(service);
  if (volume && service.replicas <= 1) return { order: 'stop-first', why: `it alone writes to ${volume}` };
  if (service.edge.length > 0) return { order: 'start-first', why: 'its requests move once the new containers are ready' };
  if (exposesPorts || service.exposedPorts.length > 0 || callersOf(service, project).length > 0) {
    return { order: 'start-first', why: 'other services call it' };
  }
  return {
    order: 'stop-first',
    why: 'a worker: nothing says that two versions may work side by side (update_config.order: start-first would)',
  };
}

function whyNotBoth(service: Service): string | undefined {
  if (service.containerName) return `container_name ${service.containerName} can exist only once`;
  const port = service.publishedPorts.find(({ published }) => published > 0);
  if (port) return `host port ${port.published} can be published only once`;
  return undefined;
}

function writableStorage(service: Service): string | undefined {
  const mount = service.mounts.find(({ type, readOnly }) => type === 'volume' && !readOnly);
  return mount ? `volume ${mount.source || mount.target}` : undefined;
}

/** Services that reach this one by its name: they depend on it, or a value of their environment names it as a host. */
export function callersOf(service: Service, project: Project): string[] {
  const asHost = new RegExp(`(^|[/@,;=\\s])${service.name.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')}(:\\d+|[/,;\\s]|$)`);
  return Object.values(project.services)
    .filter((other) => other.name !== service.name && !other.release)
    .filter((other) => Object.values(other.environment).some((value) => asHost.test(value)))
    .map((other) => other.name);
}
