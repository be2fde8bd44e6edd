import type { Project } from '../../project/model.ts';
import { inDependencyOrder } from '../../rollout/dependencies.ts';
import { callersOf } from '../../rollout/order.ts';

/** Services that reach this one: they say that they depend on it, or a value of their environment names it. Pure. */
export function usersOf(project: Pick<Project, 'services'>, name: string): string[] {
  const service = project.services[name];
  if (!service) return [];
  const declared = Object.values(project.services).filter(({ dependsOn }) => name in dependsOn);
  return [...new Set([...declared.map((one) => one.name), ...callersOf(service, project as Project)])].sort();
}

/** The order in which services start, each after those that it reaches. They stop the other way round. Pure. */
export function startOrder(project: Pick<Project, 'services'>, names: readonly string[]): string[] {
  const known = Object.values(project.services);
  const reaches = new Map(known.map(({ name, dependsOn }) => [name, { ...dependsOn }]));
  for (const { name } of known)
    for (const user of usersOf(project, name))
      (reaches.get(user) ?? {})[name] ??= { condition: 'service_started', required: true, restart: false };
  const services = Object.fromEntries(known.map((service) => [service.name, { ...service, dependsOn: reaches.get(service.name) ?? {} }]));
  return inDependencyOrder({ services }, [...names]);
}
