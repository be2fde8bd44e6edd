import { createSpec, nameOf, type Template, templateOf } from '../../src/autoscale/template.ts';
import { type Docker, openDocker } from '../../src/docker/api.ts';
import { sleep } from '../../src/kit/wait.ts';
import type { ScenarioProject } from '../../test/support/scenario.ts';
import { BURST, type Warmth } from './tiers.ts';

/** The least that anybody has to do: one call of the Engine API for each container, made at once. */
export interface Floor {
  /** The engine's calls that bring a worker of this kind to work. The container is at rest before. */
  start(warmth: Warmth): Promise<void>;
  /** Ends the worker and puts it back to rest. */
  rest(warmth: Warmth): Promise<void>;
  /** Creates and starts all containers of the burst at the same moment. */
  burst(): Promise<void>;
  clear(): Promise<void>;
}

/** On a project that no agent scales, of which one container of every service exists. */
export async function openFloor(project: ScenarioProject, networks: string[]): Promise<Floor> {
  const docker: Docker = openDocker();
  const templates = new Map<string, Template>();
  async function take(service: string): Promise<Template> {
    const [found] = await project.containers(service);
    const template = templateOf(await docker.inspectContainer(found?.Id ?? ''), networks);
    templates.set(service, template);
    return template;
  }
  const template = async (service: string): Promise<Template> => templates.get(service) ?? (await take(service));
  const create = async (service: string, number: number): Promise<void> => {
    const from = await template(service);
    const { Id } = await docker.createContainer(nameOf(from, number), createSpec(from, number, from.image));
    await docker.startContainer(Id);
  };
  const remove = async (service: string): Promise<void> => {
    await Promise.all((await project.containers(service)).map(({ Id }) => docker.removeContainer(Id, { force: true })));
  };
  const only = async (service: string): Promise<string> => (await project.containers(service))[0]?.Id ?? '';
  const ids = new Map<Warmth, string>();

  async function rest(warmth: Warmth): Promise<void> {
    await template(warmth);
    if (warmth === 'none') return remove(warmth);
    const id = await only(warmth);
    ids.set(warmth, id);
    if (warmth === 'stopped') return docker.stopContainer(id);
    // The job that it has just begun is ended first.
    await sleep(500);
    await docker.pauseContainer(id);
  }

  return {
    start: async (warmth) => {
      if (warmth === 'none') return create(warmth, 1);
      const id = ids.get(warmth) ?? '';
      await (warmth === 'frozen' ? docker.unpauseContainer(id) : docker.startContainer(id));
    },
    rest,
    burst: async () => {
      await Promise.all(Array.from({ length: BURST }, (_, index) => create('burst', index + 1)));
    },
    clear: async () => {
      await template('burst');
      await remove('burst');
    },
  };
}
