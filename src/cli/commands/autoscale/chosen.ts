import { type ScaledService, scaledServices } from '../../../autoscale/tiers.ts';
import { Failure } from '../../../kit/errors.ts';
import type { Project } from '../../../project/model.ts';

/** The scaled services of these names, or all. Throws Failure SERVICE_UNKNOWN for one that the project does not have or does not scale. */
export function chosenServices(project: Project, names: readonly string[]): ScaledService[] {
  const scaled = scaledServices(project);
  for (const name of names) {
    if (scaled.some((service) => service.name === name)) continue;
    const known = project.services[name] !== undefined;
    const others = scaled.map((service) => service.name).sort();
    throw new Failure(
      'SERVICE_UNKNOWN',
      known ? `the service ${name} has no x-autoscale` : `the project ${project.name} has no service ${name}`,
      {
        where: project.places?.[name]?.service ?? name,
        next: others.length > 0 ? `services that are scaled: ${others.join(', ')}` : 'add x-autoscale to the service in the compose file',
      },
    );
  }
  return names.length === 0 ? scaled : scaled.filter(({ name }) => names.includes(name));
}
