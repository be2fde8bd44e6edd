import { hostBudget } from '../../../autoscale/budget.ts';
import { type ExportedObject, printScaledObjects, scaledObject } from '../../../autoscale/export.ts';
import type { HostBudget } from '../../../autoscale/model.ts';
import { alwaysOnOf, tierOf } from '../../../autoscale/tiers.ts';
import { engineSocket, openDocker } from '../../../docker/api.ts';
import type { Project } from '../../../project/model.ts';
import type { ProjectFlags } from '../../flags.ts';
import type { Io } from '../../io.ts';
import { chosenServices } from './chosen.ts';

/** Writes the scaled services as KEDA's ScaledObjects. The engine is asked only where the room on this host decides a maximum. */
export async function autoscaleExportCommand(io: Io, names: string[], flags: ProjectFlags, loading: Promise<Project>): Promise<void> {
  const project = await loading;
  const services = chosenServices(project, names);
  const isBounded = services.every(({ autoscale }) => autoscale.max !== undefined);
  const budget = isBounded ? undefined : await budgetOf(io, project);
  const exported = services.map((service) => {
    const { tier, warnings } = tierOf(project.name, service, budget ? { budget } : {});
    return { tier, object: scaledObject(service, tier), warnings };
  });
  if (flags.json) {
    const scaledObjects = exported.map(({ object, warnings }) => ({ ...publicObject(object), warnings }));
    io.stdout(`${JSON.stringify({ project: project.name, scaledObjects })}\n`);
    return;
  }
  for (const warning of exported.flatMap(({ warnings }) => warnings)) io.stderr(`warning: ${warning}\n`);
  io.stdout(exported.length === 0 ? `# no service of ${project.name} has x-autoscale\n` : printScaledObjects(exported));
}

async function budgetOf(io: Io, project: Project): Promise<HostBudget> {
  const { NCPU, MemTotal } = await openDocker(engineSocket(io.env)).info();
  return hostBudget({ cores: NCPU, memoryBytes: MemTotal, alwaysOn: alwaysOnOf(project) }).budget;
}

const publicObject = ({ service, object, notes, triggerNotes }: ExportedObject): object => ({
  service,
  object,
  notes: [...notes, ...triggerNotes.flat()],
});
