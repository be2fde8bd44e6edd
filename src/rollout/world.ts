import type { Docker } from '../docker/api.ts';
import type { CertificateEdge } from '../edge/certificates/obtain.ts';
import type { Edge } from '../edge/model.ts';
import type { Report } from '../kit/events.ts';
import type { Project } from '../project/model.ts';

/** What the steps of a release act on. */
export interface World {
  docker: Docker;
  edge: Edge & CertificateEdge;
  project: Project;
  stateFolder: string;
  report: Report;
  /** Aborts between two looks of a wait; the release is then undone. */
  signal: AbortSignal;
}
