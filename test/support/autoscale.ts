import { parse, stringify } from 'yaml';
import type { ScaledService } from '../../src/autoscale/tiers.ts';
import { readAutoscale } from '../../src/project/autoscale.ts';
import { type Problem, placeProblems } from '../../src/project/check.ts';
import type { AutoscaleSpec } from '../../src/project/model.ts';
import { readService } from '../../src/project/services.ts';
import { parseSource } from '../../src/project/sources.ts';

export interface ReadKey {
  service?: ScaledService;
  problems: string[];
  warnings: string[];
}

/** A service called `worker` whose x-autoscale holds this, read from a compose file that is written for it. */
export function readKey(value: unknown): ReadKey {
  const limits = { cpus: '0.5', memory: '268435456' };
  const file = stringify({ services: { worker: { image: 'x', deploy: { resources: { limits } }, 'x-autoscale': value } } });
  const { worker } = (parse(file) as { services: { worker: Record<string, unknown> } }).services;
  const sources = [parseSource('/srv/compose.yaml', file)];
  const problems: Problem[] = [];
  const warnings: Problem[] = [];
  const service = readService('shop', 'worker', worker);
  const autoscale: AutoscaleSpec | undefined = readAutoscale(
    { value: worker['x-autoscale'], service, ports: [], sources },
    problems,
    warnings,
  );
  const placed = (found: Problem[]) => placeProblems(found, sources, '/srv').map(({ message }) => message);
  return {
    ...(autoscale ? { service: { ...service, configHash: '', contentHash: '', contentFiles: [], edge: [], autoscale } } : {}),
    problems: placed(problems),
    warnings: placed(warnings),
  };
}
