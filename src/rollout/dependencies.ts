import type { Project } from '../project/model.ts';

/** Service names so that each comes after the ones it depends on; otherwise alphabetical, so that plans are the same every time. */
export function inDependencyOrder(project: Pick<Project, 'services'>, names: string[]): string[] {
  const wanted = new Set(names);
  const ordered: string[] = [];
  const visited = new Set<string>();
  const visit = (name: string): void => {
    if (visited.has(name)) return;
    visited.add(name);
    for (const dependency of Object.keys(project.services[name]?.dependsOn ?? {}).sort()) visit(dependency);
    if (wanted.has(name)) ordered.push(name);
  };
  for (const name of [...names].sort()) visit(name);
  return ordered;
}

/** The given services and everything they depend on, directly or not. */
export function withDependencies(project: Project, names: string[]): Set<string> {
  const found = new Set<string>();
  const visit = (name: string): void => {
    if (found.has(name) || !project.services[name]) return;
    found.add(name);
    for (const dependency of Object.keys(project.services[name].dependsOn)) visit(dependency);
  };
  for (const name of names) visit(name);
  return found;
}
