import type { ContainerSummary, Docker } from '../../docker/api.ts';
import { isWithin } from '../files/mounts.ts';

/** A container at work that has a folder, or something in it, mounted: it keeps that very folder, also when another one takes its place. */
export interface MountedBy {
  container: ContainerSummary;
  /** One of those that were asked about. */
  folder: string;
}

const AT_WORK: readonly ContainerSummary['State'][] = ['running', 'paused', 'restarting'];

/** Containers of any project that have one of these folders mounted: volumes by their mount points, and bind mounts. */
export async function containersWith(
  docker: Pick<Docker, 'listContainers' | 'listVolumes'>,
  folders: readonly string[],
): Promise<MountedBy[]> {
  const [containers, volumes] = await Promise.all([docker.listContainers(), docker.listVolumes()]);
  // The engine's list of containers leaves out where a volume lies.
  const places = new Map(volumes.map(({ Name, Mountpoint }) => [Name, Mountpoint]));
  return containers
    .filter(({ State }) => AT_WORK.includes(State))
    .flatMap((container) => {
      const sources = (container.Mounts ?? []).map(({ Type, Name, Source }) => (Type === 'volume' ? places.get(Name ?? '') : Source));
      const folder = folders.find((one) => sources.some((source) => source !== undefined && source !== '' && isWithin(source, one)));
      return folder === undefined ? [] : [{ container, folder }];
    });
}

export const containerName = ({ Names, Id }: ContainerSummary): string => Names[0]?.slice(1) ?? Id.slice(0, 12);
